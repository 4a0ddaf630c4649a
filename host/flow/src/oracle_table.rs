//! `[[oracle]]` as written, and what becomes of it.

use super::file::{Found, Section};
use super::resolve::is_name;
use super::{Digest, OracleLimits, OracleSettings, OracleUse, bounds};

const COMPONENT: &str =
    "name a file of the oracle directory without .wasm, such as \"mempool-risk\"";
const MEBIBYTE: u64 = 1 << 20;

/// None is fine: such a flow has neither score nor label.
pub(super) fn read(root: &mut Section) -> Vec<OracleUse> {
    let written = root.optional("oracle").map(Found::sections);
    written.into_iter().flatten().filter_map(oracle).collect()
}

fn oracle(mut table: Section) -> Option<OracleUse> {
    let component = table
        .required("component", COMPONENT)
        .and_then(|found| found.check(COMPONENT, |name: &String| is_name(name)));
    let settings = oracle_settings(table.section("settings"));
    let memory = table.optional("memory").and_then(|found| {
        let size = found.size(MEBIBYTE..=4096 * MEBIBYTE)?;
        usize::try_from(size).ok()
    });
    let timeout = table.duration("timeout", bounds::TIMEOUT);
    let alone = table.optional("alone");
    let alone = alone.and_then(|found| found.read("write true or false"));
    table.finish();
    let limits = OracleLimits {
        memory: memory.unwrap_or(64 << 20),
        timeout: timeout.unwrap_or(std::time::Duration::from_millis(100)),
    };
    Some(OracleUse::new(component?.into(), settings, limits, alone))
}

fn oracle_settings(table: Section) -> OracleSettings {
    /// What a setting may be; a guest reads all of them as text.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Setting {
        Text(String),
        Integer(i64),
        Number(f64),
        Switch(bool),
    }
    let values: std::collections::BTreeMap<_, _> = table
        .entries()
        .filter_map(|(key, found)| {
            let value = match found.raw().get_ref().type_str() {
                "array" | "table" | "datetime" => {
                    found.report("not a setting", "write a string, a number, true or false");
                    return None;
                }
                _ => match found.read("write a string, a number, true or false")? {
                    Setting::Text(text) => text,
                    Setting::Integer(number) => number.to_string(),
                    Setting::Number(number) => number.to_string(),
                    Setting::Switch(on) => on.to_string(),
                },
            };
            Some((key, value))
        })
        .collect();
    let digest = serde_json::to_vec(&values)
        .ok()
        .filter(|_| !values.is_empty())
        .map(|json| Digest::of(&json));
    OracleSettings { values, digest }
}
