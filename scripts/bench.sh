#!/usr/bin/env bash
# Measures P1 to P8 of the design: a release build, private servers, each
# figure against its own limit in the same run. Takes about ten minutes, and
# as long again for the build.
#
#   scripts/bench.sh [--rounds 3] [--seconds 8s] [--only P1,P6] [--rate 20000] [--plot docs/latency.svg]
#   scripts/bench.sh --growth   what an entry costs with more of everything
#   scripts/bench.sh --hostile  what others feel of a hostile client, which is at most 3 times their p99
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

ensure_packages
command -v wrk >/dev/null || install_packages wrk
exec cargo bench --package floodgate --bench targets -- "$@"
