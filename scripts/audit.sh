#!/usr/bin/env bash
# Holds the dependencies of all workspaces to deny.toml: licences, sources,
# bans, and the published advisories where their index can be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What is on PATH is taken as it is.
PATH=$PWD/target/tools/bin:$PATH
command -v cargo-deny >/dev/null ||
    cargo install --quiet --locked --root target/tools --version 0.20.2 cargo-deny

for workspace in . plugins fuzz; do
    cargo-deny --manifest-path "$workspace/Cargo.toml" --config deny.toml --locked check --hide-inclusion-graph \
        licenses sources bans
done

# An old index tells as much as it knows; without any there is nothing to tell.
if ! cargo-deny --manifest-path Cargo.toml fetch db; then
    echo "audit: the index of advisories cannot be fetched, so no advisory was looked up" >&2
    exit 0
fi
for workspace in . plugins fuzz; do
    cargo-deny --manifest-path "$workspace/Cargo.toml" --config deny.toml --locked check advisories
done
