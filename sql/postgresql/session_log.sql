-- What differs in session_log.sql on PostgreSQL.

-- name: correct_event(session_identifier, instrument, timestamp, instant, event_type, record_status, user)
-- As there, with IS DISTINCT FROM for SQLite's IS NOT.
UPDATE session_log
SET
    timestamp = CASE
        WHEN stored.instant IS NOT DISTINCT FROM :instant THEN session_log.timestamp
        ELSE :timestamp
    END,
    "user" = :user,
    record_status = CASE
        WHEN :record_status = 'TO_BE_BUILT' THEN 'TO_BE_BUILT' ELSE session_log.record_status
    END
FROM nxs_event AS stored
WHERE
    session_log.id_session_log = (
        SELECT max(id_session_log)
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    )
    AND stored.id_session_log = session_log.id_session_log
    AND session_log.record_status IN ('WAITING_FOR_END', 'TO_BE_BUILT')
    AND (
        session_log."user" IS DISTINCT FROM :user
        OR (session_log.record_status = 'WAITING_FOR_END' AND :record_status = 'TO_BE_BUILT')
        OR stored.instant IS DISTINCT FROM :instant
    )
RETURNING
    session_log.session_identifier, session_log.instrument, session_log.timestamp,
    session_log.event_type, session_log.record_status, session_log."user",
    session_log.id_session_log;

-- name: list_pairs_to_build()
-- As there, without SQLite's unlikely().
SELECT
    waiting.session_identifier, waiting.instrument, start_log.id_session_log AS start_id,
    end_log.id_session_log AS end_id, start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp, coalesce(start_log."user", end_log."user") AS "user"
FROM (
    SELECT
        session_identifier, instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id
    FROM session_log
    WHERE record_status = 'TO_BE_BUILT'
    GROUP BY session_identifier, instrument
) AS waiting
LEFT JOIN nxs_counted AS start_log ON start_log.id_session_log = waiting.start_id
LEFT JOIN nxs_counted AS end_log ON end_log.id_session_log = waiting.end_id
WHERE start_log.id_session_log IS NOT NULL OR end_log.id_session_log IS NOT NULL
ORDER BY start_log.instant NULLS FIRST, start_log.id_session_log;

-- name: list_oldest_starts(after_instant, after_id, number)
-- As there. PostgreSQL takes ten times as long to read a time, so that few are read: in the order of
-- their texts, as many as are asked for; and those that can be before the last of these, since no
-- offset is longer than a day, or whose text says nothing of the day. Of 1,500 this takes a fifth of
-- the time.
SELECT instant, id_session_log, session_identifier, instrument
FROM nxs_event
WHERE
    record_status = 'TO_BE_BUILT'
    AND event_type = 'START'
    AND (
        timestamp COLLATE "C" < (
            SELECT
                CASE
                    WHEN count(*) = :number
                        THEN CAST(CAST(to_timestamp(max(instant) / 1000000) AS date) + 2 AS text)
                    ELSE ':'  -- sorts after all digits
                END
            FROM (
                SELECT instant
                FROM (
                    SELECT instant, id_session_log
                    FROM nxs_event
                    WHERE
                        record_status = 'TO_BE_BUILT'
                        AND event_type = 'START'
                        AND timestamp LIKE '20__-__-__T%'
                    ORDER BY timestamp COLLATE "C"
                    LIMIT 9223372036854775807
                ) AS by_text
                WHERE (instant, id_session_log) > (:after_instant, :after_id)
                LIMIT :number
            ) AS enough
        )
        OR timestamp NOT LIKE '____-__-__T%'
    )
    AND (instant, id_session_log) > (:after_instant, :after_id)
ORDER BY instant, id_session_log
LIMIT :number;
