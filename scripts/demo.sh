#!/usr/bin/env bash
# The whole story: Floodgate in one process, 20 transactions, what was kept and
# why; another oracle is dropped in its place and 20 more are posted; then it
# is killed in the middle of a load, and nothing is lost. Works on copies; the
# checkout stays as it was.
#
#   scripts/demo.sh [--servers] [--keep]
#     --servers   on a private Redis and a private Postgres
#     --keep      stay up until Ctrl-C
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

servers='' keep=''
for argument in "$@"; do
    case $argument in
        --servers) servers=yes ;;
        --keep) keep=yes ;;
        *) echo "usage: scripts/demo.sh [--servers] [--keep]" >&2; exit 2 ;;
    esac
done

if [ -n "$servers" ]; then ensure_packages; else ensure_compiler; fi
cargo build --package floodgate

work=$(mktemp -d)
floodgate_pid=
clean_up() {
    if [ -n "$floodgate_pid" ]; then
        kill "$floodgate_pid" 2>/dev/null || true
        wait "$floodgate_pid" 2>/dev/null || true
    fi
    stop_servers
    rm -rf "$work"
}
trap clean_up EXIT

say() { printf '\n== %s\n' "$*"; }
floodgate() { target/debug/floodgate "$@"; }

# Until a command succeeds, for ten seconds.
until_done() {
    for _ in $(seq 100); do
        if "$@"; then return; fi
        if ! kill -0 "$floodgate_pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}

if [ -n "$servers" ]; then
    say "starting a private Redis and a private Postgres"
    start_servers
    subcommand=serve
else
    export FLOODGATE_DATA_DIR=$work/data
    subcommand=dev
fi

# Ports of its own; after a kill the same ones again.
listen=127.0.0.1:$(free_port)
admin=127.0.0.1:$(free_port)
export FLOODGATE_ADMIN=http://$admin
start_floodgate() {
    target/debug/floodgate "$subcommand" --listen "$listen" --admin "$admin" \
        --flows "$work/flows" --oracles "$work/oracles" >"$work/said" 2>>"$work/log" &
    floodgate_pid=$!
    until_done running
}
running() { floodgate oracles --json 2>/dev/null | grep -q '"digest": "'; }
digest() { floodgate oracles --json | grep '"digest"' | head -n 1; }
swapped() { [ "$(digest)" != "$before" ]; }

say "floodgate $subcommand, with the flow transactions and the oracle mempool-risk"
mkdir "$work/flows" "$work/oracles"
cp -r flows/transactions.* flows/stats "$work/flows/"
cp plugins/dist/mempool-risk.wasm "$work/oracles/"
start_floodgate
cat "$work/said"

load() { floodgate load --url "http://$listen/transactions" "$@"; }

say "posting 20 transactions"
load --requests 20 --concurrency 4
say "what was kept, and why"
floodgate decisions --max 5

say "dropping uniform-risk in place of mempool-risk, with nothing restarted"
before=$(digest)
cp plugins/dist/uniform-risk.wasm "$work/oracles/.dropped"
mv "$work/oracles/.dropped" "$work/oracles/mempool-risk.wasm"
until_done swapped
say "posting 20 more, and what the other oracle kept"
load --requests 20 --concurrency 4
floodgate decisions --max 5

say "kill -9 in the middle of 10000 transactions"
load --requests 10000 --concurrency 20 --seed 7 >"$work/load" 2>&1 &
load_pid=$!
sleep 0.5
kill -9 "$floodgate_pid"
wait "$floodgate_pid" 2>/dev/null || true
wait "$load_pid" || true
cat "$work/load"
say "it starts again, and the same 10000 are sent again: what it had accepted is replayed, not judged twice"
start_floodgate
load --requests 10000 --concurrency 20 --seed 7
say "nothing is open, nothing is dead"
floodgate flows
floodgate dead list

if [ -n "$keep" ]; then
    say "Floodgate stays up at http://$listen (admin $FLOODGATE_ADMIN) until Ctrl-C"
    wait "$floodgate_pid"
fi
