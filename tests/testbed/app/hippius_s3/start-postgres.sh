#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A PostgreSQL server with the application's tables. It listens to others only once they are there.
set -eu
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
export PGDATA=/var/lib/postgresql/data
here=$(dirname "$0")

if [ ! -e "$PGDATA/ready" ]; then
    rm -rf "$PGDATA"
    initdb --username=postgres --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-sync >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --silent -o "-c listen_addresses=''" start
    psql --quiet --command "CREATE ROLE hippius LOGIN PASSWORD '$POSTGRES_PASSWORD'"
    createdb --owner=hippius hippius
    psql --quiet --username=hippius --dbname=hippius --file="$here/schema.sql"
    pg_ctl --wait --silent --mode=fast stop
    touch "$PGDATA/ready"
fi
exec postgres -c listen_addresses='*' -c fsync=off
