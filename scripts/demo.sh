#!/usr/bin/env bash
# The whole story: private Redis and Postgres, Floodgate, 20 transactions, what
# was kept and why; then another oracle is dropped in its place and 20 more are
# posted. Works on copies; the checkout stays as it was.
#
#   scripts/demo.sh [--keep]     --keep: stay up until Ctrl-C
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

keep=
case "${1:-}" in
    "") ;;
    --keep) keep=yes ;;
    *) echo "usage: scripts/demo.sh [--keep]" >&2; exit 2 ;;
esac

ensure_packages
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

say "starting a private Redis and a private Postgres"
start_servers

say "starting Floodgate with the flow transactions and the oracle mempool-risk"
mkdir "$work/flows" "$work/oracles"
cp flows/transactions.* "$work/flows/"
cp plugins/dist/mempool-risk.wasm "$work/oracles/"
target/debug/floodgate serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 \
    --flows "$work/flows" --oracles "$work/oracles" >"$work/addresses" 2>"$work/log" &
floodgate_pid=$!
for _ in $(seq 100); do
    if grep -q '^admin on' "$work/addresses"; then break; fi
    if ! kill -0 "$floodgate_pid" 2>/dev/null; then cat "$work/log" >&2; exit 1; fi
    sleep 0.1
done
cat "$work/addresses"
url=$(sed -n 's/^listening on //p' "$work/addresses")
FLOODGATE_ADMIN=$(sed -n 's/^admin on //p' "$work/addresses")
export FLOODGATE_ADMIN

running() { target/debug/floodgate oracles --json | grep '"digest"' | head -n 1; }
post_20() { target/debug/floodgate load --requests 20 --concurrency 4 --url "$url/transactions"; }
for _ in $(seq 100); do
    if [ -n "$(running)" ]; then break; fi
    sleep 0.1
done
before=$(running)

say "posting 20 transactions"
post_20
say "what was kept, and why"
psql "$DATABASE_URL" -c "SELECT left(id, 14) AS id, round(score::numeric, 3) AS score, label_name AS label,
    array_to_string(reasons, ', ') AS reasons FROM decisions ORDER BY decided_at, id"

say "dropping uniform-risk in place of mempool-risk, with nothing restarted"
cp plugins/dist/uniform-risk.wasm "$work/oracles/.dropped"
mv "$work/oracles/.dropped" "$work/oracles/mempool-risk.wasm"
for _ in $(seq 100); do
    if [ "$(running)" != "$before" ]; then break; fi
    sleep 0.1
done
target/debug/floodgate oracles
psql "$DATABASE_URL" -qc "CREATE TABLE demo_before AS SELECT id FROM decisions"

say "posting 20 more"
post_20
say "what the other oracle kept"
psql "$DATABASE_URL" -c "SELECT left(id, 14) AS id, round(score::numeric, 3) AS score, label_name AS label,
    left(oracles->0->>'digest', 12) AS digest FROM decisions
    WHERE id NOT IN (SELECT id FROM demo_before) ORDER BY decided_at, id"

if [ -n "$keep" ]; then
    say "Floodgate stays up at $url (admin $FLOODGATE_ADMIN) until Ctrl-C"
    wait "$floodgate_pid"
fi
