#!/usr/bin/env bash
# Builds the oracles from source: those that Floodgate watches by default into
# plugins/dist, the one that misbehaves for the host's tests beside them.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --package floodgate
floodgate=target/debug/floodgate
for oracle in mempool-risk uniform-risk; do
  "$floodgate" oracle build "plugins/$oracle" --out plugins/dist
done
"$floodgate" oracle build plugins/misbehaving --out host/tests/components
