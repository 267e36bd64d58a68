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
ORDER BY instant, id_session_log;

-- name: count_failed_sessions_since(since)
-- How many sessions of each status that needs a person ended at an instant or later. What cannot
-- be dated counts: nothing that failed is hidden.
SELECT record_status, count(*) AS sessions
FROM nxs_session
WHERE
    record_status IN ('ERROR', 'BUILT_NOT_EXPORTED')
    AND coalesce(end_instant, :since) >= :since
GROUP BY record_status;
