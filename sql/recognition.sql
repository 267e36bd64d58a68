-- What recognising a file asks of its tables; the rest is read from SQLite's catalogue.

-- name: list_revisions()
-- What the version rows say. One row is as it should be, none is base or a file without a
-- version, several are a damage that `stamp` mends. A few are enough to report.
SELECT version_num
FROM alembic_version
ORDER BY version_num
LIMIT 5;
