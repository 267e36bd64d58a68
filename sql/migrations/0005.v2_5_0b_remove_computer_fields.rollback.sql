-- From v2_5_0b back to v2_5_0a: instruments with its former columns, which nothing can fill:
-- calendar_name, which must not be NULL, is empty, the computer_* columns are NULL.

CREATE TABLE instruments_old (
    instrument_pid VARCHAR(100) NOT NULL,
    api_url VARCHAR NOT NULL,
    calendar_name VARCHAR NOT NULL,
    calendar_url VARCHAR NOT NULL,
    location VARCHAR(100) NOT NULL,
    schema_name VARCHAR NOT NULL,
    property_tag VARCHAR(20) NOT NULL,
    filestore_path VARCHAR NOT NULL,
    harvester VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    computer_name VARCHAR,
    computer_ip VARCHAR(15),
    computer_mount VARCHAR,
    PRIMARY KEY (instrument_pid),
    UNIQUE (api_url),
    UNIQUE (computer_name),
    UNIQUE (computer_ip)
);

INSERT INTO instruments_old (
    instrument_pid, api_url, calendar_name, calendar_url, location, schema_name, property_tag,
    filestore_path, harvester, timezone
)
SELECT
    instrument_pid, api_url, '', calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone
FROM instruments
ORDER BY rowid;

DROP TABLE instruments;

ALTER TABLE instruments_old RENAME TO instruments;

UPDATE alembic_version SET version_num = 'v2_5_0a' WHERE version_num = 'v2_5_0b';
