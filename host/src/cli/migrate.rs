use clap::Args;
use serde_json::json;

use super::out::JsonOption;
use crate::ledger::{Ledger, Postgres};
use crate::settings::LedgerSettings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    json: JsonOption,
    #[command(flatten)]
    ledger: LedgerSettings,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { json, ledger } = arguments;
    let applied = Postgres::connect(ledger.config()?, 1)?.migrate().await?;
    json.say(&json!({ "applied": applied }), || {
        match applied.is_empty() {
            true => "the ledger is up to date".to_owned(),
            false => format!("applied: {}", applied.join(", ")),
        }
    })
}
