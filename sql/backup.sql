-- By which a backup is known as that of a database: they have an event in common, or, before there
-- were events, an instrument. Values are compared as BLOBs, since text need not be valid UTF-8.
-- The statements run on files of every revision.

-- name: list_some_events()
-- The oldest and the newest events of a backup. The oldest stay when sessions are deleted or
-- corrected; the newest are there if old ones were removed.
SELECT
    id_session_log,
    CAST(session_identifier AS BLOB) AS session_identifier,
    CAST(timestamp AS BLOB) AS timestamp
FROM session_log
WHERE
    id_session_log IN (SELECT id_session_log FROM session_log ORDER BY id_session_log LIMIT 20)
    OR id_session_log IN (
        SELECT id_session_log FROM session_log ORDER BY id_session_log DESC LIMIT 20
    );

-- name: has_event(id_session_log, session_identifier, timestamp)$
-- Whether the database has this very event.
SELECT EXISTS (
    SELECT 1
    FROM session_log
    WHERE
        id_session_log = :id_session_log
        AND CAST(session_identifier AS BLOB) = :session_identifier
        AND CAST(timestamp AS BLOB) = :timestamp
);

-- name: list_some_instruments()
-- The first instruments of a backup.
SELECT CAST(instrument_pid AS BLOB) AS instrument_pid
FROM instruments
ORDER BY instrument_pid
LIMIT 20;

-- name: has_instrument_of_backup(instrument_pid)$
-- Whether the database has this instrument.
SELECT EXISTS (SELECT 1 FROM instruments WHERE instrument_pid = CAST(:instrument_pid AS TEXT));
