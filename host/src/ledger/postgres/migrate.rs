use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{Client, Connection};
use tracing::info;

use super::error;
use crate::ledger::Error;

mod files {
    refinery::embed_migrations!("../migrations/postgres");
}

/// Any number that nobody else locks; held by the session, so that a host
/// that dies half-way holds up nobody.
const MIGRATING: i64 = 0x666c_6f6f_6467_6174;

/// On a connection of its own: a migration may take longer than any statement
/// of the way of an entry, and waits for that of another host.
pub(super) async fn migrate<S, T>(
    mut client: Client,
    connection: Connection<S, T>,
) -> Result<Vec<String>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Ends with the client; an error of it is also the error of a call.
    let driver = tokio::spawn(connection);
    client
        .batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        .await?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&MIGRATING])
        .await?;
    let report = files::migrations::runner()
        .run_async(&mut client)
        .await
        .map_err(|error| error::migrating(&error))?;
    drop(client);
    // The lock is free when the session has ended.
    let _ = driver.await;

    let applied: Vec<String> = report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    info!(?applied, "migrations applied");
    Ok(applied)
}
