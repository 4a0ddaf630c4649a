use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn document_of(files: &[(&str, &str)]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let flows = Flow::load_dir(dir.path());
    let flows: Vec<_> = flows.ok().unwrap().into_iter().map(Arc::new).collect();
    document(&flows)
}

/// A flow of this file, whose schema says little.
fn operation(file: &str) -> Value {
    let schema = r#"{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b~/ c": {}}}"#;
    let document = document_of(&[("x.toml", file), ("x.schema.json", schema)]);
    document["paths"]["/x"]["post"].clone()
}

const ADMIT: &str = "[admit]\npath = \"/x\"\nschema = \"x.schema.json\"\nid = { field = \"/a\" }\n";

fn reply(operation: &Value) -> Value {
    operation["responses"]["202"]["content"]["application/json"]["schema"].clone()
}

#[test]
fn the_shipped_flows_are_all_there() {
    let flows = Flow::load_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows"));
    let flows: Vec<_> = flows.ok().unwrap().into_iter().map(Arc::new).collect();
    let document = document(&flows);
    for flow in &flows {
        for (method, path) in flow.paths() {
            let operation = &document["paths"][&**path][method.to_lowercase()];
            assert!(operation["responses"]["200"].is_object() || method == "POST");
            assert_eq!(operation["tags"], json!([flow.name.as_str()]));
        }
    }
    let credit = &document["paths"]["/credit-request"]["post"]["responses"]["200"];
    assert_eq!(
        credit["links"]["fate"]["parameters"],
        json!({ "ticket": "$response.body#/ticket" })
    );
}

#[test]
fn references_within_a_schema_follow_it_into_the_document() {
    let schema = r##"{
        "type": "object",
        "properties": {
            "$ref": { "$ref": "#/$defs/a" },
            "tree": { "$ref": "#" },
            "anchor": { "$ref": "#here" },
            "data": { "const": { "$ref": "#/$defs/a" } },
            "other": { "$id": "urn:other", "items": { "$ref": "#/$defs/b" }, "$defs": { "b": {} } }
        },
        "$defs": { "a": { "$anchor": "here" } }
    }"##;
    let document = document_of(&[("x.toml", ADMIT), ("x.schema.json", schema)]);
    let properties = &document["components"]["schemas"]["x"]["properties"];
    assert_eq!(properties["$ref"]["$ref"], "#/components/schemas/x/$defs/a");
    assert_eq!(properties["tree"]["$ref"], "#/components/schemas/x");
    for (pointer, kept) in [
        ("/anchor/$ref", "#here"),
        ("/data/const/$ref", "#/$defs/a"),
        ("/other/items/$ref", "#/$defs/b"),
    ] {
        assert_eq!(properties.pointer(pointer).unwrap(), kept);
    }
}

#[test]
fn a_reply_is_described_by_its_template() {
    let template = r#"[admit.reply]
body = { ok = true, list = ["{id}", 1], text = "no. {id}", a = "{/a}", b = "{/b~0~1 c}", c = "{/c}", at = "{received_at}", score = "{score}" }
"#;
    let schema = reply(&operation(&format!("{ADMIT}{template}")));
    let member = |name: &str| schema["properties"][name].clone();
    assert_eq!(schema["required"].as_array().map(Vec::len), Some(8));
    assert_eq!(member("ok"), json!({ "const": true }));
    let items = json!([{ "type": "string" }, { "const": 1 }]);
    assert_eq!(member("list")["prefixItems"], items);
    assert_eq!(member("text"), json!({ "type": "string" }));
    let home = "#/components/schemas/x/properties";
    assert_eq!(member("a"), json!({ "$ref": format!("{home}/a") }));
    let optional = json!({ "$ref": format!("{home}/b~0~1%20c") });
    assert_eq!(member("b")["anyOf"], json!([optional, { "type": "null" }]));
    assert_eq!(member("c"), json!({}), "the schema does not speak of it");
    assert_eq!(member("at")["format"], "date-time");
    assert_eq!(member("score")["type"], "null", "nothing is judged yet");
}

#[test]
fn what_a_flow_asks_for_is_asked_for() {
    let plain = operation(ADMIT);
    let strict = "keys = true\nrate = \"10/s\"\nerrors = { \"/a\" = 418 }\n";
    let strict = operation(&format!("{ADMIT}{strict}"));
    for status in ["401", "418", "429"] {
        assert!(plain["responses"][status].is_null(), "{status}");
        assert!(strict["responses"][status].is_object(), "{status}");
    }
    for status in ["400", "403", "408", "409", "413", "415", "422", "503"] {
        assert!(plain["responses"][status].is_object(), "{status}");
    }
    assert_eq!(plain["security"], Value::Null);
    assert_eq!(strict["security"], json!([{ "ApiKey": [] }]));
    let headers = |status| strict["responses"][status]["headers"].clone();
    assert!(headers("429")["Retry-After"].is_object());
    assert!(headers("503")["Retry-After"].is_object());
    assert!(headers("401")["WWW-Authenticate"].is_object());
    assert!(headers("202")["RateLimit"].is_object());
    assert!(headers("422")["Retry-After"].is_null());
}

#[test]
fn an_id_is_described_where_the_schema_leaves_it_open() {
    let body = &operation(ADMIT)["requestBody"]["content"]["application/json"];
    let id = &body["schema"]["allOf"][1];
    assert_eq!(id["required"], json!(["a"]));
    assert_eq!(id["properties"]["a"]["maxLength"], 256);
    let nested = ADMIT.replace("/a\"", "/b~1/c\"");
    let body = &operation(&nested)["requestBody"]["content"]["application/json"];
    let id = &body["schema"]["allOf"][1]["properties"]["b/"];
    assert_eq!(id["required"], json!(["c"]));
}

#[test]
fn a_batch_is_an_array_of_entries() {
    let batch = operation(&format!("{ADMIT}batch = true\n"));
    let body = &batch["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["type"], "array");
    assert_eq!(body["items"]["allOf"][0]["$ref"], "#/components/schemas/x");
    assert_eq!(reply(&batch)["properties"]["count"]["type"], "integer");
}

/// What operators are told of a 503 is what clients are.
#[test]
fn each_code_of_a_503_is_in_the_alert_and_in_the_runbook() {
    let file = ADMIT.replace("{ field = \"/a\" }", "{ generate = \"sequence\" }");
    let operation = operation(&format!("{file}[[oracle]]\ncomponent = \"o\"\n"));
    let problem = &operation["responses"]["503"]["content"]["application/problem+json"];
    let urns = &problem["schema"]["allOf"][1]["properties"]["type"]["enum"];
    let urns = urns.as_array().unwrap().iter();
    let codes: BTreeSet<String> = urns
        .map(|urn| urn.as_str().unwrap().rsplit(':').next().unwrap().to_owned())
        .collect();
    let read = |path| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::fs::read_to_string(repository.join(path)).unwrap()
    };

    let alerts = read("deploy/prometheus/alerts.yml");
    let (_, alert) = alerts.split_once("{reason=~\"").unwrap();
    let listed = alert.split('"').next().unwrap().split('|');
    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), codes);

    let runbook = read("docs/RUNBOOK.md");
    let (_, about) = runbook.split_once("### FloodgateRefusals").unwrap();
    let (about, _) = about.split_once("###").unwrap();
    let rows = about.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: BTreeSet<String> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(named, codes);
}

#[test]
fn a_query_is_described_by_its_parameters_and_its_reply() {
    let query = r#"keys = true
[[query]]
path = "/stats"
sql = "n.sql"
cache = "30s"
reply = { from = "{from}", segment = "{segment}", n = "{rows}" }
[query.parameters]
from = { type = "date" }
limit = { type = "integer", default = 10, min = 1, max = 1000 }
segment = { type = "segment", fields = ["a"], optional = true }
"#;
    let files = [
        ("x.toml", &*format!("{ADMIT}{query}")),
        ("x.schema.json", "true"),
        (
            "n.sql",
            "SELECT $from, $limit, $segment_field, $segment_value",
        ),
    ];
    let operation = document_of(&files)["paths"]["/stats"]["get"].clone();
    let parameters = operation["parameters"].as_array().unwrap();
    let required = parameters.iter().map(|parameter| &parameter["required"]);
    assert_eq!(required.collect::<Vec<_>>(), [true, false, false]);
    let limit = json!({ "type": "integer", "format": "int64", "default": 10, "minimum": 1, "maximum": 1000 });
    assert_eq!(parameters[1]["schema"], limit);
    for status in ["200", "401", "403", "422", "500", "503", "504"] {
        assert!(operation["responses"][status].is_object(), "{status}");
    }
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["from"]["format"], "date");
    assert_eq!(schema["properties"]["segment"]["anyOf"][1]["type"], "null");
    assert_eq!(schema["properties"]["n"]["type"], "array");
    let retry = &operation["responses"]["503"]["headers"]["Retry-After"];
    assert_eq!(retry["required"], false, "a person has to start an archive");
    assert_eq!(operation["security"], json!([{ "ApiKey": [] }]));
}
