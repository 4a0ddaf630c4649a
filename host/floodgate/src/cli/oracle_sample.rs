//! Entries to try an oracle on, and what it says of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use super::table::short;
use floodgate_flow::{Entry, OracleLimits, OracleSettings, Verdict};
use floodgate_oracle_host::Oracle;

/// The defaults of `[[oracle]]`.
pub(super) const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_millis(100),
};
/// Characters of an id or a verdict that a column has room for.
const ID: usize = 20;
const VERDICT: usize = 60;

/// `KEY=VALUE` of the command line.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What the guest reads through `settings.get`.
pub(super) fn settings(values: &[(String, String)]) -> Arc<OracleSettings> {
    Arc::new(OracleSettings {
        values: values.iter().cloned().collect(),
        digest: None,
    })
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    parse(&text).with_context(|| format!("read {}", path.display()))
}

/// One entry per line that is not empty.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let body: serde_json::Value = serde_json::from_str(line)
                .with_context(|| format!("line {}: not JSON", index + 1))?;
            let id = ["tx_hash", "id"].iter().find_map(|key| match &body[*key] {
                serde_json::Value::String(id) => Some(id.clone()),
                serde_json::Value::Number(id) => Some(id.to_string()),
                _ => None,
            });
            Ok(entry(id.unwrap_or_else(|| (index + 1).to_string()), line))
        })
        .collect()
}

pub(super) fn entry(id: String, body: &str) -> Entry {
    let now = jiff::Timestamp::now().as_millisecond();
    Entry {
        id: id.into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at: u64::try_from(now).unwrap_or_default(),
        attributes: Arc::default(),
    }
}

/// Of an entry alone, so that a trap is shown beside the entry that caused it.
pub(super) fn verdict(
    oracle: &Oracle,
    entry: &Entry,
    settings: &Arc<OracleSettings>,
    limits: OracleLimits,
) -> Result<Verdict, String> {
    let judged = oracle.judge_one(entry, settings, limits);
    judged.map_err(|refusal| first_line(&refusal.to_string()))
}

pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What two components say of the same entries.
pub(super) struct Comparison {
    pub table: Table,
    pub changed: usize,
}

/// Without a `before` nothing counts as changed.
pub(super) fn compare(
    before: Option<&Oracle>,
    after: &Oracle,
    entries: &[Entry],
    settings: &Arc<OracleSettings>,
) -> Comparison {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["entry", "before", "after", ""]);
    let mut changed = 0;
    for entry in entries {
        let of = |oracle| verdict(oracle, entry, settings, LIMITS);
        let (was, is) = (before.map(of), of(after));
        let differs = was.as_ref().is_some_and(|was| *was != is);
        let mark = match differs {
            true => Cell::new("changed").fg(Color::Yellow),
            false => Cell::new(""),
        };
        changed += usize::from(differs);
        let was = was.map_or_else(|| "-".to_owned(), |was| said(&was));
        table.add_row([
            Cell::new(short(&entry.id, ID)),
            Cell::new(was),
            Cell::new(said(&is)),
            mark,
        ]);
    }
    Comparison { table, changed }
}

fn said(verdict: &Result<Verdict, String>) -> String {
    let text = match verdict {
        Ok(verdict) => {
            let score = format!("{:.4}", verdict.score);
            let reasons = verdict.reasons.join(", ");
            let parts = [Some(score), Some(reasons), verdict.output.clone()];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            parts.join(" ").trim_end().to_owned()
        }
        Err(fault) => fault.clone(),
    };
    short(&text, VERDICT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use floodgate_oracle_host::{Engine, EngineOptions};

    #[test]
    fn a_sample_that_is_not_json_is_an_error_that_names_the_line() {
        let error = parse("{}\n{oops\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: not JSON");
    }

    #[test]
    fn a_comparison_marks_what_changed_and_nothing_where_there_is_none_before() {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        let load = |bytes: &[u8]| Oracle::load(&engine, bytes).unwrap();
        let (one, other) = (
            load(&floodgate_test_components::misbehaving()),
            load(&floodgate_test_components::constant(0.25)),
        );
        let sample = parse("{\"tx_hash\": \"abc\"}\n{\"id\": \"error\"}\n").unwrap();

        let compared = compare(Some(&one), &other, &sample, &Arc::default());
        let text = compared.table.to_string();
        assert_eq!((compared.changed, text.matches("changed").count()), (2, 2));
        assert!(text.contains("0.5000"), "{text}");
        assert_eq!(
            compare(Some(&one), &one, &sample, &Arc::default()).changed,
            0
        );
        assert_eq!(compare(None, &one, &sample, &Arc::default()).changed, 0);
    }
}
