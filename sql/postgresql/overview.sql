-- What differs in overview.sql on PostgreSQL.

-- name: list_identifiers_ending(ending, number)
-- As there; substr counts from the start only.
SELECT DISTINCT session_identifier
FROM session_log
WHERE right(session_identifier, length(:ending)) = :ending
LIMIT :number;
