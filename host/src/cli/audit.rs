use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::CallOptions;
use super::table::{or_dash, print, short};
use crate::admin::types::{Audited, Erased};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// At most so many
    #[arg(long, default_value_t = 20)]
    max: u32,
    #[command(flatten)]
    call: CallOptions,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = arguments.call.client();
    let rows: Vec<Audited> = client.rows("/audit", None, arguments.max).await?;
    let header = ["at", "who", "from", "action", "target", "outcome"];
    let none = "nothing was changed";
    print(&rows, arguments.call.json, &header, none, |row| {
        let outcome = row.outcome.as_ref();
        vec![
            or_dash(row.at),
            row.who.clone(),
            row.peer.clone(),
            row.action.clone(),
            plain(&row.target),
            outcome.map_or_else(|| "not known".to_owned(), told),
        ]
    })
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
    if let Some(error) = outcome["error"].as_str() {
        parts.push(format!("error: {}", short(error, 60)));
    }
    match parts.is_empty() {
        true => "done".to_owned(),
        false => parts.join("; "),
    }
}
