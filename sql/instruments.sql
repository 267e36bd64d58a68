-- Statements on instruments, one row for each instrument of the facility.
-- The column timezone is the models' field timezone_str; NexusLIMS has both names.

-- name: get_instrument(instrument_pid)^
-- The instrument of a PID, by the primary key.
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: get_instrument_by_api_url(api_url)^
-- The instrument behind a scheduler's address, exactly: "…?id=1" is not "…?id=10".
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
FROM instruments
WHERE api_url = :api_url;

-- name: list_instruments()
-- All instruments in the order of their PIDs.
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
FROM instruments
ORDER BY instrument_pid;

-- name: get_timezone(instrument_pid)^
-- The zone that an instrument's naive times are in.
SELECT timezone
FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: add_instrument(instrument_pid, api_url, calendar_url, location, display_name, property_tag, filestore_path, harvester, timezone)!
-- A new instrument. A PID or api_url that is taken fails on its UNIQUE.
INSERT INTO instruments (
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
)
VALUES (
    :instrument_pid, :api_url, :calendar_url, :location, :display_name, :property_tag,
    :filestore_path, :harvester, :timezone
);

-- name: update_instrument(instrument_pid, api_url, calendar_url, location, display_name, property_tag, filestore_path, harvester, timezone)!
-- All columns but the key; changes no row where the PID is not known.
UPDATE instruments
SET
    api_url = :api_url,
    calendar_url = :calendar_url,
    location = :location,
    display_name = :display_name,
    property_tag = :property_tag,
    filestore_path = :filestore_path,
    harvester = :harvester,
    timezone = :timezone
WHERE instrument_pid = :instrument_pid;

-- name: set_api_url_aside(instrument_pid, set_aside)!
-- Frees the api_url of an instrument that is about to get another: SQLite looks at UNIQUE after
-- each row, so two could not exchange theirs. The PID makes what stands in its place unique.
UPDATE instruments
SET api_url = :set_aside || instrument_pid
WHERE instrument_pid = :instrument_pid;

-- name: rename_instrument(instrument_pid, new_pid)!
-- Another key for the same row, so that a facility's own columns stay with it; foreign keys are
-- deferred meanwhile, since its session logs follow with the next statement.
UPDATE instruments
SET instrument_pid = :new_pid
WHERE instrument_pid = :instrument_pid;

-- name: rename_instrument_of_logs(instrument_pid, new_pid)!
-- Scans session_log, which NexusLIMS has not indexed by instrument.
UPDATE session_log
SET instrument = :new_pid
WHERE instrument = :instrument_pid;

-- name: list_own_references_to_instruments()
-- The foreign keys of a facility's own that refer to instruments: of which table, the statement that
-- counts the rows which refer to one instrument, compared as SQLite does (instruments themselves but
-- for one), and whether they would not follow a new PID.
SELECT
    own.name,
    'SELECT count(*) FROM "' || replace(own.name, '"', '""') || '" AS own'
    || ' INNER JOIN instruments AS one ON '
    || group_concat(
        'one."' || coalesce(replace(reference."to", '"', '""'), 'instrument_pid')
        || '" = own."' || replace(reference."from", '"', '""') || '"',
        ' AND '
    )
    || ' WHERE one.instrument_pid = :instrument_pid'
    || CASE
        WHEN lower(own.name) = 'instruments' THEN ' AND own.instrument_pid IS NOT :but'
        ELSE ''
    END AS counting,
    max(lower(coalesce(reference."to", 'instrument_pid')) = 'instrument_pid')
    AND reference.on_update <> 'CASCADE' AS stays
FROM sqlite_schema AS own
INNER JOIN pragma_foreign_key_list(own.name) AS reference
    ON lower(reference."table") = 'instruments'
WHERE
    own.type = 'table'
    AND NOT (lower(own.name) = 'session_log' AND lower(reference."from") = 'instrument')
GROUP BY own.name, reference.id
ORDER BY own.name;

-- name: list_own_tables_of_instruments()
-- Tables of a facility's own that refer to instruments, or to a table that does: a PID may follow
-- from one to the next.
WITH RECURSIVE following (name) AS (
    SELECT 'instruments'
    UNION
    SELECT lower(own.name)
    FROM following
    INNER JOIN sqlite_schema AS own ON own.type = 'table' AND lower(own.name) <> 'session_log'
    INNER JOIN pragma_foreign_key_list(own.name) AS reference
        ON lower(reference."table") = following.name
)
SELECT replace(name, '"', '""') AS name  -- as it stands in quotes
FROM following;

-- name: remove_instrument(instrument_pid)!
-- The instrument of a PID, to which nothing refers any more.
DELETE FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: count_logs_of_instrument(instrument_pid)$
-- How many session logs stand in the way of removing an instrument. Scans session_log, which
-- NexusLIMS has not indexed by instrument; asked only after a removal was refused.
SELECT count(*)
FROM session_log
WHERE instrument = :instrument_pid;

-- name: list_activity()
-- How much each instrument was used: its sessions, by the START that counts of each (views.sql),
-- and the start of the last one. Scans session_log, as there is no index by instrument or time.
SELECT
    instruments.instrument_pid,
    coalesce(used.sessions_total, 0) AS sessions_total,
    used.last_instant,
    instruments.timezone
FROM instruments
LEFT JOIN (
    SELECT instrument, count(*) AS sessions_total, max(instant) AS last_instant
    FROM nxs_counted
    WHERE event_type = 'START'
    GROUP BY instrument
) AS used ON used.instrument = instruments.instrument_pid
ORDER BY instruments.instrument_pid;
