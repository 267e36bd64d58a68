-- as NexusLIMS 2.4 and its demo made it
-- From the models of 2.4.1 to 2.8.0: a time may be NULL. NexusLIMS 2.4.1 made new databases like
-- that. Its upload_log is that of from_2_2_to_2_4.sql.

CREATE TABLE session_log (
    id_session_log INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp VARCHAR,
    event_type VARCHAR(17) NOT NULL,
    record_status VARCHAR(18) NOT NULL,
    "user" VARCHAR(50),
    PRIMARY KEY (id_session_log),
    CONSTRAINT check_event_type CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION')),
    CONSTRAINT check_record_status CHECK (record_status IN ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR', 'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION')),
    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
);

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);

CREATE TABLE external_user_identifiers (
    id INTEGER NOT NULL,
    nexuslims_username VARCHAR NOT NULL,
    external_system VARCHAR NOT NULL,
    external_id VARCHAR NOT NULL,
    email VARCHAR,
    created_at VARCHAR,
    last_verified_at VARCHAR,
    notes VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT valid_external_system CHECK (external_system IN ('nemo', 'labarchives_eln', 'labarchives_scheduler', 'cdcs')),
    CONSTRAINT "nexuslims_username_system_UNIQUE" UNIQUE (nexuslims_username, external_system),
    CONSTRAINT "system_external_id_UNIQUE" UNIQUE (external_system, external_id)
);

CREATE INDEX ix_external_user_identifiers_nexuslims_username
ON external_user_identifiers (nexuslims_username);
