-- This package's own indexes, no part of NexusLIMS's history: their names start with nxs_.
-- yoyo runs this file after every upgrade, so that they come back after NexusLIMS has made
-- session_log anew.

-- Serves the search for sessions to build, whose cost then follows the pending sessions and
-- not the table. Partial: a row is in it only while it waits, so finished work costs nothing.
-- It holds what pairing START with END needs, so the table itself is read only for the pairs.
CREATE INDEX IF NOT EXISTS nxs_session_log_to_build
ON session_log (session_identifier, instrument, event_type)
WHERE record_status = 'TO_BE_BUILT';
