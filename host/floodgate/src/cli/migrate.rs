use clap::Args;
use serde_json::json;

use super::out::JsonOption;
use crate::settings::LedgerSettings;
use floodgate_ledger::{Ledger, Migrated};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Move the tables of an older Floodgate into the schema of --database-schema;
    /// every host and the archive have to be stopped
    #[arg(long)]
    move_schema: bool,
    #[command(flatten)]
    json: JsonOption,
    #[command(flatten)]
    ledger: LedgerSettings,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        move_schema,
        json,
        ledger,
    } = arguments;
    let ledger = ledger.postgres(1)?;
    let migrated = match move_schema {
        true => ledger.move_schema().await?,
        false => ledger.migrate().await?,
    };
    let answer = json!({
        "applied": migrated.applied,
        "schema": migrated.schema,
        "views_elsewhere": migrated.views_elsewhere,
    });
    json.say(&answer, || in_words(&migrated))
}

fn in_words(migrated: &Migrated) -> String {
    let Migrated {
        applied,
        schema,
        views_elsewhere,
    } = migrated;
    let schema = schema.as_deref().unwrap_or("public");
    let mut text = match applied.is_empty() {
        true => format!("the ledger in schema {schema} is up to date"),
        false => format!("applied in schema {schema}: {}", applied.join(", ")),
    };
    if !views_elsewhere.is_empty() {
        let names: Vec<_> = views_elsewhere
            .iter()
            .map(|name| format!("{schema}.{name}"))
            .collect();
        text.push_str(&format!(
            "\nviews for old clients are {}: in schema public their names are taken, or this role may make none",
            names.join(", ")
        ));
    }
    text
}
