-- What a database of PostgreSQL is asked about itself. SQLite's is read by tables.py.

-- name: list_columns()
-- The tables and views of the schema that statements find them in, with their columns.
SELECT relation.relname, attribute.attname
FROM pg_class AS relation
INNER JOIN pg_attribute AS attribute
    ON
        attribute.attrelid = relation.oid
        AND attribute.attnum > 0
        AND NOT attribute.attisdropped
WHERE
    relation.relnamespace = to_regnamespace(current_schema())
    AND relation.relkind IN ('r', 'p', 'v', 'm', 'f');

-- name: get_hash_of_own()$
-- Of which post-apply.sql this package's own index and function are: by yoyo's log of it.
SELECT migration_hash
FROM _yoyo_log
WHERE migration_id = 'post-apply' AND to_regclass('nxs_session_log_to_build') IS NOT NULL
ORDER BY created_at_utc DESC
LIMIT 1;

-- name: get_size()$
-- How much room the database takes, in bytes.
SELECT pg_database_size(current_database());
