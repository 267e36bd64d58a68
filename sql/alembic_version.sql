-- Statements on alembic_version, the one row in which NexusLIMS keeps the database's revision.

-- name: add_revision(revision)!
-- The version row of a file that has none.
INSERT INTO alembic_version (version_num)
VALUES (:revision);

-- name: remove_revisions()!
-- Every version row, before the right one is written.
DELETE FROM alembic_version;
