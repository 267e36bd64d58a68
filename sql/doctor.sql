-- Statements of the doctor, which must work at every revision, and on tables that are not quite
-- as they should be: they name only columns which are the same everywhere.
--
-- The rows of a table are read some thousand at a time, each lot by a statement of its own, so
-- that programs which want to write are never kept waiting for the whole of a large table. The
-- columns are the fields of the table's model, after the rowid.

-- name: list_instruments_rows(first_rowid, number)
-- A lot of rows of instruments, from a rowid on.
SELECT
    rowid AS nxs_rowid, instrument_pid, api_url, calendar_url, location, display_name,
    property_tag, filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE rowid >= :first_rowid
ORDER BY rowid
LIMIT :number;

-- name: list_older_instruments_rows(first_rowid, number)
-- The same before v2_5_0b, where display_name was schema_name.
SELECT
    rowid AS nxs_rowid, instrument_pid, api_url, calendar_url, location,
    schema_name AS display_name, property_tag, filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE rowid >= :first_rowid
ORDER BY rowid
LIMIT :number;

-- name: list_session_log_rows(first_rowid, number)
-- A lot of rows of session_log, from a rowid on.
SELECT
    rowid AS nxs_rowid, session_identifier, instrument, timestamp, event_type, record_status,
    "user", id_session_log
FROM session_log
WHERE rowid >= :first_rowid
ORDER BY rowid
LIMIT :number;

-- name: list_upload_log_rows(first_rowid, number)
-- A lot of rows of upload_log, from a rowid on.
SELECT
    rowid AS nxs_rowid, session_identifier, destination_name, success, timestamp, record_id,
    record_url, error_message, metadata_json, id
FROM upload_log
WHERE rowid >= :first_rowid
ORDER BY rowid
LIMIT :number;

-- name: list_external_user_identifiers_rows(first_rowid, number)
-- A lot of rows of external_user_identifiers, from a rowid on.
SELECT
    rowid AS nxs_rowid, nexuslims_username, external_system, external_id, email, created_at,
    last_verified_at, notes, id
FROM external_user_identifiers
WHERE rowid >= :first_rowid
ORDER BY rowid
LIMIT :number;

-- name: list_unknown_instruments()
-- Events on instruments that are not there. Not by foreign_key_check, which says nothing where
-- a table lacks its foreign key.
SELECT id_session_log, session_identifier, instrument, event_type
FROM session_log
WHERE NOT EXISTS (
    SELECT 1
    FROM instruments
    WHERE instrument_pid = session_log.instrument
)
ORDER BY id_session_log;

-- name: list_repeated_events()
-- STARTs and ENDs that are stored more than once: two harvesters that looked, and then inserted.
-- Grouped rather than looked up one by one: older files have no index on the session.
SELECT
    session_identifier,
    instrument,
    event_type,
    count(*) AS events,
    min(id_session_log) AS first_id,
    max(id_session_log) AS last_id,
    group_concat(id_session_log, ', ') AS ids
FROM session_log
WHERE event_type IN ('START', 'END')
GROUP BY session_identifier, instrument, event_type
HAVING count(*) > 1
ORDER BY last_id;

-- name: list_orphaned_uploads()
-- Attempts to export the record of a session that has no events.
SELECT id, session_identifier, destination_name
FROM upload_log
WHERE session_identifier NOT IN (
    SELECT session_identifier
    FROM session_log
    WHERE session_identifier IS NOT NULL
)
ORDER BY id;

-- name: list_stale_claims(lease_start)
-- Builders that said they had begun, before lease_start (an instant), and not how it ended.
SELECT
    claim.id_session_log, claim.session_identifier, claim.instrument, claim.timestamp
FROM session_log AS claim
LEFT JOIN instruments ON instruments.instrument_pid = claim.instrument
WHERE
    claim.event_type = 'RECORD_GENERATION'
    AND claim.record_status = 'WAITING_FOR_END'
    AND nxs_instant(CAST(claim.timestamp AS BLOB), instruments.timezone) <= :lease_start
ORDER BY claim.id_session_log;
