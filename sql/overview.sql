-- Statements that only people ask for, who look at the whole database.

-- name: get_last_build()^
-- The build that began last: SQLite walks the rows from the newest, and finds one soon where
-- builders work.
SELECT timestamp, timezone
FROM nxs_event
WHERE event_type = 'RECORD_GENERATION'
ORDER BY id_session_log DESC
LIMIT 1;

-- name: list_identifiers_ending(ending, number)
-- Sessions by the end of their identifier, which no index begins with: the index on the identifier
-- is read from one end to the other.
SELECT DISTINCT session_identifier
FROM session_log
WHERE substr(session_identifier, -length(:ending)) = :ending
LIMIT :number;

-- name: list_events_of_session(session_identifier)
-- All events of a session in the order of time, with the zone of their instrument.
SELECT
    timestamp, instrument, event_type, record_status, "user", id_session_log, timezone, instant
FROM nxs_event
WHERE session_identifier = :session_identifier
ORDER BY instant NULLS FIRST, id_session_log;

-- name: get_waiting_since()$
-- When the session ended that waits longest for its first build. A RECORD_GENERATION that is over
-- tells one that was built before and set to be built again: since when that one waits is not
-- stored. By the index on what is to be built.
SELECT min(end_instant)
FROM nxs_session AS session
WHERE
    record_status = 'TO_BE_BUILT'
    AND end_status = 'TO_BE_BUILT'
    AND start_instant <= end_instant
    AND NOT EXISTS (
        SELECT 1
        FROM session_log AS build
        WHERE
            build.session_identifier = session.session_identifier
            AND build.instrument = session.instrument
            AND build.event_type = 'RECORD_GENERATION'
            AND build.record_status <> 'WAITING_FOR_END'
    );

-- name: count_failed_sessions(since)
-- How many sessions of each status that needs a person ended at an instant or later, and how many
-- of these a reset has built again: with START and END, and no row without consent. What cannot be
-- dated counts: nothing that failed is hidden.
SELECT
    record_status,
    count(*) AS sessions,
    count(*) FILTER (
        WHERE
            start_instant IS NOT NULL
            AND end_id IS NOT NULL
            AND NOT EXISTS (
                SELECT 1
                FROM session_log AS log
                WHERE
                    log.session_identifier = session.session_identifier
                    AND log.instrument = session.instrument
                    AND log.record_status IN ('NO_CONSENT', 'NO_RESERVATION')
            )
    ) AS retriable
FROM nxs_session AS session
WHERE
    record_status IN ('ERROR', 'BUILT_NOT_EXPORTED')
    AND coalesce(end_instant, :since) >= :since
GROUP BY record_status;
