#!/usr/bin/env bash
# The tests in Python: the API's document against the running host, and its
# pages in a real browser. Arguments go to pytest. Needs floodgate and
# floodgate-archive in target/debug.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/servers.sh
source scripts/lib/servers.sh

tests=host/floodgate/tests/web
venv=target/web-venv

missing=()
# Debian's python3 comes without what makes an environment.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
command -v chromium >/dev/null || missing+=(chromium)
command -v setpriv >/dev/null || missing+=(util-linux)
install_packages "${missing[@]}"

# The copy is written last: an environment that was not finished is made again.
if ! cmp --silent "$tests/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    timeout 600 "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement "$tests/requirements.txt"
    cp "$tests/requirements.txt" "$venv/requirements.txt"
fi

timeout --kill-after 10 900 "$venv/bin/pytest" -p no:cacheprovider "$@" "$tests"
