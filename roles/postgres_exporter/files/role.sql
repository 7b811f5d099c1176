-- Create the exporter's role, which can read statistics and settings but no tables. Works with
-- PostgreSQL 10 and newer.
--   sudo -u postgres psql --set=role=postgres_exporter --file=role.sql
-- Then set a password with `\password postgres_exporter` in psql, unless the exporter logs in as its
-- system user.
\set ON_ERROR_STOP on
BEGIN;
CREATE ROLE :"role" LOGIN CONNECTION LIMIT 5;
ALTER ROLE :"role" SET search_path = pg_catalog;
ALTER ROLE :"role" SET statement_timeout = '10s';
GRANT pg_monitor TO :"role";
COMMIT;
