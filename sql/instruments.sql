-- Statements on instruments, one row for each instrument of the facility.
-- The column timezone is the models' field timezone_str.

-- name: get_instrument(instrument_pid)^
-- The instrument of a PID, by the primary key.
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: get_instrument_by_api_url(api_url)^
-- The instrument behind a scheduler's address, exactly: "…?id=1" is not "…?id=10".
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone AS timezone_str
FROM instruments
WHERE api_url = :api_url;

-- name: list_instruments()
-- All instruments in the order of their PIDs.
SELECT
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone AS timezone_str
FROM instruments
ORDER BY instrument_pid;

-- name: get_timezone(instrument_pid)^
-- The zone that an instrument's naive times are in.
SELECT timezone
FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: add_instrument(instrument_pid, api_url, calendar_url, location, display_name, property_tag, filestore_path, harvester, timezone_str)!
-- A new instrument. A PID or api_url that is taken fails on its UNIQUE.
INSERT INTO instruments (
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
)
VALUES (
    :instrument_pid, :api_url, :calendar_url, :location, :display_name, :property_tag,
    :filestore_path, :harvester, :timezone_str
);

-- name: update_instrument(instrument_pid, api_url, calendar_url, location, display_name, property_tag, filestore_path, harvester, timezone_str)!
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
    timezone = :timezone_str
WHERE instrument_pid = :instrument_pid;

-- name: remove_instrument(instrument_pid)!
-- Fails on the foreign key while session logs refer to the instrument.
DELETE FROM instruments
WHERE instrument_pid = :instrument_pid;

-- name: count_logs_of_instrument(instrument_pid)$
-- How many session logs stand in the way of removing an instrument. Scans session_log, which
-- NexusLIMS has not indexed by instrument; asked only after a removal was refused.
SELECT count(*)
FROM session_log
WHERE instrument = :instrument_pid;

-- name: list_activity()
-- How much each instrument was used: its sessions (by their START; one that a harvester
-- inserted twice counts once) and the start of the last one. Scans session_log, as there is
-- no index by instrument or time.
SELECT
    instruments.instrument_pid,
    count(DISTINCT started.session_identifier) AS sessions_total,
    max(nxs_instant(CAST(started.timestamp AS BLOB), instruments.timezone)) AS last_instant,
    instruments.timezone AS timezone_str
FROM instruments
LEFT JOIN session_log AS started
    ON started.instrument = instruments.instrument_pid AND started.event_type = 'START'
GROUP BY instruments.instrument_pid
ORDER BY instruments.instrument_pid;
