-- as NexusLIMS from before 2.2 made it
-- By its own creation script, without a version row.

CREATE TABLE instruments (
    instrument_pid VARCHAR(100) NOT NULL PRIMARY KEY,
    api_url TEXT NOT NULL,
    calendar_name TEXT NOT NULL,
    calendar_url TEXT NOT NULL,
    location VARCHAR(100) NOT NULL,
    schema_name TEXT NOT NULL,
    property_tag VARCHAR(20) NOT NULL,
    filestore_path TEXT NOT NULL,
    computer_name TEXT,
    computer_ip VARCHAR(15),
    computer_mount TEXT,
    harvester TEXT,
    timezone TEXT DEFAULT 'America/New_York' NOT NULL,
    CONSTRAINT "instrument_pid_UNIQUE" UNIQUE (instrument_pid),
    CONSTRAINT "computer_ip_UNIQUE" UNIQUE (computer_ip),
    CONSTRAINT "api_url_UNIQUE" UNIQUE (api_url),
    CONSTRAINT "computer_name_UNIQUE" UNIQUE (computer_name)
);

CREATE TABLE session_log (
    id_session_log INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    session_identifier VARCHAR(36) NOT NULL,
    instrument VARCHAR(100) NOT NULL,
    timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now', 'localtime')),
    event_type TEXT NOT NULL CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION')),
    record_status TEXT NOT NULL DEFAULT 'WAITING_FOR_END' CHECK (
        record_status IN ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'ERROR', 'NO_FILES_FOUND')
    ),
    "user" VARCHAR(50) DEFAULT NULL,
    CONSTRAINT "id_session_log_UNIQUE" UNIQUE (id_session_log),
    CONSTRAINT fk_instrument FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)
    ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX "session_log.fk_instrument_idx" ON session_log (instrument);
