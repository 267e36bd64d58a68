-- Statements on external_user_identifiers: who a NexusLIMS user is in other systems.

-- name: get_external_id(nexuslims_username, external_system)^
-- A user's identifier in a system, by the UNIQUE of both columns.
SELECT external_id
FROM external_user_identifiers
WHERE nexuslims_username = :nexuslims_username AND external_system = :external_system;

-- name: find_username(external_id, external_system)^
-- The user behind a system's identifier.
SELECT nexuslims_username
FROM external_user_identifiers
WHERE external_system = :external_system AND external_id = :external_id;

-- name: store_external_id(nexuslims_username, external_system, external_id, email, notes, now)
-- Inserts or updates in one statement, so that processes which store the same pair at once leave
-- one row. An update keeps id, created_at, and an email and notes that are not given.
INSERT INTO external_user_identifiers (
    nexuslims_username, external_system, external_id, email, created_at, notes
)
VALUES (:nexuslims_username, :external_system, :external_id, :email, :now, :notes)
ON CONFLICT (nexuslims_username, external_system) DO UPDATE
SET
    external_id = excluded.external_id,
    email = coalesce(excluded.email, external_user_identifiers.email),
    notes = coalesce(excluded.notes, external_user_identifiers.notes),
    last_verified_at = :now
RETURNING
    nexuslims_username, external_system, external_id, email, created_at, last_verified_at,
    notes, id;

-- name: insert_external_id(nexuslims_username, external_system, external_id, email, created_at, last_verified_at, notes)!
-- A row of another list, with that one's dates.
INSERT INTO external_user_identifiers (
    nexuslims_username, external_system, external_id, email, created_at, last_verified_at, notes
)
VALUES (
    :nexuslims_username, :external_system, :external_id, :email, :created_at, :last_verified_at,
    :notes
);

-- name: update_external_id(nexuslims_username, external_system, external_id, email, notes, now)!
-- As store_external_id where the row is there.
UPDATE external_user_identifiers
SET
    external_id = :external_id,
    email = coalesce(:email, email),
    notes = coalesce(:notes, notes),
    last_verified_at = :now
WHERE nexuslims_username = :nexuslims_username AND external_system = :external_system;

-- name: set_external_id_aside(nexuslims_username, external_system, set_aside)!
-- Frees the identifier of a row that is about to get another: SQLite looks at UNIQUE after each
-- row, so two users could not exchange theirs. The id makes what stands in its place unique.
UPDATE external_user_identifiers
SET external_id = :set_aside || id
WHERE nexuslims_username = :nexuslims_username AND external_system = :external_system;

-- name: move_external_id(nexuslims_username, external_system, new_username)!
-- A user's identifier in a system, with all that its row holds, becomes another user's.
UPDATE external_user_identifiers
SET nexuslims_username = :new_username
WHERE nexuslims_username = :nexuslims_username AND external_system = :external_system;

-- name: list_external_ids_of_user(nexuslims_username)
-- A user's identifiers in all systems.
SELECT
    nexuslims_username, external_system, external_id, email, created_at, last_verified_at,
    notes, id
FROM external_user_identifiers
WHERE nexuslims_username = :nexuslims_username
ORDER BY external_system;

-- name: list_external_ids()
-- All identifiers, by user and system.
SELECT
    nexuslims_username, external_system, external_id, email, created_at, last_verified_at,
    notes, id
FROM external_user_identifiers
ORDER BY nexuslims_username, external_system;

-- name: remove_external_id(nexuslims_username, external_system)!
-- A user's identifier in one system.
DELETE FROM external_user_identifiers
WHERE nexuslims_username = :nexuslims_username AND external_system = :external_system;
