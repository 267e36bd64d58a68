-- as a downgrade by NexusLIMS leaves it
-- By Alembic, which adds calendar_name at the end and does not bring the UNIQUEs back.

CREATE TABLE instruments (
    instrument_pid VARCHAR(100) NOT NULL,
    api_url VARCHAR NOT NULL,
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
    calendar_name VARCHAR,
    PRIMARY KEY (instrument_pid),
    UNIQUE (api_url)
);

CREATE TABLE session_log (
    id_session_log INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp VARCHAR NOT NULL,
    event_type VARCHAR(17) NOT NULL,
    record_status VARCHAR(18) NOT NULL,
    "user" VARCHAR(50),
    PRIMARY KEY (id_session_log),
    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
);

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);
