use std::time::Duration;

use clap::Args;

use super::CallOptions;
use super::table::{or_dash, print, short};
use floodgate_admin::types::PendingEntry;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this flow
    flow: Option<String>,
    /// At most so many, oldest first
    #[arg(long, default_value_t = 100)]
    max: u32,
    #[command(flatten)]
    call: CallOptions,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = arguments.call.client();
    let flow = arguments.flow.as_deref();
    let rows: Vec<PendingEntry> = client.rows("/pending", flow, arguments.max).await?;
    let header = [
        "flow",
        "stream id",
        "id",
        "owner",
        "idle",
        "deliveries",
        "attempts",
        "next attempt",
        "last error",
    ];
    print(
        &rows,
        arguments.call.json,
        &header,
        "nothing is pending",
        |row| {
            let idle = Duration::from_secs(row.idle_ms / 1000);
            let error = match (&row.fault, &row.last_error) {
                (Some(fault), Some(error)) => format!("{fault}: {}", short(error, 60)),
                _ => "-".to_owned(),
            };
            vec![
                row.flow.clone(),
                row.stream_id.clone(),
                row.id
                    .as_deref()
                    .map_or_else(|| "-".to_owned(), |id| short(id, 20)),
                row.owner.clone(),
                humantime::format_duration(idle).to_string(),
                row.deliveries.to_string(),
                row.attempts.to_string(),
                or_dash(row.next_attempt),
                error,
            ]
        },
    )
}
