use clap::Args;

use super::CallOptions;
use super::table::{or_dash, print, short};
use floodgate_admin::types::Kept;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only of this flow
    flow: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    max: u32,
    #[command(flatten)]
    call: CallOptions,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = arguments.call.client();
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
    let none = "nothing is kept";
    print(&rows, arguments.call.json, &header, none, |row| {
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
