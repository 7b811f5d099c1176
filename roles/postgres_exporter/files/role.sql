-- A role for the exporter that may read statistics and settings, and no table of yours. PostgreSQL 10 and newer.
--   sudo -u postgres psql --set=role=postgres_exporter --file=role.sql
-- Then give it a password, which `\password postgres_exporter` in psql asks for, unless it logs in as its system user.
\set ON_ERROR_STOP on
BEGIN;
CREATE ROLE :"role" LOGIN CONNECTION LIMIT 5;
ALTER ROLE :"role" SET search_path = pg_catalog;
ALTER ROLE :"role" SET statement_timeout = '10s';
GRANT pg_monitor TO :"role";
COMMIT;
