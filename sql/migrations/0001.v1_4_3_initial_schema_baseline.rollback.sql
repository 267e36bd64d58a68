-- From v1_4_3 back to base: no tables. alembic_version stays, without a row, as NexusLIMS
-- itself leaves it.

-- IF EXISTS: files from before 2.2 have another index in its place.
DROP INDEX IF EXISTS ix_session_log_session_identifier;

DROP TABLE session_log;

DROP TABLE instruments;

DELETE FROM alembic_version WHERE version_num = 'v1_4_3';
