#!/usr/bin/env bash
# Looks for what the fixed seeds of scripts/test.sh do not find: the property
# tests with new seeds and more cases, and the targets in fuzz/. A failure of a
# property names its seed, and PROPTEST_RNG_SEED=<seed> makes it again; a target
# leaves the bytes that broke it in fuzz/artifacts.
#
#   scripts/fuzz.sh [--for <seconds>] [properties|targets]
#     600 seconds by default, for each of both
#
# The targets want a nightly toolchain. Without one they are only compiled, and
# the exit code is 1, so that nobody takes that for a run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

usage() {
    echo "usage: scripts/fuzz.sh [--for <seconds>] [properties|targets]" >&2
    exit 2
}

seconds=600 what='properties targets'
while [ $# -gt 0 ]; do
    case $1 in
        --for) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage; seconds=$2; shift 2 ;;
        properties | targets) what=$1; shift ;;
        *) usage ;;
    esac
done

# The modules that have property tests.
modules=(fuzz_tests template_tests masked:: body:: identity:: blame:: redis:: redis_layout hostile_tests trial sampling backbone::model backbone::hold)

properties() {
    ensure_packages
    cargo test --workspace --lib --test it --no-run
    export PROPTEST_CASES=${PROPTEST_CASES:-1000}
    local until=$((SECONDS + seconds))
    while [ "$SECONDS" -lt "$until" ]; do
        PROPTEST_RNG_SEED=$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')
        export PROPTEST_RNG_SEED
        echo "seed $PROPTEST_RNG_SEED"
        cargo test --quiet --workspace --lib --test it -- "${modules[@]}"
    done
}

targets() {
    ensure_compiler
    if ! cargo +nightly --version >/dev/null 2>&1; then
        echo "compiling the targets in fuzz/, which cannot run here"
        cargo check --manifest-path fuzz/Cargo.toml --locked
        echo "fuzz: the targets in fuzz/ compile and were not run. They want a nightly toolchain:" >&2
        echo "    rustup toolchain install nightly --profile minimal" >&2
        return 1
    fi
    # What is on PATH is taken as it is.
    PATH=$PWD/target/tools/bin:$PATH
    command -v cargo-fuzz >/dev/null ||
        cargo install --quiet --locked --root target/tools --version 0.13.2 cargo-fuzz
    local all target
    mapfile -t all < <(cargo +nightly fuzz list)
    [ "${#all[@]}" -gt 0 ]
    for target in "${all[@]}"; do
        echo "target $target"
        cargo +nightly fuzz run "$target" -- -max_total_time=$((seconds / ${#all[@]} + 1))
    done
}

for part in $what; do "$part"; done
