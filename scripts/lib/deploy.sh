# shellcheck shell=bash
# Checks of deploy/: sourced after scripts/lib/servers.sh, never run. That rules
# and dashboard name only metrics that exist is held by host/floodgate/tests/it.
#
#   check_deploy        the configuration of Prometheus, its rules, and whether
#                       each alert fires when it must

check_deploy() {
    ensure_promtool
    # The token, which the configuration names, is there only in a container.
    "$promtool" check config --syntax-only deploy/prometheus/prometheus.yml
    "$promtool" check rules --lint=all --lint-fatal deploy/prometheus/alerts.yml
    "$promtool" test rules deploy/prometheus/alerts_test.yml
}

# Debian has it in the package of the server, which starts one on the port of
# our admin address: so it is taken out of the package, and nothing installed.
ensure_promtool() {
    promtool=$(command -v promtool || true)
    if [ -n "$promtool" ]; then return; fi
    local directory=target/promtool
    promtool=$directory/usr/bin/promtool
    if [ -x "$promtool" ]; then return; fi
    mkdir -p "$directory"
    update_packages prometheus
    (cd "$directory" && apt-get download -qq prometheus)
    dpkg-deb --extract "$directory"/prometheus_*.deb "$directory"
}
