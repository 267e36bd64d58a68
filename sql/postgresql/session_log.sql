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
-- As there, without SQLite's + before a column.
SELECT
    session_identifier, instrument,
    max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
    max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id,
    max(timestamp) FILTER (WHERE event_type = 'START') AS start_timestamp,
    max(timestamp) FILTER (WHERE event_type = 'END') AS end_timestamp,
    coalesce(
        max("user") FILTER (WHERE event_type = 'START'),
        max("user") FILTER (WHERE event_type = 'END')
    ) AS "user"
FROM nxs_counted
WHERE record_status = 'TO_BE_BUILT' AND event_type IN ('START', 'END')
GROUP BY session_identifier, instrument
ORDER BY max(instant) FILTER (WHERE event_type = 'START') NULLS FIRST, start_id;
