-- Statements of the report, beside those of the tables that it uses as they are.
--
-- A report reads both large tables from end to end, since times cannot be found by an index on
-- their text. It does so in parts, a statement each, so that no writer waits longer than for one:
-- what it counts need not be of one moment.

-- name: get_last_session_log_of_part(after, size)$
-- The id that ends the next part of session_log, NULL where there is none.
SELECT max(id_session_log)
FROM (
    SELECT id_session_log
    FROM session_log
    WHERE id_session_log > :after
    ORDER BY id_session_log
    LIMIT :size
) AS part;

-- name: list_sessions_of_part(after, last, first_day)
-- The sessions whose START is in a part, with the instants of START, END and the newest attempt to
-- build a record: those of the span, and whenever they were those that failed. What sorts before
-- the first day (times.day_before) is left out unread. No identifier is shown that is longer.
SELECT
    session.start_id,
    substr(session.session_identifier, 1, 2100) AS session_identifier,
    session.instrument,
    session."user",
    session.record_status,
    session.timezone,
    session.start_instant AS began,
    session.end_instant AS ended,
    (
        SELECT build.instant
        FROM nxs_counted AS build
        WHERE
            build.session_identifier = session.session_identifier
            AND build.instrument = session.instrument
            AND build.event_type = 'RECORD_GENERATION'
    ) AS built
FROM nxs_session AS session
WHERE
    session.start_id > :after
    AND session.start_id <= :last
    AND (
        session.start_timestamp >= :first_day
        OR session.record_status IN ('ERROR', 'BUILT_NOT_EXPORTED')
    );

-- name: list_builds_of_part(after, last, first_day)
-- The newest attempt to build each session's record, from a day on, with what became of it.
SELECT
    start_log.record_status,
    build.instant AS built
FROM nxs_counted AS build
INNER JOIN nxs_counted AS start_log
    ON
        start_log.session_identifier = build.session_identifier
        AND start_log.instrument = build.instrument
        AND start_log.event_type = 'START'
WHERE
    build.id_session_log > :after
    AND build.id_session_log <= :last
    AND build.event_type = 'RECORD_GENERATION'
    AND build.timestamp >= :first_day;

-- name: get_last_upload_of_part(after, size)$
-- The id that ends the next part of upload_log, NULL where there is none.
SELECT max(id)
FROM (
    SELECT id
    FROM upload_log
    WHERE id > :after
    ORDER BY id
    LIMIT :size
) AS part;

-- name: list_attempts_of_part(after, last, first_day)
-- The attempts of a part, without their long texts, from a day on.
SELECT
    destination_name,
    success,
    nxs_instant(CAST(timestamp AS BLOB), 'UTC') AS tried
FROM upload_log
WHERE id > :after AND id <= :last AND timestamp >= :first_day;

-- name: list_failures()
-- Sessions and destinations whose latest attempt failed (views.sql), with the beginning of the
-- error: an error may be a whole page. Of one moment, since which attempt is the latest is known
-- when all were seen.
SELECT
    session_identifier,
    destination_name,
    nxs_instant(CAST(timestamp AS BLOB), 'UTC') AS tried,
    substr(error_message, 1, 1000) AS error_message,
    id
FROM upload_log
WHERE id IN (SELECT id FROM nxs_failed_upload);

-- name: list_pids()
-- All instruments, be they used or not.
SELECT instrument_pid
FROM instruments
ORDER BY instrument_pid;

-- name: get_instrument_name(instrument_pid)$
-- What people call an instrument.
SELECT display_name
FROM instruments
WHERE instrument_pid = :instrument_pid;
