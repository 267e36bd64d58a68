-- From v2_4_0a back to v1_4_3: without upload_log and all it holds.

-- IF EXISTS: a file from NexusLIMS's demo, or from a downgrade it did not finish, may lack them.
DROP INDEX IF EXISTS ix_upload_log_destination_name;

DROP INDEX IF EXISTS ix_upload_log_session_identifier;

DROP TABLE upload_log;

UPDATE alembic_version SET version_num = 'v1_4_3' WHERE version_num = 'v2_4_0a';
