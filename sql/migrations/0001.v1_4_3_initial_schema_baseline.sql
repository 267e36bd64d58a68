-- v1_4_3: the two tables NexusLIMS began with, instruments and session_log.
-- Mirrors NexusLIMS's migration v1_4_3_initial_schema_baseline.
-- depends:

-- Alembic's own table. IF NOT EXISTS, because NexusLIMS leaves it behind, empty, when it
-- downgrades to base.
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE instruments (
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

CREATE TABLE session_log (
    id_session_log INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp VARCHAR NOT NULL,
    event_type VARCHAR NOT NULL,
    record_status VARCHAR NOT NULL,
    "user" VARCHAR(50),
    PRIMARY KEY (id_session_log),
    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
);

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);

INSERT INTO alembic_version (version_num) VALUES ('v1_4_3');
