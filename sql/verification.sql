-- What a migration checks of the rows: before it, that the new tables can take them; after it,
-- that it kept them. They name only columns which the tables have at both ends.

-- name: summarize_instruments()
-- What must be the same after as before: how many rows, by time zone, and between which keys.
SELECT timezone, count(*) AS number, min(instrument_pid) AS lowest, max(instrument_pid) AS highest
FROM instruments
GROUP BY timezone
ORDER BY timezone;

-- name: summarize_session_log()
-- The same for events, by status.
SELECT
    record_status, count(*) AS number, min(id_session_log) AS lowest,
    max(id_session_log) AS highest
FROM session_log
GROUP BY record_status
ORDER BY record_status;

-- name: summarize_upload_log()
-- The same for attempts to export, by success.
SELECT success, count(*) AS number, min(id) AS lowest, max(id) AS highest
FROM upload_log
GROUP BY success
ORDER BY success;

-- name: summarize_external_user_identifiers()
-- The same for identifiers, by system.
SELECT external_system, count(*) AS number, min(id) AS lowest, max(id) AS highest
FROM external_user_identifiers
GROUP BY external_system
ORDER BY external_system;

-- name: list_unfit_events()
-- Events that session_log refuses once it is made anew: a NULL, which the demo's tables allow, or
-- a value outside of the CHECKs of v2_4_0b. The first few, and how many there are.
SELECT
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status,
    count(*) OVER () AS number
FROM session_log
WHERE
    session_identifier IS NULL
    OR instrument IS NULL
    OR timestamp IS NULL
    OR event_type IS NULL
    OR event_type NOT IN ('START', 'END', 'RECORD_GENERATION')
    OR record_status IS NULL
    OR record_status NOT IN (
        'COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR',
        'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION'
    )
ORDER BY id_session_log
LIMIT 5;

-- name: list_events_with_null()
-- The same for a session_log without the CHECKs, on the way back from v2_4_0b.
SELECT
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status,
    count(*) OVER () AS number
FROM session_log
WHERE
    session_identifier IS NULL
    OR instrument IS NULL
    OR timestamp IS NULL
    OR event_type IS NULL
    OR record_status IS NULL
ORDER BY id_session_log
LIMIT 5;

-- name: list_unfit_instruments()
-- The same for instruments on the way to v2_5_0b. A NULL harvester is filled in.
SELECT
    instrument_pid, api_url, calendar_url, location, property_tag, filestore_path, timezone,
    count(*) OVER () AS number
FROM instruments
WHERE
    instrument_pid IS NULL
    OR api_url IS NULL
    OR calendar_url IS NULL
    OR location IS NULL
    OR property_tag IS NULL
    OR filestore_path IS NULL
    OR timezone IS NULL
ORDER BY instrument_pid
LIMIT 5;

-- name: count_unfilled_harvesters()$
-- Instruments from before 2.2 without a harvester, which v2_5_0b fills in.
SELECT count(*)
FROM instruments
WHERE harvester IS NULL;
