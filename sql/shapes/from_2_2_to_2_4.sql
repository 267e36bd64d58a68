-- as NexusLIMS 2.2 to 2.4 made it
-- From its models: a time may be NULL.

CREATE TABLE session_log (
    id_session_log INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp VARCHAR,
    event_type VARCHAR(17) NOT NULL,
    record_status VARCHAR(15) NOT NULL,
    "user" VARCHAR(50),
    PRIMARY KEY (id_session_log),
    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
);

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);

CREATE TABLE upload_log (
    id INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    destination_name VARCHAR(100) NOT NULL,
    success BOOLEAN NOT NULL,
    timestamp VARCHAR,
    record_id VARCHAR(255),
    record_url VARCHAR(500),
    error_message VARCHAR,
    metadata_json VARCHAR,
    PRIMARY KEY (id)
);

CREATE INDEX ix_upload_log_session_identifier ON upload_log (session_identifier);

CREATE INDEX ix_upload_log_destination_name ON upload_log (destination_name);
