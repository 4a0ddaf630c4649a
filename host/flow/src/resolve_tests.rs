//! Every mistake of a flow file is named with file, line, key and remedy.

use std::path::Path;

use super::*;

const SCHEMA: &str = r#"{"type": "object"}"#;

/// A flow file with `line` where its table stands.
fn with(table: &str, line: &str) -> String {
    let mut file = String::new();
    for (name, lines) in [
        (
            "[admit]",
            "path = \"/x\"\nschema = \"x.schema.json\"\nid = { field = \"/id\" }\n",
        ),
        ("[admit.reply]", ""),
        ("[[oracle]]", "component = \"risk\"\n"),
        ("[decide]", ""),
        ("[keep]", ""),
        ("[retry]", ""),
        ("[stream]", ""),
    ] {
        let key = line.split(' ').next().unwrap_or_default();
        let kept = lines
            .lines()
            .filter(|kept| table != name || kept.split(' ').next() != Some(key));
        file.push_str(name);
        file.push('\n');
        file.extend(kept.flat_map(|line| [line, "\n"]));
        if name == table {
            file.push_str(line);
            file.push('\n');
        }
    }
    file
}

fn load(files: &[(&str, &str)]) -> Result<Vec<Flow>, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.schema.json"), SCHEMA).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let prefix = format!("{}/", dir.path().display());
    Flow::load_dir(dir.path()).map_err(|problems| {
        let told = problems.iter().map(ToString::to_string);
        told.map(|problem| problem.replace(&prefix, "")).collect()
    })
}

fn problems(file: &str) -> Vec<String> {
    load(&[("x.toml", file)]).err().unwrap_or_default()
}

#[test]
fn every_shipped_flow_file_is_sound() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
    let flows = Flow::load_dir(&dir).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let transactions = flows
        .iter()
        .find(|flow| flow.name.as_str() == "transactions");
    let flow = transactions.unwrap();
    let text = std::fs::read(dir.join("transactions.toml")).unwrap();
    assert_eq!(flow.digest, Digest::of(&text));
    assert_eq!(flow.admit.remember, Duration::from_secs(600));
    assert_eq!(flow.decide.threshold, 0.8);
    assert_eq!(flow.keep, Keep::High);
}

#[test]
fn a_minimal_flow_file_has_the_documented_defaults() {
    let flows = load(&[("x.toml", &with("", ""))]).unwrap();
    let flow = &flows[0];
    assert_eq!(flow.admit.max_body, 64 << 10);
    assert_eq!(flow.admit.remember, Duration::from_secs(600));
    assert_eq!(flow.admit.reply.status, 202);
    assert!(flow.admit.normalise.is_empty());
    assert_eq!(
        flow.oracles[0].limits,
        OracleLimits {
            memory: 64 << 20,
            timeout: Duration::from_millis(100),
        }
    );
    assert_eq!(flow.decide.combine, Combine::Max);
    assert_eq!((&*flow.decide.high, &*flow.decide.low), ("HIGH", "LOW"));
    assert_eq!(
        flow.retry,
        Retry {
            attempts: 5,
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
        }
    );
    assert_eq!(
        flow.stream,
        StreamSettings {
            partitions: 1,
            max_backlog: 1_000_000,
            retain: Duration::ZERO,
        }
    );
}

#[test]
fn oracle_settings_become_text_with_a_digest() {
    let settings = r#"settings = { a = "x", b = 3, c = 0.5, d = true }"#;
    let flow = load(&[("x.toml", &with("[[oracle]]", settings))]).unwrap();
    let table = with(
        "[[oracle]]",
        &settings
            .replace("settings = { ", "[oracle.settings]\n")
            .replace(", ", "\n")
            .replace(" }", ""),
    );
    let same = load(&[("x.toml", &table)]).unwrap();
    assert_eq!(
        flow[0].oracles[0].settings.digest,
        same[0].oracles[0].settings.digest
    );
    let settings = &flow[0].oracles[0].settings;
    let values: Vec<_> = settings.values.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        values,
        [("a", "x"), ("b", "3"), ("c", "0.5"), ("d", "true")]
    );
    assert!(settings.digest.is_some());
}

#[test]
fn every_bad_value_names_line_key_and_remedy() {
    let cases = [
        (
            "[admit]",
            "path = \"x\"",
            "4: admit.path: \"x\" is not possible here; write a path such as",
        ),
        (
            "[admit]",
            "path = \"/x/\"",
            "4: admit.path: \"/x/\" is not possible here; write",
        ),
        (
            "[admit]",
            "path = \"/healthz\"",
            "4: admit.path: \"/healthz\" is a path of Floodgate's own; give the flow another path",
        ),
        (
            "[admit]",
            "path = 3",
            "4: admit.path: invalid type: integer `3`, expected a string; write",
        ),
        (
            "[admit]",
            "schema = \"y.json\"",
            "4: admit.schema: read \"y.json\": No such file",
        ),
        (
            "[admit]",
            "id = { field = \"id\" }",
            "4: admit.id.field: \"id\": \"id\" does not start with /; write",
        ),
        (
            "[admit]",
            "id = { field = \"\" }",
            "4: admit.id.field: it points at the whole body; write",
        ),
        (
            "[admit]",
            "id = {}",
            "4: admit.id: neither field nor generate; write id = { field",
        ),
        (
            "[admit]",
            "id = \"/id\"",
            "4: admit.id: string where a table belongs; write it as [admit.id]",
        ),
        (
            "[admit]",
            "max_body = \"64 cows\"",
            "5: admit.max_body: \"64 cows\": ",
        ),
        (
            "[admit]",
            "max_body = \"1GiB\"",
            "5: admit.max_body: 1.0 GiB is not possible here; write 1B to 16MiB",
        ),
        (
            "[admit]",
            "remember = \"soon\"",
            "5: admit.remember: \"soon\": ",
        ),
        (
            "[admit]",
            "normalise = { x = \"lower\" }",
            "5: admit.normalise.x: \"x\" does not start with /; write",
        ),
        (
            "[admit]",
            "normalise = { \"/x\" = \"flat\" }",
            "5: admit.normalise./x: unknown variant `flat`",
        ),
        (
            "[admit.reply]",
            "status = 404",
            "6: admit.reply.status: 404 is not possible here; write 200 to 299",
        ),
        (
            "[admit.reply]",
            "body = { a = \"{uptime}\" }",
            "6: admit.reply.body: {uptime} is not a placeholder here; known here: {id}",
        ),
        (
            "[[oracle]]",
            "component = \"../x\"",
            "7: oracle[1].component: \"../x\" is not possible here; name a file",
        ),
        (
            "[[oracle]]",
            "memory = \"1KiB\"",
            "8: oracle[1].memory: 1.0 KiB is not possible here; write 1MiB to 4GiB",
        ),
        (
            "[[oracle]]",
            "timeout = \"0s\"",
            "8: oracle[1].timeout: 0s is not possible here; write a duration",
        ),
        (
            "[[oracle]]",
            "settings = { a = [1] }",
            "8: oracle[1].settings.a: not a setting; write a string",
        ),
        (
            "[decide]",
            "threshold = 1.8",
            "9: decide.threshold: 1.8 is not possible here; scores run from 0.0 to 1.0",
        ),
        (
            "[decide]",
            "threshold = nan",
            "9: decide.threshold: NaN is not possible here; scores run",
        ),
        (
            "[decide]",
            "combine = \"sum\"",
            "9: decide.combine: unknown variant `sum`",
        ),
        (
            "[decide]",
            "labels = { high = \"\" }",
            "9: decide.labels.high: \"\" is not possible here; write a word",
        ),
        (
            "[keep]",
            "when = \"low\"",
            "10: keep.when: unknown variant `low`",
        ),
        (
            "[retry]",
            "attempts = 0",
            "11: retry.attempts: 0 is not possible here; write 1 to 1000",
        ),
        (
            "[retry]",
            "backoff = { factor = 0.5 }",
            "11: retry.backoff.factor: 0.5 is not possible here; write 1.0 to 1000.0",
        ),
        (
            "[stream]",
            "partitions = 0",
            "12: stream.partitions: 0 is not possible here; write 1 to 256",
        ),
        (
            "[stream]",
            "max_backlog = -1",
            "12: stream.max_backlog: invalid value: integer `-1`",
        ),
        (
            "[stream]",
            "retain = 3",
            "12: stream.retain: invalid type: integer `3`, expected a string; write a duration",
        ),
    ];
    for (table, line, expected) in cases {
        let problems = problems(&with(table, line));
        let expected = format!("x.toml:{expected}");
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&expected)),
            "{line}: expected {expected}\ngot {problems:#?}"
        );
    }
}

#[test]
fn a_typo_is_told_the_nearest_key() {
    assert_eq!(
        problems(&with("[decide]", "treshold = 0.7")),
        ["x.toml:9: decide.treshold: no key of a flow file; did you mean threshold?"]
    );
    assert_eq!(
        problems(&format!("{}[retrys]\n", with("", ""))),
        ["x.toml:12: retrys: no key of a flow file; did you mean retry?"]
    );
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let broken = with("[decide]", "threshold = 2\ncombine = 1\nfoo = 1");
    let files = [
        ("a.toml", &*broken),
        ("b.toml", "[admit\npath = 1"),
        ("c d.toml", ""),
    ];
    let told = load(&files).err().unwrap();
    for start in [
        "a.toml:9: decide.threshold: ",
        "a.toml:10: decide.combine: ",
        "a.toml:11: decide.foo: ",
        "b.toml:1: not TOML: ",
        "b.toml: admit.schema: missing; ",
        "c d.toml: its name is not one of a flow; use a to z",
    ] {
        assert!(
            told.iter().any(|problem| problem.starts_with(start)),
            "{start}\n{told:#?}"
        );
    }
}

#[test]
fn two_flows_on_one_path_are_an_error_that_names_both() {
    let broken = with("[decide]", "threshold = 2");
    let told = load(&[("a.toml", &broken), ("b.toml", &with("", ""))])
        .err()
        .unwrap();
    assert!(
        told.contains(&String::from(
            "b.toml:2: admit.path: \"/x\" is the path of another flow (a.toml:2); give one of them another path"
        )),
        "{told:#?}"
    );
}

#[test]
fn what_every_front_end_answers_is_no_path_of_a_flow() {
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/x"] {
        let admit = with("[admit]", &format!("path = \"{path}\""));
        let page = format!("[[health]]\npath = \"{path}\"\nreply = {{}}\n");
        for file in [admit, format!("{}{page}", with("", ""))] {
            let told = load(&[("a.toml", &file)]).err().unwrap();
            let what = format!("{path:?} is a path of Floodgate's own; give the flow another path");
            assert!(told[0].ends_with(&what), "{told:#?}");
        }
    }
}

#[test]
fn an_unsound_schema_is_a_problem_of_the_key_that_names_it() {
    let files = [
        ("x.toml", &*with("[admit]", "schema = \"y.json\"")),
        ("y.json", r#"{"type": 3}"#),
    ];
    let told = load(&files).err().unwrap();
    assert!(
        told[0].starts_with("x.toml:4: admit.schema: \"y.json\": not a JSON Schema: "),
        "{told:#?}"
    );
}

#[test]
fn a_directory_without_flow_files_is_a_problem() {
    let told = load(&[]).err().unwrap();
    assert!(
        told[0].ends_with("no flow file (*.toml) in it; put one there, or name another directory")
    );
    let missing = Flow::load_dir("no/such/directory").err().unwrap();
    assert!(
        missing[0]
            .to_string()
            .starts_with("no/such/directory: read flow directory: ")
    );
}
