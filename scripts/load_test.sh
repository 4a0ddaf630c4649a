#!/usr/bin/env bash
# Posts transactions to a running Floodgate, measures, and watches the queue
# drain: 1000 requests over 20 connections unless told otherwise.
#
#   scripts/load_test.sh [--requests 5000] [--concurrency 50] ...
#
# All flags are those of `floodgate load`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --quiet --release --package floodgate
exec target/release/floodgate load "$@"
