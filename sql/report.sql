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
);

-- name: list_sessions_of_part(after, last)
-- The sessions whose START is in a part, with the instants of START, END and the newest attempt to
-- build a record.
SELECT
    start_log.id_session_log,
    start_log.session_identifier,
    start_log.instrument,
    start_log."user",
    start_log.record_status,
    instruments.timezone AS timezone_str,
    nxs_instant(CAST(start_log.timestamp AS BLOB), instruments.timezone) AS began,
    nxs_instant(
        (
            SELECT CAST(end_log.timestamp AS BLOB)
            FROM session_log AS end_log
            WHERE
                end_log.session_identifier = start_log.session_identifier
                AND end_log.instrument = start_log.instrument
                AND end_log.event_type = 'END'
            ORDER BY end_log.id_session_log DESC
            LIMIT 1
        ),
        instruments.timezone
    ) AS ended,
    nxs_instant(
        (
            SELECT CAST(build.timestamp AS BLOB)
            FROM session_log AS build
            WHERE
                build.session_identifier = start_log.session_identifier
                AND build.instrument = start_log.instrument
                AND build.event_type = 'RECORD_GENERATION'
            ORDER BY build.id_session_log DESC
            LIMIT 1
        ),
        instruments.timezone
    ) AS built
FROM session_log AS start_log
LEFT JOIN instruments ON instruments.instrument_pid = start_log.instrument
WHERE
    start_log.id_session_log > :after
    AND start_log.id_session_log <= :last
    AND start_log.event_type = 'START'
    AND NOT EXISTS (
        SELECT 1
        FROM session_log AS newer
        WHERE
            newer.session_identifier = start_log.session_identifier
            AND newer.instrument = start_log.instrument
            AND newer.event_type = 'START'
            AND newer.id_session_log > start_log.id_session_log
    );

-- name: get_last_upload_of_part(after, size)$
-- The id that ends the next part of upload_log, NULL where there is none.
SELECT max(id)
FROM (
    SELECT id
    FROM upload_log
    WHERE id > :after
    ORDER BY id
    LIMIT :size
);

-- name: list_attempts_of_part(after, last, first_day)
-- The attempts of a part, without their long texts, from a day on. A text that is a time begins
-- with its year, so those below the day before the span can be left out unread.
SELECT
    destination_name,
    success,
    nxs_instant(CAST(timestamp AS BLOB), 'UTC') AS tried
FROM upload_log
WHERE id > :after AND id <= :last AND timestamp >= :first_day;

-- name: list_failures()
-- Sessions and destinations whose latest attempt failed, as in list_failed_uploads, with the
-- beginning of the error: an error may be a whole page, and none is sorted or sent here. Of one
-- moment, since which attempt is the latest is known when all were seen.
SELECT
    failed.session_identifier,
    failed.destination_name,
    nxs_instant(CAST(failed.timestamp AS BLOB), 'UTC') AS tried,
    substr(failed.error_message, 1, 1000) AS error_message,
    failed.id
FROM (
    SELECT
        id,
        success,
        row_number() OVER (
            PARTITION BY session_identifier, destination_name
            ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') DESC NULLS LAST, id DESC
        ) AS recency
    FROM upload_log
    WHERE (session_identifier, destination_name) IN (
        SELECT session_identifier, destination_name
        FROM upload_log
        WHERE success = 0
    )
) AS attempt
INNER JOIN upload_log AS failed ON failed.id = attempt.id
WHERE attempt.recency = 1 AND attempt.success = 0;

-- name: get_instrument_name(instrument_pid)$
-- What people call an instrument.
SELECT display_name
FROM instruments
WHERE instrument_pid = :instrument_pid;
