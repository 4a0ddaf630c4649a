use crate::ledger::{Ledger, Postgres};
use crate::settings::LedgerSettings;

pub(super) async fn run(settings: &LedgerSettings) -> anyhow::Result<()> {
    let applied = Postgres::connect(settings.config()?, 1)?.migrate().await?;
    match applied.is_empty() {
        true => println!("the ledger is up to date"),
        false => println!("applied: {}", applied.join(", ")),
    }
    Ok(())
}
