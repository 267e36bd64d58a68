-- Statements on alembic_version, the one row in which NexusLIMS keeps the database's revision.

-- name: list_revisions()
-- What the version rows say. One row is as it should be, none is base or a file without a
-- version, several are a damage that `stamp` mends. A few are enough to report.
SELECT version_num
FROM alembic_version
ORDER BY version_num
LIMIT 5;

-- name: add_revision(revision)!
-- The version row of a file that has none.
INSERT INTO alembic_version (version_num)
VALUES (:revision);

-- name: remove_revisions()!
-- Every version row, before the right one is written.
DELETE FROM alembic_version;
