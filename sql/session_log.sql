-- Statements on session_log, one row for each event of a session, and on the sessions which its
-- rows make: a START paired with the END of the same session_identifier and instrument. Of
-- several STARTs or ENDs the newest row, that of the highest id, counts.
--
-- nxs_instant(timestamp, timezone) is the instant of a stored time in microseconds, NULL where it
-- cannot be read. The time is handed over as a BLOB, because even text that is not UTF-8 must
-- not stop a statement. The zone is that of the instrument, for times without an offset.

-- name: insert_event(session_identifier, instrument, timestamp, event_type, record_status, user)
-- An event, if it is not there yet; returns its id, or no row. One statement, so that of any
-- number of harvesters which insert the same event one does. Each attempt to build a record has a
-- row of its own.
INSERT INTO session_log (
    session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT :session_identifier, :instrument, :timestamp, :event_type, :record_status, :user
WHERE
    :event_type = 'RECORD_GENERATION'
    OR NOT EXISTS (
        SELECT 1
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    )
RETURNING id_session_log;

-- name: insert_events(session_identifier, instrument, timestamp, event_type, record_status, user)!
-- The same for many events at once, where sqlite3 gives their number in place of their ids.
INSERT INTO session_log (
    session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT :session_identifier, :instrument, :timestamp, :event_type, :record_status, :user
WHERE
    :event_type = 'RECORD_GENERATION'
    OR NOT EXISTS (
        SELECT 1
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    );

-- name: correct_event(session_identifier, instrument, timestamp, instant, event_type, record_status, user)
-- What a scheduler changed after the event was first harvested: time and user, as long as no
-- record was built; WAITING_FOR_END moves on to TO_BE_BUILT. Returns no row where nothing
-- differs. A time that only looks different ("Z" for "+00:00") is left as it is stored.
UPDATE session_log
SET
    timestamp = CASE
        WHEN
            nxs_instant(
                CAST(timestamp AS BLOB),
                (SELECT timezone FROM instruments WHERE instrument_pid = :instrument)
            ) IS :instant
            THEN timestamp
        ELSE :timestamp
    END,
    "user" = :user,
    record_status = CASE
        WHEN :record_status = 'TO_BE_BUILT' THEN 'TO_BE_BUILT' ELSE record_status
    END
WHERE
    id_session_log = (
        SELECT max(id_session_log)
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    )
    AND record_status IN ('WAITING_FOR_END', 'TO_BE_BUILT')
    AND (
        "user" IS NOT :user
        OR (record_status = 'WAITING_FOR_END' AND :record_status = 'TO_BE_BUILT')
        OR nxs_instant(
            CAST(timestamp AS BLOB),
            (SELECT timezone FROM instruments WHERE instrument_pid = :instrument)
        ) IS NOT :instant
    )
RETURNING
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log;

-- name: get_event(session_identifier, instrument, event_type)^
-- The newest row of an event, by the index on session_identifier.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM session_log
WHERE
    session_identifier = :session_identifier
    AND instrument = :instrument
    AND event_type = :event_type
ORDER BY id_session_log DESC
LIMIT 1;

-- name: get_session_log(id_session_log)^
-- One row, by the primary key.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM session_log
WHERE id_session_log = :id_session_log;

-- name: list_logs_of_session(session_identifier)
-- All events of a session, in the order of time.
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log
FROM session_log AS log
LEFT JOIN instruments ON instruments.instrument_pid = log.instrument
WHERE log.session_identifier = :session_identifier
ORDER BY
    nxs_instant(CAST(log.timestamp AS BLOB), instruments.timezone), log.id_session_log;

-- name: list_logs_to_be_built()
-- All events to be built, in the order of time. A statement of its own, because the partial
-- index serves only a literal status.
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log
FROM session_log AS log
LEFT JOIN instruments ON instruments.instrument_pid = log.instrument
WHERE log.record_status = 'TO_BE_BUILT'
ORDER BY
    nxs_instant(CAST(log.timestamp AS BLOB), instruments.timezone), log.id_session_log;

-- name: list_logs_by_status(record_status)
-- All events of a status, in the order of time. A scan: NexusLIMS has no index by status, and
-- most rows are of one status.
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log
FROM session_log AS log
LEFT JOIN instruments ON instruments.instrument_pid = log.instrument
WHERE log.record_status = :record_status
ORDER BY
    nxs_instant(CAST(log.timestamp AS BLOB), instruments.timezone), log.id_session_log;

-- name: list_all_logs()
-- All events, in the order of time. Of the usual form, YYYY-MM-DDTHH:MM:SS[.ffffff]±HH:MM, SQLite
-- finds the instant itself, several times faster than nxs_instant, which gets all other texts.
-- julianday reads what fits LIKE only where each _ is a digit or sign in its place; its fraction of
-- a day is exact to well below a second. It also takes an hour 24, a year 0 and a 31st of February,
-- and rounds fractions of a second, so those are kept from it, and it says NULL to an offset that
-- it does not know.
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log
FROM session_log AS log
ORDER BY
    coalesce(
        (
            CAST(
                CASE
                    WHEN
                        log.timestamp < '0001'
                        OR substr(log.timestamp, 12, 2) >= '24'
                        OR (
                            substr(log.timestamp, 9, 2) >= '29'
                            AND date(julianday(substr(log.timestamp, 1, 10)))
                            IS NOT substr(log.timestamp, 1, 10)
                        )
                        THEN NULL
                    WHEN
                        length(CAST(log.timestamp AS BLOB)) = 25
                        AND log.timestamp LIKE '____-__-__T__:__:_____:__'
                        THEN julianday(log.timestamp)
                    WHEN
                        length(CAST(log.timestamp AS BLOB)) = 32
                        AND log.timestamp LIKE '____-__-__T__:__:__.____________'
                        AND substr(log.timestamp, 21, 6) GLOB '[0-9][0-9][0-9][0-9][0-9][0-9]'
                        THEN julianday(substr(log.timestamp, 1, 19) || substr(log.timestamp, 27))
                END * 86400 + 0.5 AS INTEGER
            ) - 210866760000  -- seconds from day 0 to 1970-01-01
        ) * 1000000
        + CASE length(log.timestamp)
            WHEN 32 THEN CAST(substr(log.timestamp, 21, 6) AS INTEGER)
            ELSE 0
        END,
        nxs_instant(
            CAST(log.timestamp AS BLOB),
            (SELECT timezone FROM instruments WHERE instrument_pid = log.instrument)
        )
    ),
    log.id_session_log;

-- name: count_session_logs()$
-- How many events there are.
SELECT count(*)
FROM session_log;

-- name: remove_session_log(id_session_log)!
-- One row, by the primary key.
DELETE FROM session_log
WHERE id_session_log = :id_session_log;

-- name: list_pairs_to_build()
-- The STARTs and ENDs to be built, paired where both are there. The partial index holds all that
-- pairing needs, so the cost follows the pending sessions, not the table.
WITH pair AS (
    SELECT
        session_identifier,
        instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id
    FROM session_log
    WHERE record_status = 'TO_BE_BUILT' AND event_type IN ('START', 'END')
    GROUP BY session_identifier, instrument
)
SELECT
    pair.session_identifier,
    pair.instrument,
    pair.start_id,
    pair.end_id,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user"
FROM pair
LEFT JOIN session_log AS start_log ON start_log.id_session_log = pair.start_id
LEFT JOIN session_log AS end_log ON end_log.id_session_log = pair.end_id;

-- name: list_claimable_pairs(lease_start)
-- The pairs to be built that no builder has claimed since lease_start (an instant), the oldest
-- first. A claim is a RECORD_GENERATION that waits for its end, found by the index on the session.
WITH pair AS (
    SELECT
        session_identifier,
        instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id
    FROM session_log
    WHERE record_status = 'TO_BE_BUILT' AND event_type IN ('START', 'END')
    GROUP BY session_identifier, instrument
)
SELECT
    pair.session_identifier,
    pair.instrument,
    pair.start_id,
    pair.end_id,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user"
FROM pair
INNER JOIN session_log AS start_log ON start_log.id_session_log = pair.start_id
INNER JOIN session_log AS end_log ON end_log.id_session_log = pair.end_id
INNER JOIN instruments ON instruments.instrument_pid = pair.instrument
WHERE NOT EXISTS (
    SELECT 1
    FROM session_log AS claim
    WHERE
        claim.session_identifier = pair.session_identifier
        AND claim.instrument = pair.instrument
        AND claim.event_type = 'RECORD_GENERATION'
        AND claim.record_status = 'WAITING_FOR_END'
        AND nxs_instant(CAST(claim.timestamp AS BLOB), instruments.timezone) > :lease_start
)
ORDER BY
    nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone), pair.start_id;

-- name: list_pairs_of_session(session_identifier)
-- The pair of a session; several where instruments share the identifier, the newest first.
WITH pair AS (
    SELECT
        session_identifier,
        instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id
    FROM session_log
    WHERE session_identifier = :session_identifier AND event_type IN ('START', 'END')
    GROUP BY session_identifier, instrument
)
SELECT
    pair.session_identifier,
    pair.instrument,
    pair.start_id,
    pair.end_id,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user"
FROM pair
LEFT JOIN session_log AS start_log ON start_log.id_session_log = pair.start_id
LEFT JOIN session_log AS end_log ON end_log.id_session_log = pair.end_id
ORDER BY pair.start_id DESC;

-- name: list_pairs_between(range_start, range_end)
-- The pairs, of any status, whose START lies in a span of time, in the order of time. A bound
-- without an offset is in each instrument's own zone. A scan: times of different offsets cannot
-- be found by an index on their text.
SELECT
    start_log.session_identifier,
    start_log.instrument,
    start_log.id_session_log AS start_id,
    end_log.id_session_log AS end_id,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user"
FROM session_log AS start_log
LEFT JOIN instruments ON instruments.instrument_pid = start_log.instrument
INNER JOIN session_log AS end_log ON end_log.id_session_log = (
    SELECT max(id_session_log)
    FROM session_log
    WHERE
        session_identifier = start_log.session_identifier
        AND instrument = start_log.instrument
        AND event_type = 'END'
)
WHERE
    start_log.event_type = 'START'
    AND nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone)
    >= nxs_instant(:range_start, instruments.timezone)
    AND nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone)
    < nxs_instant(:range_end, instruments.timezone)
    AND NOT EXISTS (
        SELECT 1
        FROM session_log AS newer
        WHERE
            newer.session_identifier = start_log.session_identifier
            AND newer.instrument = start_log.instrument
            AND newer.event_type = 'START'
            AND newer.id_session_log > start_log.id_session_log
    )
ORDER BY
    nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone),
    start_log.id_session_log;

-- name: reset_sessions_between(range_start, range_end, statuses)
-- Sets whole sessions to be built again: all rows of each session that has both START and END,
-- starts in the span and is in one of the statuses (a JSON array), unless any of its rows is
-- without consent and the statuses do not say so. Returns the rows changed, as BLOBs: a text that
-- is not UTF-8 must not stop a statement that has written already.
UPDATE session_log
SET record_status = 'TO_BE_BUILT'
WHERE
    record_status <> 'TO_BE_BUILT'
    AND (session_identifier, instrument) IN (
        SELECT start_log.session_identifier, start_log.instrument
        FROM session_log AS start_log
        LEFT JOIN instruments ON instruments.instrument_pid = start_log.instrument
        WHERE
            start_log.event_type = 'START'
            AND start_log.record_status IN (SELECT value FROM json_each(:statuses))
            AND nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone)
            >= nxs_instant(:range_start, instruments.timezone)
            AND nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone)
            < nxs_instant(:range_end, instruments.timezone)
            AND NOT EXISTS (
                SELECT 1
                FROM session_log AS newer
                WHERE
                    newer.session_identifier = start_log.session_identifier
                    AND newer.instrument = start_log.instrument
                    AND newer.event_type = 'START'
                    AND newer.id_session_log > start_log.id_session_log
            )
            AND EXISTS (
                SELECT 1
                FROM session_log AS end_log
                WHERE
                    end_log.session_identifier = start_log.session_identifier
                    AND end_log.instrument = start_log.instrument
                    AND end_log.event_type = 'END'
            )
            AND NOT EXISTS (
                SELECT 1
                FROM session_log AS withheld
                WHERE
                    withheld.session_identifier = start_log.session_identifier
                    AND withheld.instrument = start_log.instrument
                    AND withheld.record_status IN ('NO_CONSENT', 'NO_RESERVATION')
                    AND withheld.record_status NOT IN (SELECT value FROM json_each(:statuses))
            )
    )
RETURNING CAST(session_identifier AS BLOB), CAST(instrument AS BLOB);

-- name: set_status(session_identifier, record_status)!
-- All rows of a session, whatever their status.
UPDATE session_log
SET record_status = :record_status
WHERE session_identifier = :session_identifier AND record_status <> :record_status;

-- name: set_status_from(session_identifier, record_status, expected)!
-- The rows of a session that are in the expected status: of two programs that try, one does.
UPDATE session_log
SET record_status = :record_status
WHERE
    session_identifier = :session_identifier
    AND record_status = :expected
    AND record_status <> :record_status;

-- name: finish_session(session_identifier, instrument, record_status)!
-- All rows of a session on one instrument, claims included.
UPDATE session_log
SET record_status = :record_status
WHERE
    session_identifier = :session_identifier
    AND instrument = :instrument
    AND record_status <> :record_status;

-- name: count_sessions_by_status()
-- Sessions by the status of their newest START.
SELECT record_status, count(*) AS sessions
FROM (
    SELECT record_status, max(id_session_log)
    FROM session_log
    WHERE event_type = 'START'
    GROUP BY session_identifier, instrument
)
GROUP BY record_status
ORDER BY record_status;

-- name: delete_session(session_identifier)!
-- All events of a session.
DELETE FROM session_log
WHERE session_identifier = :session_identifier;

-- name: release_claim(session_identifier, instrument, id_session_log)!
-- Takes back one builder's claim, unless the session was finished meanwhile.
DELETE FROM session_log
WHERE
    id_session_log = :id_session_log
    AND session_identifier = :session_identifier
    AND instrument = :instrument
    AND event_type = 'RECORD_GENERATION'
    AND record_status = 'WAITING_FOR_END';

-- name: release_newest_claim(session_identifier, instrument)!
-- Takes back the newest claim, for a builder that did not keep its own.
DELETE FROM session_log
WHERE id_session_log = (
    SELECT max(id_session_log)
    FROM session_log
    WHERE
        session_identifier = :session_identifier
        AND instrument = :instrument
        AND event_type = 'RECORD_GENERATION'
        AND record_status = 'WAITING_FOR_END'
);

-- name: list_overviews()
-- All sessions, whole or not, by the newest row of each event, in the order of time; `began` is
-- the instant of the START or, without one, of the END. A scan: a session is known only when all
-- its rows were seen.
WITH session AS (
    SELECT
        session_identifier,
        instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id,
        max(id_session_log) AS last_id
    FROM session_log
    GROUP BY session_identifier, instrument
)
SELECT
    session.session_identifier,
    session.instrument,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user",
    coalesce(
        start_log.record_status, end_log.record_status, last_log.record_status
    ) AS record_status,
    instruments.timezone AS timezone_str,
    nxs_instant(
        CAST(coalesce(start_log.timestamp, end_log.timestamp) AS BLOB), instruments.timezone
    ) AS began
FROM session
INNER JOIN session_log AS last_log ON last_log.id_session_log = session.last_id
LEFT JOIN session_log AS start_log ON start_log.id_session_log = session.start_id
LEFT JOIN session_log AS end_log ON end_log.id_session_log = session.end_id
LEFT JOIN instruments ON instruments.instrument_pid = session.instrument
ORDER BY began, session.last_id;

-- name: list_overviews_of_session(session_identifier)
-- One session, whole or not, by the newest row of each event; several where instruments share the
-- identifier.
WITH session AS (
    SELECT
        session_identifier,
        instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id,
        max(id_session_log) AS last_id
    FROM session_log
    WHERE session_identifier = :session_identifier
    GROUP BY session_identifier, instrument
)
SELECT
    session.session_identifier,
    session.instrument,
    start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp,
    coalesce(start_log."user", end_log."user") AS "user",
    coalesce(
        start_log.record_status, end_log.record_status, last_log.record_status
    ) AS record_status,
    instruments.timezone AS timezone_str,
    nxs_instant(
        CAST(coalesce(start_log.timestamp, end_log.timestamp) AS BLOB), instruments.timezone
    ) AS began
FROM session
INNER JOIN session_log AS last_log ON last_log.id_session_log = session.last_id
LEFT JOIN session_log AS start_log ON start_log.id_session_log = session.start_id
LEFT JOIN session_log AS end_log ON end_log.id_session_log = session.end_id
LEFT JOIN instruments ON instruments.instrument_pid = session.instrument
ORDER BY session.last_id;

-- name: get_oldest_to_build()^
-- The session to be built whose START is the oldest: of the rows, SQLite returns the one that has
-- the minimum. One row of NULLs where nothing is to be built.
SELECT
    start_log.session_identifier,
    start_log.instrument,
    min(nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone)) AS began
FROM session_log AS start_log
LEFT JOIN instruments ON instruments.instrument_pid = start_log.instrument
WHERE
    start_log.record_status = 'TO_BE_BUILT'
    AND start_log.event_type = 'START'
    AND EXISTS (
        SELECT 1
        FROM session_log AS end_log
        WHERE
            end_log.session_identifier = start_log.session_identifier
            AND end_log.instrument = start_log.instrument
            AND end_log.event_type = 'END'
            AND end_log.record_status = 'TO_BE_BUILT'
    );

-- name: list_claims()
-- The newest claim of each session to be built. Those of finished sessions keep nobody from them.
-- CROSS JOIN makes SQLite begin with the sessions to be built, which the partial index has.
SELECT
    claim.session_identifier,
    claim.instrument,
    max(claim.id_session_log) AS id_session_log,
    claim.timestamp,
    instruments.timezone AS timezone_str
FROM session_log AS start_log
CROSS JOIN session_log AS claim
    ON
        claim.session_identifier = start_log.session_identifier
        AND claim.instrument = start_log.instrument
        AND claim.event_type = 'RECORD_GENERATION'
        AND claim.record_status = 'WAITING_FOR_END'
LEFT JOIN instruments ON instruments.instrument_pid = claim.instrument
WHERE start_log.record_status = 'TO_BE_BUILT' AND start_log.event_type = 'START'
GROUP BY start_log.session_identifier, start_log.instrument
ORDER BY id_session_log;
