-- What recognising a file asks of its tables; the rest is read from SQLite's catalogue.

-- name: list_revisions()
-- What the version rows say. One row is as it should be, none is base or a file without a
-- version, several are a damage that `stamp` mends. A few are enough to report.
SELECT version_num
FROM alembic_version
ORDER BY version_num
LIMIT 5;

-- name: has_instruments()$
-- Whether the table has a row. Asked of tables that an unfinished upgrade may have made: only an
-- empty one may be removed.
SELECT EXISTS (SELECT 1 FROM instruments);

-- name: has_session_log()$
-- The same of session_log.
SELECT EXISTS (SELECT 1 FROM session_log);

-- name: has_upload_log()$
-- The same of upload_log.
SELECT EXISTS (SELECT 1 FROM upload_log);

-- name: has_external_user_identifiers()$
-- The same of external_user_identifiers.
SELECT EXISTS (SELECT 1 FROM external_user_identifiers);
