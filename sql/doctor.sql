-- Statements of the doctor, which must work at every revision, and on tables that are not quite
-- as they should be: they name only columns which are the same everywhere.
--
-- The rows of a table are read some thousand at a time, each lot by a statement of its own, so
-- that programs which want to write are never kept waiting for the whole of a large table. The
-- columns are the fields of the table's model, after the rowid.

-- name: list_instruments_rows(first_rowid, number)
-- A lot of rows of instruments, from a rowid on.
SELECT
    _rowid_ AS nxs_rowid, instrument_pid, api_url, calendar_url, location, display_name,
    property_tag, filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE _rowid_ >= :first_rowid
ORDER BY _rowid_
LIMIT :number;

-- name: list_older_instruments_rows(first_rowid, number)
-- The same before v2_5_0b, where display_name was schema_name.
SELECT
    _rowid_ AS nxs_rowid, instrument_pid, api_url, calendar_url, location,
    schema_name AS display_name, property_tag, filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE _rowid_ >= :first_rowid
ORDER BY _rowid_
LIMIT :number;

-- name: list_session_log_rows(first_rowid, number)
-- A lot of rows of session_log, from a rowid on.
SELECT
    _rowid_ AS nxs_rowid, session_identifier, instrument, timestamp, event_type, record_status,
    "user", id_session_log
FROM session_log
WHERE _rowid_ >= :first_rowid
ORDER BY _rowid_
LIMIT :number;

-- name: list_upload_log_rows(first_rowid, number)
-- A lot of rows of upload_log, from a rowid on.
SELECT
    _rowid_ AS nxs_rowid, session_identifier, destination_name, success, timestamp, record_id,
    record_url, error_message, metadata_json, id
FROM upload_log
WHERE _rowid_ >= :first_rowid
ORDER BY _rowid_
LIMIT :number;

-- name: list_external_user_identifiers_rows(first_rowid, number)
-- A lot of rows of external_user_identifiers, from a rowid on.
SELECT
    _rowid_ AS nxs_rowid, nexuslims_username, external_system, external_id, email, created_at,
    last_verified_at, notes, id
FROM external_user_identifiers
WHERE _rowid_ >= :first_rowid
ORDER BY _rowid_
LIMIT :number;

-- name: get_last_rowid_of_instruments()$
-- How far there is to read, as a look-up rather than a count.
SELECT max(_rowid_) FROM instruments;

-- name: get_last_rowid_of_session_log()$
-- The same of session_log.
SELECT max(_rowid_) FROM session_log;

-- name: get_last_rowid_of_upload_log()$
-- The same of upload_log.
SELECT max(_rowid_) FROM upload_log;

-- name: get_last_rowid_of_external_user_identifiers()$
-- The same of external_user_identifiers.
SELECT max(_rowid_) FROM external_user_identifiers;

-- name: get_zone_of_instrument(instrument_pid)^
-- Whether an instrument is there, and in which time zone. Given as a BLOB, since the PID that an
-- event refers to need not be valid UTF-8.
SELECT timezone
FROM instruments
WHERE instrument_pid = CAST(:instrument_pid AS TEXT);

-- What follows is asked of a copy of the columns that count, in a database of the doctor's own.

-- name: make_copy_of_events()!
CREATE TEMP TABLE IF NOT EXISTS nxs_copied_event (
    id_session_log, session_identifier, instrument, event_type
);

-- name: make_copy_of_uploads()!
CREATE TEMP TABLE IF NOT EXISTS nxs_copied_upload (id, session_identifier, destination_name);

-- name: copy_event(id_session_log, session_identifier, instrument, event_type)!
INSERT INTO nxs_copied_event (id_session_log, session_identifier, instrument, event_type)
VALUES (:id_session_log, :session_identifier, :instrument, :event_type);

-- name: copy_upload(id, session_identifier, destination_name)!
INSERT INTO nxs_copied_upload (id, session_identifier, destination_name)
VALUES (:id, :session_identifier, :destination_name);

-- name: list_repeated_events()
-- STARTs and ENDs that are stored more than once: two harvesters that looked, and then inserted.
SELECT
    session_identifier,
    instrument,
    event_type,
    count(*) AS events,
    max(id_session_log) AS last_id,
    group_concat(id_session_log, ', ') AS ids
FROM nxs_copied_event
WHERE event_type IN ('START', 'END')
GROUP BY session_identifier, instrument, event_type
HAVING count(*) > 1
ORDER BY last_id;

-- name: list_shared_identifiers()
-- Sessions whose STARTs or ENDs are on more than one instrument.
SELECT
    session_identifier,
    min(instrument) AS first_instrument,
    max(instrument) AS last_instrument,
    max(id_session_log) AS last_id
FROM nxs_copied_event
WHERE event_type IN ('START', 'END')
GROUP BY session_identifier
HAVING min(instrument) <> max(instrument)
ORDER BY last_id;

-- name: list_orphaned_uploads()
-- Attempts to export the record of a session that has no events.
SELECT id, session_identifier, destination_name
FROM nxs_copied_upload
WHERE session_identifier NOT IN (SELECT session_identifier FROM nxs_copied_event)
ORDER BY id;
