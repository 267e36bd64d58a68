-- Statements on upload_log, one row for each attempt to export a session's record.
-- Of two attempts the latest is the one of the later instant, then of the higher id; naive times
-- are UTC. A time that cannot be read counts as the earliest.

-- name: insert_upload_log(session_identifier, destination_name, success, timestamp, record_id, record_url, error_message, metadata_json)
-- One attempt; returns its id.
INSERT INTO upload_log (
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json
)
VALUES (
    :session_identifier, :destination_name, :success, :timestamp, :record_id, :record_url,
    :error_message, :metadata_json
)
RETURNING id;

-- name: list_uploads_of_session(session_identifier)
-- All attempts for a session, in the order of time: the last at a destination is its latest.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
WHERE session_identifier = :session_identifier
ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') NULLS FIRST, id;

-- name: list_failed_uploads()
-- Sessions and destinations whose latest attempt failed (views.sql).
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
WHERE id IN (SELECT id FROM nxs_failed_upload)
ORDER BY session_identifier, destination_name;

-- name: delete_uploads_of_session(session_identifier)!
-- All attempts for a session, when the session itself is deleted.
DELETE FROM upload_log
WHERE session_identifier = :session_identifier;

-- name: count_failed_uploads()
-- At each destination, how many sessions have a latest attempt that failed.
SELECT destination_name, count(*) AS sessions
FROM nxs_failed_upload
GROUP BY destination_name
ORDER BY destination_name;

-- name: list_all_uploads()
-- All attempts, in the order of time.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') NULLS FIRST, id;

-- name: list_latest_uploads(number)
-- The latest attempts of all, in the order of time. No index is in the order of instants, so all
-- times are looked at; but only as many are kept as are asked for, and only those rows are read.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
WHERE id IN (
    SELECT id
    FROM upload_log
    ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') DESC NULLS LAST, id DESC
    LIMIT :number
)
ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') NULLS FIRST, id;
