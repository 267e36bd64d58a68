-- From v2_4_0b back to v2_4_0a: session_log without the two CHECKs.

CREATE TABLE session_log_old (
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

INSERT INTO session_log_old (
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"
FROM session_log
ORDER BY id_session_log;

DROP INDEX IF EXISTS ix_session_log_session_identifier;

DROP TABLE session_log;

ALTER TABLE session_log_old RENAME TO session_log;

CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);

UPDATE alembic_version SET version_num = 'v2_4_0a' WHERE version_num = 'v2_4_0b';
