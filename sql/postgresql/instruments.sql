-- What differs in instruments.sql on PostgreSQL.

-- name: list_own_tables_of_instruments()
-- None: PostgreSQL itself looks at the foreign keys of all tables, deferred or not.
SELECT '' AS name
WHERE FALSE;
