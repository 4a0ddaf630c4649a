#!/usr/bin/env bash
# Posts 20 transactions to a running Floodgate and shows which were kept.
# Postgres is found by DATABASE_URL, or by the usual POSTGRES_* settings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --quiet --package floodgate
target/debug/floodgate load --requests 20 --concurrency 4 "$@"
exec scripts/query_db.sh --recent 20
