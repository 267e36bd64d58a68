-- v2_4_0b: session_log refuses event types and statuses it does not know.
-- Mirrors NexusLIMS's migration v2_4_0b_add_check_constraints.
-- depends: 0002.v2_4_0a_add_upload_log_table

-- SQLite cannot add a CHECK to a table, so the table is made anew and filled from the old one.
-- The values are written out: what this revision allows stays what it was, whatever later
-- revisions add.
CREATE TABLE session_log_new (
    id_session_log INTEGER NOT NULL,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp VARCHAR NOT NULL,
    event_type VARCHAR(17) NOT NULL,
    record_status VARCHAR(18) NOT NULL,
    "user" VARCHAR(50),
    PRIMARY KEY (id_session_log),
    CONSTRAINT check_event_type CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION')),
    CONSTRAINT check_record_status CHECK (record_status IN ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR', 'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION')),
    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
);

-- In the order of the key, so that the new table's pages are filled one after the other.
INSERT INTO session_log_new (
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"
FROM session_log
ORDER BY id_session_log;

-- Files from before 2.2 have the second index and lack the first.
DROP INDEX IF EXISTS ix_session_log_session_identifier;

DROP INDEX IF EXISTS "session_log.fk_instrument_idx";

DROP TABLE session_log;

ALTER TABLE session_log_new RENAME TO session_log;

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);

UPDATE alembic_version SET version_num = 'v2_4_0b' WHERE version_num = 'v2_4_0a';
