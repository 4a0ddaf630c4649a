#!/usr/bin/env bash
# Looks for what the fixed seeds of scripts/test.sh do not find: the property
# tests with new seeds and more cases, and, where a nightly toolchain and
# cargo-fuzz are there, the targets in fuzz/. A failure names its seed, and
# PROPTEST_RNG_SEED=<seed> makes it again.
#
#   scripts/fuzz.sh [--for <seconds>]     600 by default, for each of both
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

seconds=600
if [ "${1:-}" = --for ]; then seconds=$2; fi

# The modules that have property tests.
properties=(flow:: worker::blame backbone::redis:: oracle::hostile backbone::model backbone::hold)

ensure_packages
cargo test --package floodgate --lib --test it --no-run
export PROPTEST_CASES=${PROPTEST_CASES:-1000}
until=$((SECONDS + seconds))
while [ "$SECONDS" -lt "$until" ]; do
    PROPTEST_RNG_SEED=$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')
    export PROPTEST_RNG_SEED
    echo "seed $PROPTEST_RNG_SEED"
    cargo test --quiet --package floodgate --lib --test it -- "${properties[@]}"
done

if ! cargo +nightly --version >/dev/null 2>&1 || ! cargo fuzz --version >/dev/null 2>&1; then
    echo "the targets in fuzz/ are not run: they want 'rustup toolchain install nightly' and 'cargo install cargo-fuzz'"
    exit 0
fi
mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
    cargo +nightly fuzz run "$target" -- -max_total_time=$((seconds / ${#targets[@]} + 1))
done
