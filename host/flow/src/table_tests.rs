//! The tables that most flows do without: `[track]`, `[[deliver]]`,
//! `[[health]]`, and the keys of `[admit]` that come with them.

use super::*;

const ADMIT: &str = r#"
[admit]
path = "/x"
schema = "x.schema.json"
"#;

fn load(text: &str) -> Result<Flow, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.schema.json"), "true").unwrap();
    std::fs::write(dir.path().join("x.toml"), text).unwrap();
    let prefix = format!("{}/x.toml:", dir.path().display());
    match Flow::load_dir(dir.path()) {
        Ok(mut flows) => Ok(flows.remove(0)),
        Err(problems) => Err(problems
            .iter()
            .map(|problem| problem.to_string().replace(&prefix, ""))
            .collect()),
    }
}

/// A flow file with `admit` among its keys and `rest` after its table.
fn with(admit: &str, rest: &str) -> String {
    format!("{ADMIT}{admit}\n{rest}")
}

const BY_FIELD: &str = "id = { field = \"/id\" }";

#[test]
fn a_flow_file_may_say_all_of_it() {
    let flow = load(&with(
        r#"id = { generate = "sequence" }
           keys = true
           rate = "60/min"
           errors = { "/id" = 400 }"#,
        r#"[[oracle]]
           component = "risk"
           [decide.labels]
           pending = "WAIT"
           [keep]
           hot = "7d"
           time = "/at"
           [keep.columns]
           user_id = { field = "/user/id" }
           amount = { field = "/amount", type = "number" }
           [track]
           path = "/x/{id}"
           keep = "1h"
           unknown = "No such x"
           states = { completed = "done" }
           reply = { id = "{id}", state = "{state}", result = "{output}", n = "{/n}" }
           [[deliver]]
           name = "other"
           url = "http://localhost:8080/x"
           exists = "http://localhost:8080/x/{id}"
           timeout = "5s"
           quiet = "7s"
           concurrency = 3
           [deliver.retry]
           attempts = 2
           [[health]]
           path = "/health"
           reply = { status = "{health}", open = "{open}" }"#,
    ))
    .unwrap();
    assert_eq!(flow.admit.id, Identity::Sequence);
    let per = Duration::from_secs(60);
    assert_eq!(
        flow.admit.rate,
        Some(Rate {
            tokens: 60,
            per,
            of: RateOf::Requests
        })
    );
    assert_eq!(&*flow.decide.pending, "WAIT");
    assert_eq!(flow.keep, Keep::Always, "a flow that delivers keeps all");
    let pointer = |text| Pointer::parse(text).unwrap();
    let column = |name: &str, field, kind| Column {
        name: name.into(),
        field: pointer(field),
        kind,
    };
    let table = Table {
        hot: Some(Duration::from_secs(7 * 24 * 3600)),
        time: Some(pointer("/at")),
        columns: vec![
            column("user_id", "/user/id", ColumnKind::Text),
            column("amount", "/amount", ColumnKind::Number),
        ],
    };
    assert_eq!(flow.table, table);
    let track = flow.track.as_ref().unwrap();
    assert_eq!(track.path, TrackPath::Segment("/x/{id}".into()));
    assert_eq!(track.states.name(State::Completed), "done");
    assert_eq!(track.states.name(State::Failed), "failed");
    assert_eq!(flow.known_for(), Duration::from_secs(3600));
    let other = &flow.deliver[0];
    assert_eq!((other.concurrency, other.retry.attempts), (3, 2));
    assert_eq!(other.retry.max, Duration::from_secs(300));
    assert_eq!(&*flow.health[0].path, "/health");
}

#[test]
fn a_flow_without_oracles_keeps_everything() {
    let flow = load(&with(BY_FIELD, "")).unwrap();
    assert!(flow.oracles.is_empty());
    assert_eq!(flow.keep, Keep::Always);
    assert_eq!(flow.table, Table::default());
}

#[test]
fn every_bad_value_of_these_tables_is_named() {
    let oracle = "[[oracle]]\ncomponent = \"risk\"\n";
    for (admit, rest, expected) in [
        (
            "id = { field = \"/id\", generate = \"uuid\" }",
            "",
            "5: admit.id.generate: an id is in the body or generated, not both",
        ),
        (
            "id = { generate = \"uuid\" }\nbatch = true",
            "",
            "6: admit.batch: the items of a batch have ids of their own",
        ),
        (
            "id = { field = \"/id\" }\nrate = \"5/day\"",
            "",
            "6: admit.rate: \"5/day\": not a number above 0, a slash",
        ),
        (
            "id = { field = \"/id\" }\nerrors = { \"/id\" = 500 }",
            "",
            "6: admit.errors./id: 500 is not possible here; write 400 to 499",
        ),
        (
            BY_FIELD,
            "[track]\npath = \"/x\"\nreply = {}",
            "7: track.path: \"/x\" is not possible here; write a path with one segment {id}",
        ),
        (
            BY_FIELD,
            "[track]\npath = \"/x/{id}\"",
            "6: track.reply: missing; say what is answered",
        ),
        (
            BY_FIELD,
            "[track]\npath = \"/x/{id}\"\nid_query = \"id\"\nreply = {}",
            "7: track.path: ",
        ),
        (
            BY_FIELD,
            "[track]\npath = \"/x/{id}\"\nreply = { s = \"{open}\" }",
            "8: track.reply: {open} is not a placeholder here; known here: {id}",
        ),
        (
            BY_FIELD,
            "[[health]]\npath = \"/h/{id}\"\nreply = {}",
            "7: health[1].path: ",
        ),
        (
            BY_FIELD,
            "[[health]]\npath = \"//\"\nreply = {}",
            "7: health[1].path: ",
        ),
        (
            BY_FIELD,
            "[[health]]\npath = \"/h\"\nreply = {}\n[[health]]\npath = \"/h\"\nreply = {}",
            "10: health[2].path: GET \"/h\" is used twice",
        ),
        (
            BY_FIELD,
            "[keep]\nwhen = \"high\"",
            "7: keep.when: without an oracle nothing is ever HIGH",
        ),
        (
            BY_FIELD,
            "[keep]\nwhen = \"never\"\n[[deliver]]\nname = \"d\"\nurl = \"http://h/\"",
            "7: keep.when: a flow that delivers keeps every decision",
        ),
        (
            BY_FIELD,
            "[keep]\nhot = \"soon\"",
            "7: keep.hot: \"soon\": ",
        ),
        (
            BY_FIELD,
            "[keep]\nwhen = \"never\"\nhot = \"7d\"",
            "8: keep.hot: a flow that keeps nothing has nothing to move",
        ),
        (
            BY_FIELD,
            "[keep]\ntime = \"at\"",
            "7: keep.time: \"at\": \"at\" does not start with /; write",
        ),
        (
            BY_FIELD,
            "[keep]\ntime = \"\"",
            "7: keep.time: it points at the whole body; write",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nday = { field = \"/day\" }",
            "7: keep.columns.day: every flow has a column day; give it another name",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nUserId = { field = \"/u\" }",
            "7: keep.columns.UserId: \"UserId\" is no name of a column; use a to z",
        ),
        (
            BY_FIELD,
            "[keep.columns]\n7th = { field = \"/u\" }",
            "7: keep.columns.7th: \"7th\" is no name of a column; use a to z",
        ),
        (
            BY_FIELD,
            "[keep.columns]\n\"a\\\"b\" = { field = \"/u\" }",
            "7: keep.columns.a\"b: ",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nu = {}",
            "7: keep.columns.u.field: missing; write a JSON Pointer",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nu = { field = \"u\" }",
            "7: keep.columns.u.field: \"u\": \"u\" does not start with /; write",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nu = { field = \"/u\", type = \"json\" }",
            "7: keep.columns.u.type: unknown variant `json`",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nu = { field = \"/u\", kind = \"text\" }",
            "7: keep.columns.u.kind: no key of a flow file",
        ),
        (
            BY_FIELD,
            "[keep.columns]\nu = \"/u\"",
            "7: keep.columns.u: string where a table belongs",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"/x\"",
            "8: deliver[1].url: \"/x\": it is no absolute http or https URL",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"http://h/\"\nexists = \"http://h/\"",
            "9: deliver[1].exists: it asks for no entry in particular",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"https://h/\"\nca = \"ca.pem\"",
            "9: deliver[1].ca: read ",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"https://h/\"\nca = \"x.schema.json\"",
            "9: deliver[1].ca: \"x.schema.json\": no certificate is in it",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"http://h/\"\nwhen = \"high\"",
            "9: deliver[1].when: without an oracle nothing is ever HIGH",
        ),
        (
            BY_FIELD,
            "[[deliver]]\nname = \"d\"\nurl = \"http://h/\"\n[[deliver]]\nname = \"d\"\nurl = \"http://h/\"",
            "10: deliver[2].name: \"d\" is there twice",
        ),
    ] {
        let problems = load(&with(admit, rest)).err().unwrap_or_default();
        assert!(
            problems.iter().any(|problem| problem.starts_with(expected)),
            "{admit}\n{rest}\nexpected {expected}\ngot {problems:#?}"
        );
    }
    let keeps_high = format!("{oracle}[track]\npath = \"/x/{{id}}\"\nreply = {{ n = \"{{/n}}\" }}");
    let problems = load(&with(BY_FIELD, &keeps_high)).err().unwrap();
    assert!(
        problems[0].contains("where the flow says keep.when"),
        "{problems:#?}"
    );
}

#[test]
fn a_flow_may_post_and_ask_at_one_path() {
    let track = "[track]\npath = \"/x\"\nid_query = \"ticket\"\nreply = { s = \"{state}\" }";
    let flow = load(&with(BY_FIELD, track)).unwrap();
    let expected = TrackPath::Query {
        path: "/x".into(),
        parameter: "ticket".into(),
    };
    assert_eq!(flow.track.unwrap().path, expected);
}
