#!/usr/bin/env bash
# Builds the oracles from source: those that Floodgate watches by default into
# plugins/dist, those that the host's tests need into host/floodgate/tests/components.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --package floodgate
floodgate=target/debug/floodgate
for oracle in mempool-risk uniform-risk age-rule value-rule task-echo; do
  "$floodgate" oracle build "plugins/$oracle" -o plugins/dist
done
for oracle in misbehaving always-failing; do
  "$floodgate" oracle build "plugins/$oracle" -o host/floodgate/tests/components
done
