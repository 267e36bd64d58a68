-- What differs in instruments.sql on PostgreSQL.

-- name: list_own_tables_of_instruments()
-- None: PostgreSQL itself looks at the foreign keys of all tables, deferred or not.
SELECT '' AS name
WHERE FALSE;

-- name: list_own_references_to_instruments()
-- The same from PostgreSQL's catalogue. Partitions have the foreign keys of their table too.
SELECT
    own.relname AS name,
    'SELECT count(*) FROM '
    || replace(CAST(CAST(own.oid AS regclass) AS text), '%', '%%')
    || ' AS own INNER JOIN instruments AS one ON '
    || string_agg(
        'one.' || replace(quote_ident(parent.attname), '%', '%%')
        || ' = own.' || replace(quote_ident(child.attname), '%', '%%'),
        ' AND '
    )
    || ' WHERE one.instrument_pid = %(instrument_pid)s'
    || CASE
        WHEN reference.conrelid = reference.confrelid
            THEN ' AND own.instrument_pid IS DISTINCT FROM %(but)s'
        ELSE ''
    END AS counting,
    bool_or(parent.attname = 'instrument_pid') AND reference.confupdtype <> 'c' AS stays
FROM pg_constraint AS reference
INNER JOIN pg_class AS own ON own.oid = reference.conrelid
CROSS JOIN LATERAL unnest(reference.conkey, reference.confkey) AS pair (child, parent)
INNER JOIN pg_attribute AS child
    ON child.attrelid = reference.conrelid AND child.attnum = pair.child
INNER JOIN pg_attribute AS parent
    ON parent.attrelid = reference.confrelid AND parent.attnum = pair.parent
WHERE
    reference.contype = 'f'
    AND reference.confrelid = to_regclass('instruments')
    AND reference.conparentid = 0
    AND NOT (reference.conrelid = to_regclass('session_log') AND child.attname = 'instrument')
GROUP BY
    own.oid, own.relname, reference.oid, reference.confupdtype, reference.conrelid,
    reference.confrelid
ORDER BY own.relname;
