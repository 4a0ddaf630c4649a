"""The statistics that ship, answered by floodgate-archive and by DuckDB from the
same Parquet files with the same SQL, in turns; milliseconds, the median of all
rounds, as JSON.

usage: ask.py URL COLD_DIRECTORY FLOWS_DIRECTORY FROM TO
"""

import json
import pathlib
import statistics
import sys
import time
import urllib.request

import duckdb

ROUNDS = 7

url, cold, flows, first, last = sys.argv[1:]
segment = {"segment_field": None, "segment_value": None}
days = {"from": first, "to": last}
QUESTIONS = {
    "dau": ("dau", {**days, **segment}),
    "dau of one type": ("dau", {**days, "segment_field": "event_type", "segment_value": "type-3"}),
    "dau of one country": ("dau", {**days, "segment_field": "properties.country", "segment_value": "UA"}),
    "top events": ("top-events", {**days, "limit": 10, **segment}),
    "retention": ("retention.daily", {"start_date": first, "windows": 7, "window": "day", **segment}),
    "cohort": ("retention.cohort", {"start_date": first, "windows": 7, "window": "day", **segment}),
}


def kind(name, value):
    if name in ("from", "to", "start_date"):
        return "date"
    return "integer" if isinstance(value, int) else "text"


def ask_archive(sql, parameters):
    typed = {name: {"type": kind(name, value), "value": value} for name, value in parameters.items()}
    asked = {"flow": "events", "sql": sql, "parameters": typed, "timeout_ms": 60000, "cache_ms": 0}
    request = urllib.request.Request(
        f"{url}/query", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        answer = json.load(answer)
    assert answer["scanned"]["hot_rows"] == 0, answer["scanned"]
    return [tuple(row) for row in answer["rows"]]


database = duckdb.connect(config={"threads": 2})
database.execute("SET TimeZone = 'UTC'")
database.execute("CREATE MACRO json_text(body, path) AS json_extract_string(body, '$.' || path)")
database.execute(
    f"CREATE VIEW events AS FROM read_parquet('{cold}/events/*/*.parquet', hive_partitioning = true)"
)


def in_its_dialect(sql):
    """DuckDB has no number for a date, and another name for the numbers of a series."""
    epoch = "DATE '1970-01-01'"
    start = f"date_diff('day', {epoch}, $start_date)"
    return (
        sql.replace("CAST(CAST($start_date AS INT)", f"({epoch} + CAST({start}")
        .replace("END AS DATE)", "END AS INT))")
        .replace("CAST($start_date AS INT)", start)
        .replace("CAST(day AS INT)", f"date_diff('day', {epoch}, day)")
        .replace(
            "generate_series(0, $windows - 1)",
            "(SELECT unnest(generate_series(0, $windows - 1)) AS value)",
        )
    )


def ask_duckdb(sql, parameters):
    used = {name: value for name, value in parameters.items() if f"${name}" in sql}
    typed = {
        name: f"CAST(${name} AS DATE)" for name in used if kind(name, used[name]) == "date"
    }
    sql = in_its_dialect(sql)
    for name, cast in typed.items():
        sql = sql.replace(f"${name}", cast)
    return database.execute(sql, used).fetchall()


def in_ms(ask, *arguments):
    began = time.perf_counter()
    rows = ask(*arguments)
    return (time.perf_counter() - began) * 1000, rows


def in_any_order(rows):
    return sorted(tuple(map(str, row)) for row in rows)


result = {}
for name, (file, parameters) in QUESTIONS.items():
    sql = (pathlib.Path(flows) / "stats" / f"{file}.sql").read_text()
    ours, theirs, differ = [], [], None
    for _ in range(ROUNDS):
        elapsed, rows = in_ms(ask_archive, sql, parameters)
        ours.append(elapsed)
        try:
            elapsed, others = in_ms(ask_duckdb, sql, parameters)
            theirs.append(elapsed)
            differ = in_any_order(rows) != in_any_order(others)
        except duckdb.Error as error:
            differ = f"DuckDB does not take it: {str(error).splitlines()[0]}"
    result[name] = {
        "archive_ms": round(statistics.median(ours), 1),
        "duckdb_ms": round(statistics.median(theirs), 1) if theirs else None,
        "ratio": round(statistics.median(ours) / statistics.median(theirs), 2) if theirs else None,
        "rows": len(rows),
        **({"differ": differ} if differ else {}),
    }
print(json.dumps(result, indent=2))
