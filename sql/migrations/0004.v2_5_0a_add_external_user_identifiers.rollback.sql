-- From v2_5_0a back to v2_4_0b: without external_user_identifiers and all it holds.

-- IF EXISTS: NexusLIMS's demo database has another index in place of these two.
DROP INDEX IF EXISTS idx_nexuslims_username;

DROP INDEX IF EXISTS idx_external_lookup;

DROP TABLE external_user_identifiers;

UPDATE alembic_version SET version_num = 'v2_4_0b' WHERE version_num = 'v2_5_0a';
