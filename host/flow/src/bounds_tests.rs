//! Every number of a flow file has bounds, and what lies outside is named with
//! its key and what is possible.

use super::*;

/// A flow file that says all of it; `{key}` stands where its value belongs.
const FILE: &str = r#"
[admit]
path = "/x"
schema = "x.schema.json"
id = { field = "/id" }
max_body = {admit.max_body}
rate = {admit.rate}
remember = {admit.remember}
remember_memory = {admit.remember_memory}
errors = { "/id" = {admit.errors./id} }
[admit.reply]
status = {admit.reply.status}
[[oracle]]
component = "risk"
memory = {oracle[1].memory}
timeout = {oracle[1].timeout}
[decide]
threshold = {decide.threshold}
[keep]
when = "always"
hot = {keep.hot}
[track]
path = "/x/{id}"
keep = {track.keep}
reply = { id = "{id}" }
[[deliver]]
name = "other"
url = "http://localhost:8080/x"
timeout = {deliver[1].timeout}
quiet = {deliver[1].quiet}
concurrency = {deliver[1].concurrency}
[deliver.retry]
attempts = {deliver[1].retry.attempts}
backoff = { first = {deliver[1].retry.backoff.first}, factor = {deliver[1].retry.backoff.factor}, max = {deliver[1].retry.backoff.max} }
[[query]]
path = "/x/stats"
sql = "x.sql"
cache = {query[1].cache}
timeout = {query[1].timeout}
[query.parameters]
text = { type = "text", max_length = {query[1].parameters.text.max_length} }
[retry]
attempts = {retry.attempts}
backoff = { first = {retry.backoff.first}, factor = {retry.backoff.factor}, max = {retry.backoff.max} }
[stream]
partitions = {stream.partitions}
max_backlog = {stream.max_backlog}
retain = {stream.retain}
"#;

const MILLENNIA: &str = "\"300000000y\"";

/// Per key: the least and the most that is possible, and what is not.
const NUMBERS: [(&str, [&str; 2], &[&str]); 28] = [
    (
        "admit.max_body",
        [r#""1B""#, r#""16MiB""#],
        &[r#""0B""#, r#""17MiB""#],
    ),
    (
        "admit.rate",
        [r#""1/h""#, r#""4294967295/s""#],
        &[r#""0/s""#, r#""4294967296/s""#],
    ),
    (
        "admit.remember",
        [r#""0s""#, r#""366days""#],
        &[r#""367days""#, MILLENNIA],
    ),
    (
        "admit.remember_memory",
        [r#""1MiB""#, r#""1TiB""#],
        &[r#""1KiB""#, r#""2TiB""#],
    ),
    ("admit.errors./id", ["400", "499"], &["399", "500", "-1"]),
    ("admit.reply.status", ["200", "299"], &["199", "300"]),
    (
        "oracle[1].memory",
        [r#""1MiB""#, r#""4GiB""#],
        &[r#""1KiB""#, r#""5GiB""#],
    ),
    (
        "oracle[1].timeout",
        [r#""1ms""#, r#""1h""#],
        &[r#""0s""#, r#""61min""#, MILLENNIA],
    ),
    (
        "decide.threshold",
        ["0.0", "1.0"],
        &["-0.1", "1.1", "nan", "inf"],
    ),
    (
        "keep.hot",
        [r#""0s""#, r#""36500days""#],
        &[r#""36501days""#, MILLENNIA],
    ),
    (
        "track.keep",
        [r#""0s""#, r#""366days""#],
        &[r#""367days""#, MILLENNIA],
    ),
    (
        "deliver[1].timeout",
        [r#""1ms""#, r#""1h""#],
        &[r#""0s""#, r#""61min""#, MILLENNIA],
    ),
    (
        "deliver[1].quiet",
        [r#""0s""#, r#""30days""#],
        &[r#""31days""#, MILLENNIA],
    ),
    ("deliver[1].concurrency", ["1", "1024"], &["0", "1025"]),
    (
        "deliver[1].retry.attempts",
        ["1", "1000"],
        &["0", "1001", "-1"],
    ),
    (
        "deliver[1].retry.backoff.first",
        [r#""0s""#, r#""30days""#],
        &[r#""31days""#, MILLENNIA],
    ),
    (
        "deliver[1].retry.backoff.factor",
        ["1.0", "1000.0"],
        &["0.9", "1000.1", "nan", "inf"],
    ),
    (
        "deliver[1].retry.backoff.max",
        [r#""0s""#, r#""30days""#],
        &[r#""31days""#, MILLENNIA],
    ),
    (
        "query[1].cache",
        [r#""1s""#, r#""1day""#],
        &[r#""999ms""#, r#""25h""#, MILLENNIA],
    ),
    (
        "query[1].timeout",
        [r#""1ms""#, r#""5m""#],
        &[r#""0s""#, r#""6m""#, MILLENNIA],
    ),
    (
        "query[1].parameters.text.max_length",
        ["1", "4096"],
        &["0", "4097"],
    ),
    ("retry.attempts", ["1", "1000"], &["0", "1001", "-1"]),
    (
        "retry.backoff.first",
        [r#""0s""#, r#""30days""#],
        &[r#""31days""#, MILLENNIA],
    ),
    (
        "retry.backoff.factor",
        ["1.0", "1000.0"],
        &["0.9", "1000.1", "nan", "inf"],
    ),
    (
        "retry.backoff.max",
        [r#""0s""#, r#""30days""#],
        &[r#""31days""#, MILLENNIA],
    ),
    ("stream.partitions", ["1", "256"], &["0", "257"]),
    (
        "stream.max_backlog",
        ["1", "1000000000000"],
        &["0", "1000000000001", "9223372036854775807"],
    ),
    (
        "stream.retain",
        [r#""0s""#, r#""366days""#],
        &[r#""367days""#, MILLENNIA],
    ),
];

/// With `value` at `key`, and the least that is possible at every other one.
fn problems(key: &str, value: &str) -> Vec<String> {
    let mut file = FILE.replace(&format!("{{{key}}}"), value);
    for (other, [least, _], _) in NUMBERS {
        file = file.replace(&format!("{{{other}}}"), least);
    }
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("x.schema.json", "true"),
        ("x.sql", "SELECT count(*) FROM x WHERE id = $text"),
        ("x.toml", &file),
    ];
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let problems = Flow::load_dir(dir.path()).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_number_has_bounds_and_the_error_names_key_and_range() {
    for (key, possible, impossible) in NUMBERS {
        for value in possible {
            assert_eq!(
                problems(key, value),
                Vec::<String>::new(),
                "{key} = {value}"
            );
        }
        for value in impossible {
            let told = problems(key, value);
            let [problem] = &told[..] else {
                panic!("{key} = {value}: {told:#?}")
            };
            let says = |what: &str| problem.contains(what);
            assert!(says(&format!(" {key}: ")), "{value}: {problem}");
            let range = says(" to ") || key == "admit.rate";
            assert!(range, "{key} = {value}: {problem}");
        }
    }
}

#[test]
fn every_number_that_the_documentation_lists_is_one_of_these() {
    let page = include_str!("../../../docs/flows/README.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (keys, default) = (cells.next()?, cells.next()?);
        let numeric = default.contains(|of: char| of.is_ascii_digit());
        numeric.then_some(keys)
    });
    let known: Vec<String> = NUMBERS
        .iter()
        .map(|(key, ..)| key.replace("[1]", ""))
        .collect();
    let mut listed = 0;
    for key in rows.flat_map(|keys| keys.split('`')) {
        let is_key = key.contains('.') && !key.contains(' ');
        if is_key && !key.ends_with(".parameters") {
            listed += 1;
            let found = known.iter().any(|known| known.starts_with(key));
            assert!(found, "{key} has no bounds here");
        }
    }
    assert!(listed > 10, "{listed}");
}
