use super::Keys;
use super::connection::Server;
use crate::Error;
use floodgate_flow::StreamId;

pub(super) async fn suspect(server: &Server, keys: &Keys, entry: StreamId) -> Result<u32, Error> {
    let noted = add(server, keys, entry, 1).await?;
    Ok(u32::try_from(noted).unwrap_or_default())
}

pub(super) async fn withdraw(server: &Server, keys: &Keys, entry: StreamId) -> Result<(), Error> {
    match add(server, keys, entry, -1).await? {
        1.. => Ok(()),
        // Nothing is left of it, or it was settled meanwhile.
        _ => acquit(server, keys, entry).await,
    }
}

async fn add(server: &Server, keys: &Keys, entry: StreamId, notes: i64) -> Result<i64, Error> {
    let mut connection = server.connection().await?;
    redis::cmd("HINCRBY")
        .arg(&keys.suspects)
        .arg(entry.to_string())
        .arg(notes)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))
}

pub(super) async fn acquit(server: &Server, keys: &Keys, entry: StreamId) -> Result<(), Error> {
    let mut connection = server.connection().await?;
    redis::cmd("HDEL")
        .arg(&keys.suspects)
        .arg(entry.to_string())
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))
}
