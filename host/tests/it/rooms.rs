//! Which room of host/src may use which: a new edge is a decision, and no accident.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Every room, and after it those that it uses.
const EDGES: &str = "
admin: archive backbone browser flow fresh http ingest ledger masked metrics oracle readiness request_id settings tasks telemetry worker
archive: flow http ledger masked metrics settings
backbone: embedded flow ledger masked metrics
breaker: boot_time
cli: admin archive backbone deliver embedded flow harmless http import ingest ledger masked metrics oracle prove readiness settings stand_in tasks telemetry watch whole_file worker
deliver: boot_time breaker flow http ledger masked metrics tasks telemetry
embedded: tasks whole_file
flow: masked
http: metrics telemetry
import: flow http masked
ingest: archive backbone browser flow fresh http ledger metrics readiness request_id settings tasks telemetry
ledger: embedded flow metrics
oracle: flow ledger metrics settings tasks watch whole_file
prove: backbone flow oracle
readiness: admin backbone flow fresh ledger oracle
settings: http ledger oracle
tasks: metrics
telemetry: flow harmless http masked tasks
worker: backbone boot_time flow ledger metrics oracle tasks telemetry
";

#[test]
fn a_room_uses_those_rooms_that_the_list_names() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in walkdir::WalkDir::new(&src).into_iter().map(Result::unwrap) {
        let path = file.path().strip_prefix(&src).unwrap();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let first = path.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        let text = std::fs::read_to_string(file.path()).unwrap();
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""));
        for line in code {
            for used in line.split("crate::").skip(1) {
                let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                let used = used.split(|c| !is_name(c)).next().unwrap();
                if used != room {
                    edges.entry(room.into()).or_default().insert(used.into());
                }
            }
        }
    }
    let found = edges.iter().map(|(room, uses)| {
        let uses: Vec<&str> = uses.iter().map(String::as_str).collect();
        format!("{room}: {}\n", uses.join(" "))
    });
    assert_eq!(found.collect::<String>(), EDGES.trim_start());
}
