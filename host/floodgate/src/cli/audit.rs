use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::CallOptions;
use super::table::{or_dash, print, short};
use super::time::time_or_age;
use floodgate_admin::types::{Audited, Erased};
use floodgate_ledger::Change;

/// Rows of one call.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only changes since: a time such as 2026-01-31T12:00:00Z, or an age such as 2h
    #[arg(long, value_parser = time_or_age)]
    since: Option<Timestamp>,
    /// Only changes before: a time, or an age
    #[arg(long, value_parser = time_or_age)]
    until: Option<Timestamp>,
    /// Only changes that touch this flow, and those that name no flow
    #[arg(long)]
    flow: Option<String>,
    /// Only changes of these kinds, such as swap,rollback,pin
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Change::ACTIONS))]
    kind: Vec<String>,
    /// Only rows before this one: `seq` of --json, to read on where a list ended
    #[arg(long)]
    before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    max: u32,
    #[command(flatten)]
    call: CallOptions,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let rows = matching(&arguments).await?;
    let header = ["at", "who", "from", "action", "target", "outcome"];
    let none = "nothing was changed";
    print(&rows, arguments.call.json, &header, none, |row| {
        let outcome = row.outcome.as_ref();
        vec![
            or_dash(row.at),
            match &row.person {
                Some(person) => format!("{person} ({})", row.who),
                None => row.who.clone(),
            },
            row.peer.clone(),
            row.action.clone(),
            plain(&row.target),
            outcome.map_or_else(|| "not known".to_owned(), told),
        ]
    })
}

/// Asks page by page: an answer has fewer rows where they are large.
async fn matching(arguments: &Arguments) -> anyhow::Result<Vec<Audited>> {
    let client = arguments.call.client();
    let (since, until) = (arguments.since, arguments.until);
    let since = since.map(|since| since.to_string());
    let until = until.map(|until| until.to_string());
    let kinds = (!arguments.kind.is_empty()).then(|| arguments.kind.join(","));
    let mut before = arguments.before;
    let mut rows: Vec<Audited> = Vec::new();
    loop {
        let left = arguments.max.saturating_sub(rows.len() as u32);
        if left == 0 {
            return Ok(rows);
        }
        let (max, from) = (
            left.min(PAGE).to_string(),
            before.map(|row| row.to_string()),
        );
        let parameters = [
            ("max", Some(&*max)),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("flow", arguments.flow.as_deref()),
            ("kind", kinds.as_deref()),
            ("before", from.as_deref()),
        ];
        let page: Vec<Audited> = client.get("/audit", &parameters).await?;
        let Some(last) = page.last() else {
            return Ok(rows);
        };
        before = Some(last.seq);
        rows.extend(page);
    }
}

/// The members of a target in a line.
fn plain(target: &Value) -> String {
    let members = target.as_object().into_iter().flatten();
    let members = members.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {}", short(text, 60)),
        other => format!("{name} {other}"),
    });
    members.collect::<Vec<_>>().join(", ")
}

fn told(outcome: &Value) -> String {
    let mut parts = Vec::new();
    if let (Some(done), Some(skipped)) = (outcome["done"].as_u64(), outcome["skipped"].as_u64()) {
        parts.push(format!("{done} done, {skipped} skipped"));
    }
    if let Some(digest) = outcome["digest"].as_str() {
        parts.push(format!("runs {digest:.12}"));
    }
    if let Some(status) = outcome["status"].as_u64() {
        parts.push(format!("answered {status}"));
    }
    if let Ok(erased) = Erased::deserialize(outcome) {
        parts.push(format!("erased {}", erased.touched().join(", ")));
    }
    if let Some(why) = outcome["why"].as_str() {
        parts.push(short(why, 60));
    }
    if let Some(error) = outcome["error"].as_str() {
        parts.push(format!("error: {}", short(error, 60)));
    }
    match parts.is_empty() {
        true => "done".to_owned(),
        false => parts.join("; "),
    }
}
