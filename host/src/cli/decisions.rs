use clap::Args;

use super::client::Client;
use super::table::{or_dash, print, short};
use super::{AdminOption, JsonOption};
use crate::admin::types::Kept;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only of this flow
    flow: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    max: u32,
    #[command(flatten)]
    json: JsonOption,
    #[command(flatten)]
    admin: AdminOption,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.admin);
    let flow = arguments.flow.as_deref();
    let rows: Vec<Kept> = client.rows("/decisions", flow, arguments.max).await?;
    let header = [
        "flow",
        "id",
        "score",
        "label",
        "reasons",
        "by",
        "decided at",
    ];
    print(&rows, arguments.json, &header, "nothing is kept", |row| {
        let by = row.oracles.iter();
        let by: Vec<_> = by
            .map(|by| format!("{} {:.12}", by.name, by.digest))
            .collect();
        vec![
            row.flow.clone(),
            short(&row.id, 20),
            or_dash(row.score.map(|score| format!("{score:.3}"))),
            or_dash(row.label.as_ref()),
            row.reasons.join(", "),
            by.join("\n"),
            or_dash(row.decided_at.as_ref()),
        ]
    })
}
