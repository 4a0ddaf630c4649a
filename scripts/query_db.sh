#!/usr/bin/env bash
# Statistics of the decisions in the ledger, or the newest of them.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/query_db.sh [--flow NAME] [--recent N]

  --flow NAME   the flow to look at (default: transactions)
  --recent N    the N newest decisions instead of the statistics

Of a flow with keep.hot the ledger has only the newer decisions, and so has its
view. Over all that was ever kept answer `floodgate query FLOW "SELECT ..."` and
the flow's paths, such as /stats/dau: docs/ARCHIVE.md.

Connects with DATABASE_URL, else with POSTGRES_HOST, POSTGRES_PORT,
POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, else as psql does (PG*). The
tables are in the schema FLOODGATE_DATABASE_SCHEMA (floodgate), else in public.
TEXT
}

die() {
    echo "query_db: $*" >&2
    exit 1
}

flow=transactions
recent=
while [ $# -gt 0 ]; do
    case $1 in
    --flow) flow=${2:?--flow needs a name} && shift 2 ;;
    --recent) recent=${2:?--recent needs a number} && shift 2 ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
    esac
done
case $recent in *[!0-9]*) die "--recent needs a number, not '$recent'" ;; esac

command -v psql >/dev/null ||
    die "psql is needed: apt-get install postgresql-client, or run this in the postgres container"

if [ -z "${DATABASE_URL:-}" ]; then
    export PGHOST=${POSTGRES_HOST:-${PGHOST:-}} PGPORT=${POSTGRES_PORT:-${PGPORT:-}}
    export PGUSER=${POSTGRES_USER:-${PGUSER:-${POSTGRES_HOST:+postgres}}} PGDATABASE=${POSTGRES_DB:-${PGDATABASE:-}}
    export PGPASSWORD=${POSTGRES_PASSWORD:-${PGPASSWORD:-}}
fi

# In the ledger's schema; where it is not there, an older ledger is in public.
query() {
    {
        echo 'SET search_path = :"schema", public;'
        cat
    } | psql ${DATABASE_URL:+"$DATABASE_URL"} --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
        --set schema="${FLOODGATE_DATABASE_SCHEMA:-floodgate}" \
        --set flow="$flow" --set recent="$recent" --pset footer=off
}

# psql fills in :'flow' and :recent.
recent_decisions() {
    query <<'SQL'
SELECT id, score, label_name AS label, array_to_string(reasons, ', ') AS reasons,
       decided_at
FROM decisions
WHERE flow = :'flow'
ORDER BY decided_at DESC, seq DESC
LIMIT :recent;
SQL
}

statistics() {
    query <<'SQL'
\echo 'Decisions kept'
SELECT count(*) AS decisions, min(score) AS lowest, round(avg(score)::numeric, 4) AS average,
       max(score) AS highest, min(decided_at) AS first, max(decided_at) AS last
FROM decisions WHERE flow = :'flow';

\echo 'By label'
SELECT label_name AS label, count(*) AS decisions,
       round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent
FROM decisions WHERE flow = :'flow'
GROUP BY label_name ORDER BY decisions DESC;

\echo 'Most frequent reasons'
SELECT reason, count(*) AS decisions
FROM decisions, unnest(reasons) AS reason
WHERE flow = :'flow'
GROUP BY reason ORDER BY decisions DESC, reason LIMIT 10;
SQL
}

if [ -n "$recent" ]; then recent_decisions; else statistics; fi ||
    die "no answer from the ledger: check the connection settings above, and whether \`floodgate migrate\` was run"
