use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use tracing::{error, info};

use super::connection::Server;
use super::inspect::consumers;
use super::keys::{LAYOUT, OLDEST_READER};
use super::script::script;
use super::{GROUP, Keys, RETRY, hold};
use crate::Error;

static PREPARE: LazyLock<Script> = LazyLock::new(|| script!("prepare"));
static REMOVE_CONSUMERS: LazyLock<Script> = LazyLock::new(|| script!("remove_consumers"));

/// Whether the group was missing, and how many open entries are gone with it.
async fn create_group(server: &Server, keys: &Keys) -> Result<(bool, u64), Error> {
    let mut connection = server.connection().await?;
    PREPARE
        .key(&keys.stream)
        .key(&keys.floor)
        .key(&keys.open)
        .key(&keys.born)
        .key(&keys.layout)
        .arg(GROUP)
        .arg(LAYOUT)
        .arg(OLDEST_READER)
        .invoke_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))
}

pub(super) async fn prepare(server: &Server, keys: &Keys) -> Result<(), Error> {
    if create_group(server, keys).await?.0 {
        info!(
            stream = keys.stream,
            group = GROUP,
            "consumer group created"
        );
    }
    Ok(())
}

/// The group of a running host is missing: Redis was flushed or came back
/// without its data, and whoever watches over it has to know.
pub(super) async fn recreate_group(server: &Server, keys: &Keys) -> Result<(), Error> {
    let (created, gone) = create_group(server, keys).await?;
    if created {
        error!(
            stream = keys.stream,
            group = GROUP,
            gone,
            "consumer group was gone and is created anew, look at redis"
        );
    }
    Ok(())
}

pub(super) async fn heartbeat(
    server: &Server,
    keys: &Keys,
    worker: &str,
    lease: Duration,
) -> Result<(), Error> {
    let mut connection = server.connection().await?;
    let () = redis::cmd("SET")
        .arg(keys.alive(worker))
        .arg(1)
        .arg("PX")
        .arg(lease.as_millis() as u64)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    for gone in remove_consumers(server, keys, None).await? {
        info!(
            stream = keys.stream,
            worker = gone,
            "consumer of a dead worker removed"
        );
    }
    Ok(())
}

pub(super) async fn leave(server: &Server, keys: &Keys, worker: &str) -> Result<(), Error> {
    hold::hand_back_all(server, keys, worker).await?;
    remove_consumers(server, keys, Some(worker)).await?;
    Ok(())
}

async fn remove_consumers(
    server: &Server,
    keys: &Keys,
    leaving: Option<&str>,
) -> Result<Vec<String>, Error> {
    // A script may only touch keys that it is given, so their names come first.
    let consumers = consumers(server, keys).await?;
    let mut call = REMOVE_CONSUMERS.prepare_invoke();
    call.key(&keys.stream);
    call.arg(GROUP).arg(leaving.unwrap_or_default());
    for consumer in consumers.iter().filter(|consumer| *consumer != RETRY) {
        call.key(keys.alive(consumer)).arg(consumer);
    }
    server.run(&call, keys).await
}
