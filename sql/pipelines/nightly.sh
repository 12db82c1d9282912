#!/bin/sh
# The nightly run for each midnight named, in order: nightly.sh 2019-11-27 2019-11-28 …
# Which server: PGHOST, PGPORT, PGUSER, PGDATABASE, as for any psql. A crontab needs one line:
#   0 0 * * *  PGPORT=5433 …/nightly.sh $(date -u +\%F)
set -eu
for night in "$@"; do
  psql -X -v night="$night" -f "$(dirname "$0")/nightly.sql"
done
