#!/usr/bin/env bash
# Writes what floodgate and floodgate-archive are made of, as CycloneDX, into
# target/sbom.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What is on PATH is taken as it is.
PATH=$PWD/target/tools/bin:$PATH
command -v cargo-cyclonedx >/dev/null ||
    cargo install --quiet --locked --root target/tools --version 0.5.9 cargo-cyclonedx

mkdir -p target/sbom
# cargo-cyclonedx writes a file beside the manifest of each crate.
trap 'rm -f host/*/sbom.json archive/sbom.json' EXIT
# Build dependencies belong to the SBOM, because they make what is shipped.
# Dependencies of tests do not.
cargo cyclonedx --quiet --format json --spec-version 1.5 --override-filename sbom
for package in host/floodgate archive; do
    # References are names of its own choice, with the place of the checkout in
    # them, which is nobody's business.
    sed "s|path+file://$PWD/|path+file:///|g" "$package/sbom.json" >"target/sbom/$(basename "$package").cdx.json"
    echo "target/sbom/$(basename "$package").cdx.json"
done
