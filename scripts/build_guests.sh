#!/usr/bin/env bash
# Builds the components in Python and JavaScript that the host's tests need,
# into host/floodgate/tests/components. Neither build is reproducible, so what it made is
# kept; the tests tell whether it still does the same. Wants python3, npm and
# zstd; what it installs goes into a directory of its own and is removed.
set -euo pipefail
cd "$(dirname "$0")/.."

COMPONENTIZE_PY=0.25.0
JCO=1.35.0
COMPONENTIZE_QJS=0.4.5

out=$PWD/host/floodgate/tests/components
wit=$PWD/wit
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3 -m venv "$tools/python"
"$tools/python/bin/pip" install --quiet "componentize-py==$COMPONENTIZE_PY"
# Without --stub-wasi it would import sockets.
"$tools/python/bin/componentize-py" -d "$wit" -w oracle \
  componentize -p "$out/python" app --stub-wasi -o "$tools/python.wasm"

npm install --silent --prefix "$tools/javascript" \
  "@bytecodealliance/jco@$JCO" "componentize-qjs@$COMPONENTIZE_QJS"
"$tools/javascript/node_modules/.bin/jco" componentize "$out/javascript/oracle.js" \
  --wit "$wit" -n oracle --backend quickjs --backend-qjs-disable-async -o "$tools/javascript.wasm"

for language in python javascript; do
  zstd --quiet --force -19 "$tools/$language.wasm" -o "$out/$language.wasm.zst"
done
ls -l "$out"/*.zst
