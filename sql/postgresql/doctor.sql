-- Where the doctor's statements differ on PostgreSQL, which has no rowid: the key stands in for it,
-- and for instruments, whose key is a text, their number in its order.

-- name: list_instruments_rows(first_rowid, number)
-- A lot of rows of instruments.
SELECT
    nxs_rowid, instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone AS timezone_str
FROM (
    SELECT
        row_number() OVER (ORDER BY instrument_pid) AS nxs_rowid, instrument_pid, api_url,
        calendar_url, location, display_name, property_tag, filestore_path, harvester, timezone
    FROM instruments
) AS numbered
WHERE nxs_rowid >= :first_rowid
ORDER BY nxs_rowid
LIMIT :number;

-- name: list_session_log_rows(first_rowid, number)
-- A lot of rows of session_log.
SELECT
    id_session_log AS nxs_rowid, session_identifier, instrument, timestamp, event_type,
    record_status, "user", id_session_log
FROM session_log
WHERE id_session_log >= :first_rowid
ORDER BY id_session_log
LIMIT :number;

-- name: list_upload_log_rows(first_rowid, number)
-- A lot of rows of upload_log.
SELECT
    id AS nxs_rowid, session_identifier, destination_name, success, timestamp, record_id,
    record_url, error_message, metadata_json, id
FROM upload_log
WHERE id >= :first_rowid
ORDER BY id
LIMIT :number;

-- name: list_external_user_identifiers_rows(first_rowid, number)
-- A lot of rows of external_user_identifiers.
SELECT
    id AS nxs_rowid, nexuslims_username, external_system, external_id, email, created_at,
    last_verified_at, notes, id
FROM external_user_identifiers
WHERE id >= :first_rowid
ORDER BY id
LIMIT :number;

-- name: get_last_rowid_of_instruments()$
-- How far there is to read.
SELECT count(*) FROM instruments;

-- name: get_last_rowid_of_session_log()$
-- The same of session_log.
SELECT max(id_session_log) FROM session_log;

-- name: get_last_rowid_of_upload_log()$
-- The same of upload_log.
SELECT max(id) FROM upload_log;

-- name: get_last_rowid_of_external_user_identifiers()$
-- The same of external_user_identifiers.
SELECT max(id) FROM external_user_identifiers;

-- name: get_zone_of_instrument(instrument_pid)^
-- Whether an instrument is there, and in which time zone.
SELECT timezone
FROM instruments
WHERE instrument_pid = convert_from(:instrument_pid, 'UTF8');
