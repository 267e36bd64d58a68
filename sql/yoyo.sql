-- What is asked of yoyo's own tables; yoyo itself writes them.

-- name: list_marks()
-- The migrations that yoyo has marked as applied, those of other programs in the file included.
SELECT migration_id
FROM _yoyo_migration;

-- name: get_table_version()$
-- The version of yoyo's own tables.
SELECT max(version)
FROM _yoyo_version;
