#!/usr/bin/env bash
# Measures floodgate-archive: events are written into a private Postgres, moved
# out of it, and the statistics that ship are asked of the files, in turns with
# DuckDB; at last, what the load on a Floodgate feels of it. A release build;
# about fifteen minutes with ten million events, and longer than that for the
# build.
#
#   scripts/bench_archive.sh [events]     10000000 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

events=${1:-10000000}
ensure_packages
command -v wrk >/dev/null || install_packages wrk
[ -x /usr/bin/time ] || install_packages time
cargo build --release --package floodgate
cargo build --release --package floodgate-archive
archive=$PWD/target/release/floodgate-archive
venv=target/bench-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check duckdb pytz
fi

work=$(mktemp -d)
archive_pid=
clean_up() {
    if [ -n "$archive_pid" ]; then kill "$archive_pid" 2>/dev/null || true; fi
    stop_servers
    rm -rf "$work"
}
trap clean_up EXIT
export FLOODGATE_COLD=$work/cold RUST_LOG=warn PGOPTIONS="-c search_path=floodgate,public"

# As for a ledger of gigabytes: with the 128 MB and 1 GB of a Postgres that nobody
# has looked after, moving ten million takes a third longer.
start_postgres -c shared_buffers=2GB -c max_wal_size=8GB
target/release/floodgate migrate
echo "== writing $events events"
psql --quiet "$DATABASE_URL" -v ON_ERROR_STOP=1 -v events="$events" -f archive/benches/fill.sql
psql --quiet "$DATABASE_URL" -c 'VACUUM ANALYZE decisions' -c CHECKPOINT

echo "== moving them"
began=$(date +%s.%N)
/usr/bin/time --format '%M KiB at most, %U s of this process' "$archive" run --once --json >"$work/moved.json"
ended=$(date +%s.%N)
left=$(psql --quiet --tuples-only --no-align "$DATABASE_URL" -c 'SELECT count(*) FROM decisions')
awk -v events="$events" -v began="$began" -v ended="$ended" -v left="$left" 'BEGIN {
    seconds = ended - began
    printf "%d rows in %.1f s, %.0f rows/s, %d left in the ledger\n", events - left, seconds, (events - left) / seconds, left
}'
du -sh "$FLOODGATE_COLD" | awk '{ print $1 " of files" }'

echo "== asking, $(nproc) cores"
"$archive" serve --listen 127.0.0.1:0 >"$work/said" &
archive_pid=$!
until grep -q '^listening on ' "$work/said"; do sleep 0.1; done
url=$(sed -n 's/^listening on //p' "$work/said")
"$venv/bin/python" archive/benches/ask.py "$url" "$FLOODGATE_COLD" flows \
    "$(date -u -d '-40 days' +%F)" "$(date -u -d '-11 days' +%F)"
grep VmHWM "/proc/$archive_pid/status" | awk '{ print $2 / 1024 " MiB at most" }'
kill "$archive_pid"
archive_pid=

echo "== a load beside it, 5000/s"
cargo bench --package floodgate --bench targets -- --archive "$archive" --rate 5000
