-- v2_5_0b: instruments without calendar_name and the computer_* columns; schema_name becomes
-- display_name.
-- Mirrors NexusLIMS's migration v2_5_0b_remove_computer_fields.
-- depends: 0004.v2_5_0a_add_external_user_identifiers

-- Made anew rather than altered column by column: SQLite cannot drop a UNIQUE column.
CREATE TABLE instruments_new (
    instrument_pid VARCHAR(100) NOT NULL,
    api_url VARCHAR NOT NULL,
    calendar_url VARCHAR NOT NULL,
    location VARCHAR(100) NOT NULL,
    display_name VARCHAR NOT NULL,
    property_tag VARCHAR(20) NOT NULL,
    filestore_path VARCHAR NOT NULL,
    harvester VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    PRIMARY KEY (instrument_pid),
    UNIQUE (api_url)
);

-- Files from before 2.2 may hold NULL as harvester; 'nemo' is NexusLIMS's documented default.
INSERT INTO instruments_new (
    instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
)
SELECT
    instrument_pid, api_url, calendar_url, location, schema_name, property_tag,
    filestore_path, coalesce(harvester, 'nemo'), timezone
FROM instruments
ORDER BY rowid;

DROP TABLE instruments;

ALTER TABLE instruments_new RENAME TO instruments;

UPDATE alembic_version SET version_num = 'v2_5_0b' WHERE version_num = 'v2_5_0a';
