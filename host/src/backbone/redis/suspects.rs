use super::Keys;
use super::connection::Server;
use crate::backbone::{Error, StreamId};

pub(super) async fn suspect(server: &Server, keys: &Keys, entry: StreamId) -> Result<u32, Error> {
    let mut connection = server.connection().await?;
    redis::cmd("HINCRBY")
        .arg(&keys.suspects)
        .arg(entry.to_string())
        .arg(1)
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
