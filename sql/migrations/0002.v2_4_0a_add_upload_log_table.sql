-- v2_4_0a: upload_log, one row for each attempt to export a record to a destination.
-- Mirrors NexusLIMS's migration v2_4_0a_add_upload_log_table.
-- depends: 0001.v1_4_3_initial_schema_baseline

-- session_identifier has no foreign key: it is not unique in session_log.
CREATE TABLE upload_log (
    id INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    destination_name VARCHAR(100) NOT NULL,
    success BOOLEAN NOT NULL,
    timestamp VARCHAR NOT NULL,
    record_id VARCHAR(255),
    record_url VARCHAR(500),
    error_message VARCHAR,
    metadata_json VARCHAR,
    PRIMARY KEY (id)
);

CREATE INDEX ix_upload_log_session_identifier ON upload_log (session_identifier);

CREATE INDEX ix_upload_log_destination_name ON upload_log (destination_name);

UPDATE alembic_version SET version_num = 'v2_4_0a' WHERE version_num = 'v1_4_3';
