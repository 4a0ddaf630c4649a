//! `[[query]]`: what is told of a wrong one, and what becomes of a request.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

const SQL: &str = "SELECT date, n FROM x WHERE date BETWEEN $from AND $to LIMIT $limit";

const QUERY: &str = r#"
[[query]]
path = "/stats/n"
sql = "stats/n.sql"
cache = "30s"
reply = { from = "{from}", to = "{to}", limit = "{limit}", n = "{rows}" }
[query.parameters]
from = { type = "date" }
to = { type = "date", not_before = "from" }
limit = { type = "integer", default = 10, min = 1, max = 1000 }
"#;

fn write(dir: &Path, query: &str, files: &[(&str, &str)]) {
    let admit = "[admit]\npath = \"/x\"\nschema = \"x.json\"\nid = { generate = \"uuid\" }\n";
    std::fs::create_dir_all(dir.join("stats")).unwrap();
    std::fs::write(dir.join("x.json"), "true").unwrap();
    std::fs::write(dir.join("x.toml"), format!("{admit}{query}")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

fn load(query: &str, files: &[(&str, &str)]) -> Result<Flow, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), query, files);
    let prefix = format!("{}/x.toml:", dir.path().display());
    Flow::load_dir(dir.path())
        .map(|mut flows| flows.remove(0))
        .map_err(|problems| {
            let told = problems.iter().map(ToString::to_string);
            told.map(|problem| problem.replace(&prefix, "")).collect()
        })
}

fn query(text: &str, files: &[(&str, &str)]) -> Arc<Query> {
    let flow = load(text, files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    flow.queries[0].clone()
}

fn bad(query: &Query, asked: &str) -> Vec<(String, String)> {
    let bad = query.ask(asked).err().unwrap_or_default();
    let told = bad.into_iter().map(|bad| (bad.parameter, bad.message));
    told.collect()
}

fn names(bad: &[(String, String)]) -> Vec<&str> {
    bad.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn a_request_is_bound_and_shown_with_its_own_types() {
    let query = query(QUERY, &[("stats/n.sql", SQL)]);
    assert_eq!(query.cache, Some(Duration::from_secs(30)));
    assert_eq!(query.timeout, Duration::from_secs(10));
    let asked = query.ask("to=2026-01-31&from=2026-01-01").unwrap();
    assert_eq!(&*asked.sql, SQL);
    let bound: BTreeMap<&str, Value> = asked
        .bound
        .iter()
        .map(|(name, typed)| (&**name, json!(typed)))
        .collect();
    let date = |day: &str| json!({"type": "date", "value": day});
    assert_eq!(bound["from"], date("2026-01-01"));
    assert_eq!(bound["to"], date("2026-01-31"));
    assert_eq!(bound["limit"], json!({"type": "integer", "value": 10}));
    assert_eq!(asked.shown["limit"], 10);
}

#[test]
fn all_that_is_wrong_with_a_request_is_told_at_once_by_name() {
    let query = query(QUERY, &[("stats/n.sql", SQL)]);
    let told = bad(&query, "from=2026-02-30&limit=0&frm=x&frm=y");
    assert_eq!(names(&told), ["from", "to", "limit", "frm"]);
    assert_eq!(told[1].1, "it is missing");
    assert_eq!(told[2].1, "write an integer from 1 to 1000");
    assert_eq!(told[3].1, "it is not known here; known: from, to, limit");
    let told = bad(&query, "from=2026-01-02&to=2026-01-01&limit=1000000");
    assert_eq!(names(&told), ["limit", "to"]);
    assert_eq!(told[1].1, "it is before from");
    let told = bad(&query, "from=2026-01-01&from=2026-01-01&to=2026-01-01");
    assert_eq!(told, [("from".into(), "it is there more than once".into())]);
    let sql = "from=2026-01-01'%20OR%201=1--&to=2026-01-01";
    assert_eq!(names(&bad(&query, sql)), ["from"]);
    assert!(query.ask("from=2026-01-01&to=2026-01-01").is_ok());
    let many: Vec<String> = (0..100).map(|index| format!("p{index}=1")).collect();
    assert_eq!(bad(&query, &many.join("&")).len(), 20);
}

const BY_TYPE: &str = r#"
[[query]]
path = "/stats/retention"
sql = "stats/{type}.sql"
[query.parameters]
type = { type = "choice", of = ["daily", "cohort"], default = "daily" }
windows = { type = "integer", default = 3, min = 1, max = 90 }
segment = { type = "segment", fields = ["event_type", "properties.*"], optional = true }
"#;

#[test]
fn a_choice_may_choose_the_statement_and_each_binds_what_it_uses() {
    let daily = "SELECT 1 WHERE $segment_field IS NULL OR $segment_value = 'x'";
    let files = [
        ("stats/daily.sql", daily),
        ("stats/cohort.sql", "SELECT $windows"),
    ];
    let query = query(BY_TYPE, &files);
    let asked = query.ask("").unwrap();
    assert_eq!(&*asked.sql, daily);
    let bound: Vec<&str> = asked.bound.keys().map(String::as_str).collect();
    assert_eq!(bound, ["segment_field", "segment_value"]);
    let (kind, value) = (ValueType::Text, Value::Null);
    assert_eq!(asked.bound["segment_field"], Typed { kind, value });
    assert_eq!(asked.shown["segment"], Value::Null);
    let asked = query
        .ask("type=cohort&segment=event_type:purchase")
        .unwrap();
    assert_eq!(&*asked.sql, "SELECT $windows");
    assert_eq!(asked.shown["segment"], "event_type:purchase");
    assert_eq!(asked.bound.len(), 1);
    assert_eq!(
        names(&bad(&query, "type=..&segment=user_id:1")),
        ["type", "segment"]
    );
}

#[test]
fn a_reply_says_rows_and_parameters() {
    struct Found;
    impl Values for Found {
        fn value(&self, _: Name) -> Filled<'_> {
            Filled::Written(r#"[{"n":1}]"#)
        }
        fn parameter(&self, name: &str) -> Filled<'_> {
            match name {
                "limit" => Filled::Integer(7),
                _ => Filled::Null,
            }
        }
    }
    let query = query(QUERY, &[("stats/n.sql", SQL)]);
    let mut reply = Vec::new();
    query.reply.render(&Found, &mut reply);
    assert_eq!(
        String::from_utf8(reply).unwrap(),
        r#"{"from":null,"to":null,"limit":7,"n":[{"n":1}]}"#
    );
}

#[test]
fn every_mistake_is_told_with_its_remedy() {
    let cases: [(&str, &str, &str); 22] = [
        (
            "path = \"/stats/n\"",
            "path = \"stats\"",
            "\"stats\" is not possible here; write a path",
        ),
        ("path = \"/stats/n\"", "", "query[1].path: missing"),
        (
            "path = \"/stats/n\"",
            "path = \"/healthz\"",
            "is a path of Floodgate's own",
        ),
        (
            "stats/n.sql",
            "stats/m.sql",
            "read \"stats/m.sql\": No such file",
        ),
        (
            "stats/n.sql",
            "../n.sql",
            "\"../n.sql\" is not possible here; name a file of SQL",
        ),
        (
            "stats/n.sql",
            "/etc/n.sql",
            "is not possible here; name a file of SQL",
        ),
        (
            "stats/n.sql",
            "a/b/n.sql",
            "is not possible here; name a file of SQL",
        ),
        (
            "stats/n.sql",
            "stats/n.txt",
            "is not possible here; name a file of SQL",
        ),
        (
            "stats/n.sql",
            "stats/{limit}.sql",
            "write {name} of one parameter of type choice",
        ),
        (
            "cache = \"30s\"",
            "cache = \"1ms\"",
            "query[1].cache: 1ms is not possible here",
        ),
        (
            "cache = \"30s\"",
            "timeout = \"1h\"",
            "query[1].timeout: 1h is not possible here",
        ),
        ("cache = \"30s\"", "cached = \"30s\"", "did you mean cache?"),
        (
            "n = \"{rows}\"",
            "n = 1",
            "it does not say what was found; write {rows} in it",
        ),
        (
            "n = \"{rows}\"",
            "n = \"{row}\"",
            "{row} is not a placeholder here; known here: {rows}, {from}, {to}, {limit}",
        ),
        (
            "limit = { type",
            "max = { type",
            "$limit is no parameter of this query; declare it",
        ),
        (
            "limit = { type",
            "Limit = { type",
            "\"Limit\" is no name of a parameter",
        ),
        (
            "type = \"integer\"",
            "type = \"int\"",
            "unknown variant `int`",
        ),
        (
            "max = 1000",
            "max = 0",
            "query[1].parameters.limit.max: it is below min",
        ),
        (
            "max = 1000",
            "max = \"many\"",
            "expected i64; write an integer",
        ),
        (
            "default = 10",
            "default = 0",
            "\"0\" is not possible here; write an integer from 1 to 1000",
        ),
        (
            "default = 10",
            "default = 10, optional = true",
            "what has a default is never absent",
        ),
        (
            "not_before = \"from\"",
            "not_before = \"limit\"",
            "\"limit\" is not possible here; name another parameter of the same type",
        ),
    ];
    for (from, to, told) in cases {
        assert!(QUERY.contains(from), "{from}");
        let problems = load(&QUERY.replace(from, to), &[("stats/n.sql", SQL)]);
        let problems = problems.err().unwrap_or_default();
        let found = problems.iter().any(|problem| problem.contains(told));
        assert!(found, "{to}: {problems:#?}");
    }
}

#[test]
fn what_is_wrong_with_the_sql_is_told_when_it_is_loaded() {
    for (sql, told) in [
        ("SELECT", "\"stats/n.sql\": not SQL: "),
        ("SELECT 1; SELECT 2", "2 statements where one belongs"),
        (
            "DELETE FROM x",
            "no query: it does something else than read",
        ),
        ("SELECT $1", "$1 is no parameter"),
        (
            "SELECT $from, $to",
            "its SQL has no $limit; use it, or remove limit",
        ),
    ] {
        let problems = load(QUERY, &[("stats/n.sql", sql)])
            .err()
            .unwrap_or_default();
        let found = problems.iter().any(|problem| problem.contains(told));
        assert!(found, "{sql}: {problems:#?}");
    }
    let both = QUERY.replace("type = \"integer\"", "type = \"int\"");
    let problems = load(&both, &[("stats/n.sql", "SELECT")]).err().unwrap();
    assert_eq!(problems.len(), 2, "{problems:#?}");
}

#[test]
fn two_that_bind_the_same_are_told_apart_at_the_start() {
    let twice = BY_TYPE.replace("windows =", "segment_value =");
    let files = [
        ("stats/daily.sql", "SELECT $segment_field, $segment_value"),
        ("stats/cohort.sql", "SELECT 1"),
    ];
    let problems = load(&twice, &files).err().unwrap();
    assert!(
        problems[0].contains("$segment_value is there twice"),
        "{problems:#?}"
    );
}

#[test]
fn a_flow_is_another_one_when_its_sql_is_and_needs_none_to_be_worked_off() {
    let first = load(QUERY, &[("stats/n.sql", SQL)]).unwrap();
    let same = load(QUERY, &[("stats/n.sql", SQL)]).unwrap();
    let sql = SQL.replace("LIMIT", "ORDER BY n LIMIT");
    let other = load(QUERY, &[("stats/n.sql", &sql)]).unwrap();
    assert!(first.is_same_as(&same) && !first.is_same_as(&other));
    assert_eq!(first.digest, other.digest);
    let paths: Vec<_> = first
        .paths()
        .map(|(method, path)| (method, &**path))
        .collect();
    assert_eq!(paths, [("POST", "/x"), ("GET", "/stats/n")]);
    let worked_off = Flow::of_source("x", &first.source).unwrap();
    assert!(worked_off.queries.is_empty());
}

#[test]
fn every_statement_can_be_tried_before_anybody_asks() {
    let text = r#"
        [[query]]
        path = "/stats/n"
        sql = "stats/{type}.sql"
        [query.parameters]
        type = { type = "choice", of = ["a", "b"] }
        limit = { type = "integer", min = 3, max = 1000 }
        segment = { type = "segment", fields = ["properties.*"], optional = true }
    "#;
    let sql = "SELECT 1 FROM x WHERE $segment_field = $segment_value LIMIT $limit";
    let files = [("stats/a.sql", sql), ("stats/b.sql", "SELECT $type")];
    let query = query(text, &files);
    let samples: Vec<Asked> = query.samples().collect();
    assert_eq!(samples.len(), 2);
    let bound = serde_json::to_value(&samples[0].bound).unwrap();
    let text = |value: &str| json!({"type": "text", "value": value});
    assert_eq!(
        bound,
        json!({
            "limit": {"type": "integer", "value": 3},
            "segment_field": text("properties.a"), "segment_value": text("a"),
        })
    );
    let bound = serde_json::to_value(&samples[1].bound).unwrap();
    assert_eq!(bound, json!({"type": text("a")}));
}
