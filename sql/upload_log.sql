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
-- All attempts for a session, in the order of time.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
WHERE session_identifier = :session_identifier
ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') NULLS FIRST, id;

-- name: list_latest_uploads(session_identifier)
-- The latest attempt at each destination of a session.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM (
    SELECT
        session_identifier, destination_name, success, timestamp, record_id, record_url,
        error_message, metadata_json, id,
        row_number() OVER (
            PARTITION BY destination_name
            ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') DESC NULLS LAST, id DESC
        ) AS recency
    FROM upload_log
    WHERE session_identifier = :session_identifier
) AS attempt
WHERE recency = 1
ORDER BY destination_name;

-- name: list_latest_successes(session_identifier)
-- Whether the latest attempt at each destination of a session succeeded; as in
-- list_latest_uploads, without the columns of which an odd one would be in the way.
SELECT success = TRUE AS succeeded
FROM (
    SELECT
        success,
        row_number() OVER (
            PARTITION BY destination_name
            ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') DESC NULLS LAST, id DESC
        ) AS recency
    FROM upload_log
    WHERE session_identifier = :session_identifier
) AS attempt
WHERE recency = 1;

-- name: list_failed_uploads()
-- Sessions and destinations whose latest attempt failed. Only those with a failure are looked at,
-- mostly few; each attempt once, however many there are. The failures themselves are found by a
-- scan: an index for them would have to be there at revisions without the table.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM (
    SELECT
        session_identifier, destination_name, success, timestamp, record_id, record_url,
        error_message, metadata_json, id,
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
WHERE recency = 1 AND success = FALSE
ORDER BY session_identifier, destination_name;

-- name: delete_uploads_of_session(session_identifier)!
-- All attempts for a session, when the session itself is deleted.
DELETE FROM upload_log
WHERE session_identifier = :session_identifier;

-- name: count_failed_uploads()
-- At each destination, how many sessions have a latest attempt that failed; as in
-- list_failed_uploads.
SELECT destination_name, count(*) AS sessions
FROM (
    SELECT
        destination_name, success,
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
WHERE recency = 1 AND success = FALSE
GROUP BY destination_name
ORDER BY destination_name;

-- name: list_all_uploads()
-- All attempts, in the order of time.
SELECT
    session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json, id
FROM upload_log
ORDER BY nxs_instant(CAST(timestamp AS BLOB), 'UTC') NULLS FIRST, id;
