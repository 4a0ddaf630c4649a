//! Brings the tables up to date: all that is missing in one transaction.

use std::collections::HashMap;

use tokio_postgres::{Client, Transaction};
use tracing::{info, warn};

use super::call::with;
use super::{error, schema, views};
use crate::{Error, Migrated};

mod files {
    refinery::embed_migrations!("../../migrations/postgres");
}

/// Of all migrations that this version knows.
pub(super) fn versions() -> Vec<i32> {
    let runner = files::migrations::runner();
    let all = runner.get_migrations().iter();
    all.map(refinery::Migration::version).collect()
}

/// Any number that nobody else locks; held by the transaction, so that a host
/// that dies half-way holds up nobody.
const MIGRATING: i64 = 0x666c_6f6f_6467_6174;

/// A migration may take longer than any statement of the way of an entry, and
/// waits for that of another host.
const SETTINGS: &str = "SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = 0; \
    SET LOCAL synchronous_commit = on";

/// As refinery made it, which ran these migrations before.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS refinery_schema_history (
        version    int4 PRIMARY KEY,
        name       varchar(255),
        applied_on varchar(255),
        checksum   varchar(255)
    )";
const APPLIED: &str = "SELECT version, checksum FROM refinery_schema_history";
const NOTE: &str = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
    VALUES ($1, $2, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), $3)";

/// On a connection of its own. Older migrations are where they always were; the
/// tables of a new installation go into the schema `wanted`.
pub(super) async fn migrate(client: &mut Client, wanted: &str) -> Result<Migrated, Error> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let schema = match schema::find(&transaction, wanted).await? {
        Some(found) => found,
        None => schema::make(&transaction, wanted).await?,
    };
    schema::search_only(&transaction, &schema).await?;
    let applied = apply(&transaction).await?;
    transaction.commit().await?;
    if !applied.is_empty() {
        info!(?applied, schema, "migrations applied");
    }
    // By itself: what it is refused for keeps no tables from being used.
    let views = views::offer(client, &schema).await;
    let elsewhere = views.unwrap_or_else(|error| {
        warn!(%error, "views for old clients not offered in public");
        Vec::new()
    });
    Ok(Migrated {
        applied,
        schema: Some(schema),
        views_elsewhere: elsewhere,
    })
}

/// Moves all that the migrations made to the schema `wanted`. Nobody may be at
/// work: a host that runs looks for its tables where they were.
pub(super) async fn move_schema(client: &mut Client, wanted: &str) -> Result<Migrated, Error> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if let Some(from) = schema::find(&transaction, wanted).await?
        && from != wanted
    {
        schema::nobody_is_at_work(&transaction).await?;
        schema::make(&transaction, wanted).await?;
        let made: Vec<_> = files::migrations::runner()
            .get_migrations()
            .iter()
            .flat_map(|migration| schema::made_by(migration.sql().unwrap_or_default()))
            .collect();
        schema::move_to(&transaction, &from, wanted, &made).await?;
    }
    transaction.commit().await?;
    migrate(client, wanted).await
}

async fn lock(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.batch_execute(SETTINGS).await?;
    let lock = "SELECT pg_advisory_xact_lock($1)";
    transaction
        .execute_typed(lock, with![MIGRATING => INT8])
        .await?;
    Ok(())
}

/// Not by refinery itself, which opens a transaction for each step and refuses a
/// ledger that has migrations of a newer Floodgate: old and new hosts run side
/// by side, and migrations are only ever added.
async fn apply(transaction: &Transaction<'_>) -> Result<Vec<String>, Error> {
    transaction.batch_execute(HISTORY).await?;
    let rows = transaction.query_typed(APPLIED, &[]).await?;
    let mut applied: HashMap<i32, String> = HashMap::new();
    for row in rows {
        applied.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut new = Vec::new();
    let runner = files::migrations::runner();
    let mut known: Vec<_> = runner.get_migrations().iter().collect();
    known.sort();
    for migration in known {
        let (version, checksum) = (migration.version(), migration.checksum().to_string());
        match applied.get(&version) {
            Some(before) if *before == checksum => continue,
            Some(_) => {
                return Err(Error::Other(format!(
                    "migration {migration} was applied with another text: \
                     another program wrote to this schema; name another with --database-schema"
                )));
            }
            None => {}
        }
        let sql = migration.sql().unwrap_or_default();
        let done = transaction.batch_execute(sql).await;
        done.map_err(|refused| error::migrating(migration, refused))?;
        let note = with![version => INT4, migration.name() => VARCHAR, checksum => VARCHAR];
        transaction.execute_typed(NOTE, note).await?;
        new.push(migration.to_string());
    }
    Ok(new)
}
