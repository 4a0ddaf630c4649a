# shellcheck shell=bash
# Private servers for scripts: sourced, never run. Needs bash and `set -eu`.
#
#   ensure_packages     installs what is missing, or says what to install
#   ensure_compiler     the same, of what a build needs
#   start_servers       a Redis and a Postgres of our own on free ports of
#                       127.0.0.1, in directories of their own; exports
#                       REDIS_URL and DATABASE_URL
#   stop_servers        stops them and removes their data
#
# start_servers calls stop_servers when the script ends, unless the script has
# an EXIT trap of its own: that one then has to call it.

servers_redis_pid=
servers_redis_directory=
servers_postgres_directory=

# Debian keeps the server's programs off the PATH; the newest version wins.
postgres_program() {
    local candidate found
    found=$(command -v "$1" || true)
    # `psql` and the like are wrappers on Debian, the server's programs are not.
    for candidate in /usr/lib/postgresql/*/bin/"$1"; do
        if [ -x "$candidate" ]; then found=$candidate; fi
    done
    [ -n "$found" ] && printf '%s\n' "$found"
}

ensure_packages() {
    local missing=()
    command -v redis-server >/dev/null || missing+=(redis-server)
    postgres_program initdb >/dev/null || missing+=(postgresql)
    { command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; } >/dev/null || missing+=(pgbouncer)
    command -v curl >/dev/null || missing+=(curl)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    install_packages "${missing[@]}"
}

ensure_compiler() {
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

install_packages() {
    if [ $# -eq 0 ]; then return; fi
    update_packages "$@"
    echo "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# So that these packages are found.
update_packages() {
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; }; then
        missing_packages "$@"
        return 1
    fi
    as_root apt-get update -qq
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing_packages() {
    {
        echo "missing: $*"
        echo "install them as root, on Debian with: apt-get install $*"
        echo "elsewhere: Redis 7.0 or newer, Postgres 15 or newer, PgBouncer, a C compiler, Python 3 with venv, Chromium"
    } >&2
}

start_servers() {
    if [ -z "$(trap -p EXIT)" ]; then trap stop_servers EXIT; fi
    start_redis
    # shellcheck disable=SC2119 # the options of start_servers are not its own
    start_postgres
}

start_redis() {
    local port
    port=$(free_port)
    servers_redis_directory=$(mktemp -d "${TMPDIR:-/tmp}/floodgate-redis-XXXXXX")
    # A session of its own: Ctrl-C stops the script, and only the script stops
    # Redis, after whatever still wants to drain.
    setsid redis-server --port "$port" --bind 127.0.0.1 \
        --dir "$servers_redis_directory" --logfile "$servers_redis_directory/log" \
        --save '' --appendonly yes --appendfsync always --auto-aof-rewrite-min-size 1gb \
        --maxmemory-policy noeviction >/dev/null </dev/null &
    servers_redis_pid=$!
    for _ in $(seq 100); do
        if redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; then
            export REDIS_URL="redis://127.0.0.1:$port"
            return
        fi
        kill -0 "$servers_redis_pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "redis-server did not start:" >&2
    cat "$servers_redis_directory/log" >&2
    return 1
}

# Takes further options of the server.
# shellcheck disable=SC2120 # a script that is checked by itself gives them
start_postgres() {
    local port log
    port=$(free_port)
    servers_postgres_directory=$(as_postgres mktemp -d "${TMPDIR:-/tmp}/floodgate-postgres-XXXXXX")
    log=$servers_postgres_directory/log
    as_postgres "$(postgres_program initdb)" --pgdata "$servers_postgres_directory/data" \
        --auth trust --username postgres --encoding UTF8 --locale C >/dev/null
    if ! as_postgres "$(postgres_program pg_ctl)" start --silent --wait \
        --pgdata "$servers_postgres_directory/data" --log "$log" \
        --options "-h 127.0.0.1 -p $port -k $servers_postgres_directory $*"; then
        cat "$log" >&2
        return 1
    fi
    as_postgres "$(postgres_program createdb)" --host 127.0.0.1 --port "$port" \
        --username postgres floodgate
    export DATABASE_URL="postgres://postgres@127.0.0.1:$port/floodgate"
}

stop_servers() {
    if [ -n "$servers_redis_pid" ]; then
        kill "$servers_redis_pid" 2>/dev/null || true
        wait "$servers_redis_pid" 2>/dev/null || true
        servers_redis_pid=
    fi
    if [ -n "$servers_postgres_directory" ]; then
        as_postgres "$(postgres_program pg_ctl)" stop --silent --mode fast \
            --pgdata "$servers_postgres_directory/data" >/dev/null 2>&1 || true
        rm -rf "$servers_postgres_directory"
        servers_postgres_directory=
    fi
    if [ -n "$servers_redis_directory" ]; then
        rm -rf "$servers_redis_directory"
        servers_redis_directory=
    fi
}

# Postgres refuses to run as root.
as_postgres() (
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        # The caller's directory may be closed to the user postgres.
        cd /
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    fi
)

# Below the range that outgoing connections are given.
free_port() {
    local port
    while true; do
        port=$((12000 + (RANDOM * 32768 + RANDOM) % 20000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}
