//! Tests that the picture of the crates in docs/ARCHITECTURE.md shows the dependencies
//! that `cargo metadata` reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;

use serde_json::Value;

use crate::host::repository;
use crate::support;

const BEGIN: &str = "<!-- crates: made by the test crates::the_picture -->\n";
const END: &str = "<!-- end of crates -->\n";

/// A crate of this workspace.
struct Member {
    directory: String,
    description: String,
    /// The names of the crates that this crate uses outside its tests.
    uses: BTreeSet<String>,
}

fn members() -> BTreeMap<String, Member> {
    let root = repository().canonicalize().unwrap();
    let output = Command::new(std::env::var_os("CARGO").unwrap())
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(&root)
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<String> = packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect();
    let member = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let normal = dependencies.iter().filter(|on| on["kind"].is_null());
        let manifest = text(&package["manifest_path"]);
        let directory = manifest
            .strip_prefix(&format!("{}/", root.display()))
            .unwrap();
        Member {
            directory: directory.strip_suffix("/Cargo.toml").unwrap().to_owned(),
            description: text(&package["description"]),
            uses: normal
                .map(|on| text(&on["name"]))
                .filter(|on| names.contains(on))
                .collect(),
        }
    };
    packages
        .iter()
        .map(|package| (text(&package["name"]), member(package)))
        .collect()
}

/// Returns whether a crate uses another one, directly or through others.
fn reaches(members: &BTreeMap<String, Member>, from: &str, to: &str) -> bool {
    let uses = &members[from].uses;
    uses.contains(to) || uses.iter().any(|on| reaches(members, on, to))
}

/// Returns a graph without the edges that follow from others, and a table with
/// all of them.
fn picture(members: &BTreeMap<String, Member>) -> String {
    let mut page = "```mermaid\ngraph TD\n".to_owned();
    let short = |name: &str| name.trim_start_matches("floodgate-").to_owned();
    for (name, member) in members {
        for on in &member.uses {
            let mut others = member.uses.iter().filter(|other| *other != on);
            if !others.any(|other| reaches(members, other, on)) {
                writeln!(page, "    {} --> {}", short(name), short(on)).unwrap();
            }
        }
    }
    page += "```\n\n| crate | what it is | which it uses |\n|---|---|---|\n";
    for (name, member) in members {
        let uses: Vec<String> = member.uses.iter().map(|on| short(on)).collect();
        let (name, uses) = (short(name), uses.join(", "));
        let (directory, description) = (&member.directory, &member.description);
        let place = format!("[{directory}](../{directory})");
        writeln!(page, "| `{name}` in {place} | {description} | {uses} |").unwrap();
    }
    page
}

#[test]
fn the_picture_is_that_of_cargo() {
    let file = repository().join("docs/ARCHITECTURE.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", picture(&members()));
    support::holds(&file, &made, "crates::the_picture");
}

#[test]
fn a_front_end_knows_no_oracle_and_an_oracle_no_backbone() {
    let members = members();
    for (from, to) in [
        ("floodgate-ingest", "floodgate-oracle-host"),
        ("floodgate-ingest", "floodgate-worker"),
        ("floodgate-admin", "floodgate-worker"),
        ("floodgate-ledger", "floodgate-backbone"),
        ("floodgate-oracle-host", "floodgate-backbone"),
        ("floodgate-flow", "floodgate-process"),
    ] {
        assert!(!reaches(&members, from, to), "{from} uses {to}");
    }
}
