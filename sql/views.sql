-- What an event's time means, which rows of a session count, what a claim is and which uploads
-- failed: said once, in views that every statement on sessions reads. They are temporary, made by
-- the connection that needs them first, so that nothing is added to a file that NexusLIMS reads too.
--
-- No view of events groups or sorts, so that SQLite takes each into the statement around it, where
-- the indexes serve: one session costs a look at its rows, those to build cost what waits, and all
-- of them cost less than grouping the table does (0.7 s for 1.1 s, at 300,000 rows).
--
-- nxs_instant(timestamp, timezone, start) is the instant of a stored time in microseconds, NULL
-- where it cannot be read. Times and zones are handed over as BLOBs, because even text that is not
-- UTF-8 must not stop a statement. `start` is the time of the START that an END belongs to: a time
-- without an offset, in the hour that the end of summer time repeats, is the first of the two,
-- unless that is before its START.

-- name: make_event_view()!
-- Every event with its instant and the zone of its instrument. Of the usual form,
-- YYYY-MM-DDTHH:MM:SS[.ffffff]±HH:MM, SQLite finds the instant itself, several times faster than
-- nxs_instant, which gets all other texts. julianday, a number of days, reads what fits the pattern
-- only where each place has its digit or sign, and says NULL to an offset that it does not know. It
-- also takes an hour 24, a year 0, a 31st of February and what is no text, so those are kept from
-- it. It rounds fractions of a second: they are taken off, which leaves close to a whole second,
-- and put back. 210866760000 are the seconds from day 0 to 1970-01-01.
CREATE TEMP VIEW IF NOT EXISTS nxs_event AS
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log,
    (SELECT timezone FROM instruments WHERE instrument_pid = log.instrument) AS timezone,
    coalesce(
        CASE
            WHEN
                NOT log.timestamp BETWEEN '0001' AND '9999:'  -- a BLOB is larger than any text
                OR substr(log.timestamp, 12) >= '24'
                OR (
                    substr(log.timestamp, 9) >= '29'
                    AND date(julianday(substr(log.timestamp, 1, 10)))
                    IS NOT substr(log.timestamp, 1, 10)
                )
                THEN NULL
            WHEN
                length(CAST(log.timestamp AS BLOB)) = 25
                AND log.timestamp GLOB '????-??-??T??:??:??[+-]??:??'
                THEN
                    1000000
                    * (CAST(julianday(log.timestamp) * 86400 + 0.5 AS INTEGER) - 210866760000)
            WHEN
                length(CAST(log.timestamp AS BLOB)) = 32
                AND log.timestamp GLOB '????-??-??T??:??:??.?????[0-9][+-]??:??'
                THEN
                    1000000
                    * (
                        CAST(
                            julianday(log.timestamp) * 86400
                            - substr(log.timestamp, 20, 7) + 0.5 AS INTEGER
                        )
                        - 210866760000
                    )
                    + substr(log.timestamp, 21, 6)
        END,
        nxs_instant(
            CASE typeof(log.timestamp) WHEN 'text' THEN CAST(log.timestamp AS BLOB) END,
            (
                SELECT CASE typeof(timezone) WHEN 'text' THEN CAST(timezone AS BLOB) END
                FROM instruments
                WHERE instrument_pid = log.instrument
            ),
            CASE
                WHEN log.event_type = 'END'
                    THEN (
                        SELECT CAST(start_log.timestamp AS BLOB)
                        FROM session_log AS start_log
                        WHERE
                            start_log.session_identifier = log.session_identifier
                            AND start_log.instrument = log.instrument
                            AND start_log.event_type = 'START'
                        ORDER BY start_log.id_session_log DESC
                        LIMIT 1
                    )
            END
        )
    ) AS instant
FROM session_log AS log;

-- name: make_counted_view()!
-- The START, the END and the RECORD_GENERATION that count of each session: of several the newest
-- row, that of the highest id.
CREATE TEMP VIEW IF NOT EXISTS nxs_counted AS
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log,
    timezone, instant
FROM nxs_event AS log
WHERE
    NOT EXISTS (
        SELECT 1
        FROM session_log AS newer
        WHERE
            newer.session_identifier = log.session_identifier
            AND newer.instrument = log.instrument
            AND newer.event_type = log.event_type
            AND newer.id_session_log > log.id_session_log
    );

-- name: make_session_view()!
-- The sessions that have a START, each with its END, if there is one. A session's status is that
-- of its START.
CREATE TEMP VIEW IF NOT EXISTS nxs_session AS
SELECT
    start_log.session_identifier, start_log.instrument, start_log.timezone,
    start_log.record_status, start_log.id_session_log AS start_id,
    start_log.timestamp AS start_timestamp, start_log.instant AS start_instant,
    end_log.id_session_log AS end_id, end_log.timestamp AS end_timestamp,
    end_log.record_status AS end_status, end_log.instant AS end_instant,
    coalesce(start_log."user", end_log."user") AS "user"
FROM nxs_counted AS start_log
LEFT JOIN nxs_counted AS end_log
    ON
        end_log.session_identifier = start_log.session_identifier
        AND end_log.instrument = start_log.instrument
        AND end_log.event_type = 'END'
WHERE start_log.event_type = 'START';

-- name: make_headless_view()!
-- The sessions that have no START, by their END or, without one, by the newest of their other
-- events.
CREATE TEMP VIEW IF NOT EXISTS nxs_headless AS
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log,
    timezone, instant
FROM nxs_event AS log
WHERE
    event_type <> 'START'
    AND NOT EXISTS (
        SELECT 1
        FROM session_log AS better
        WHERE
            better.session_identifier = log.session_identifier
            AND better.instrument = log.instrument
            AND (
                better.event_type = 'START'
                OR (better.event_type = 'END' AND log.event_type <> 'END')
                OR (
                    better.id_session_log > log.id_session_log
                    AND (better.event_type = 'END') = (log.event_type = 'END')
                )
            )
    );

-- name: make_overview_view()!
-- All sessions, whole or not; `id` is the row of the event that stands for the session, `timestamp`
-- its time, and `began` the instant of the START or, without one, of the END.
CREATE TEMP VIEW IF NOT EXISTS nxs_overview AS
SELECT
    session_identifier, instrument, start_timestamp, end_timestamp, "user", record_status,
    timezone, start_instant AS began, start_id AS id, start_timestamp AS timestamp
FROM nxs_session
UNION ALL
SELECT
    session_identifier, instrument, NULL AS start_timestamp,
    CASE event_type WHEN 'END' THEN timestamp END AS end_timestamp,
    CASE event_type WHEN 'END' THEN "user" END AS "user", record_status, timezone,
    CASE event_type WHEN 'END' THEN instant END AS began, id_session_log AS id, timestamp
FROM nxs_headless;

-- name: make_claim_view()!
-- The newest claim of each session that is not finished. A claim is a RECORD_GENERATION that
-- waits for its end. The older ones were taken over. A session whose START has an outcome is
-- finished, whatever claims a program left there.
CREATE TEMP VIEW IF NOT EXISTS nxs_claim AS
SELECT session_identifier, instrument, timestamp, id_session_log, timezone, instant
FROM nxs_event AS log
WHERE
    event_type = 'RECORD_GENERATION'
    AND record_status = 'WAITING_FOR_END'
    AND NOT EXISTS (
        SELECT 1
        FROM session_log AS newer
        WHERE
            newer.session_identifier = log.session_identifier
            AND newer.instrument = log.instrument
            AND newer.event_type = 'RECORD_GENERATION'
            AND newer.record_status = 'WAITING_FOR_END'
            AND newer.id_session_log > log.id_session_log
    )
    AND NOT EXISTS (
        SELECT 1
        FROM nxs_counted AS start_log
        WHERE
            start_log.session_identifier = log.session_identifier
            AND start_log.instrument = log.instrument
            AND start_log.event_type = 'START'
            AND start_log.record_status NOT IN ('WAITING_FOR_END', 'TO_BE_BUILT')
    );

-- name: make_failed_upload_view()!
-- The latest attempt of each session at each destination, where that one failed. Of two attempts
-- the latest is that of the later instant, then of the higher id; naive times are UTC, and one that
-- cannot be read counts as the earliest. Only sessions and destinations with a failure are looked
-- at, mostly few; each attempt once, however many there are. The failures themselves are found by a
-- scan: an index for them would have to be there at revisions without the table.
CREATE TEMP VIEW IF NOT EXISTS nxs_failed_upload AS
SELECT id, session_identifier, destination_name
FROM (
    SELECT
        id, session_identifier, destination_name, success,
        row_number() OVER (
            PARTITION BY session_identifier, destination_name
            ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') DESC NULLS LAST, id DESC
        ) AS recency
    FROM upload_log
    WHERE (session_identifier, destination_name) IN (
        SELECT session_identifier, destination_name
        FROM upload_log
        WHERE success = FALSE
    )
) AS attempt
WHERE recency = 1 AND success = FALSE;
