-- This package's own index, function and views, no part of NexusLIMS's history: their names start
-- with nxs_. They are made after the last migration, and anew by the next `migrate` whenever this
-- file has changed; so every statement must do no harm where its object is there already.

-- As on SQLite, serves the search for sessions to build.
CREATE INDEX IF NOT EXISTS nxs_session_log_to_build
ON session_log (session_identifier, instrument, event_type)
WHERE record_status = 'TO_BE_BUILT';
