use std::collections::HashMap;
use std::time::Duration;

use super::connection::Server;
use crate::Error;

/// Hash of worker to `<Unix ms until which it counts>\n<report>`.
const WORKERS: &str = "floodgate:workers";

pub(super) async fn publish(
    server: &Server,
    worker: &str,
    report: &str,
    ttl: Duration,
) -> Result<(), Error> {
    let until = now(server).await? + ttl.as_millis() as u64;
    let mut connection = server.connection().await?;
    redis::cmd("HSET")
        .arg(WORKERS)
        .arg(worker)
        .arg(format!("{until}\n{report}"))
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))
}

pub(super) async fn all(server: &Server) -> Result<Vec<(String, String)>, Error> {
    let now = now(server).await?;
    let mut connection = server.connection().await?;
    let stored: HashMap<String, String> = redis::cmd("HGETALL")
        .arg(WORKERS)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    let (mut living, mut gone) = (Vec::new(), Vec::new());
    for (worker, value) in stored {
        match value.split_once('\n') {
            Some((until, report)) if until.parse().is_ok_and(|until: u64| until > now) => {
                living.push((worker, report.to_owned()));
            }
            _ => gone.push(worker),
        }
    }
    if !gone.is_empty() {
        let () = redis::cmd("HDEL")
            .arg(WORKERS)
            .arg(gone)
            .query_async(&mut *connection)
            .await
            .map_err(|source| server.error(source))?;
    }
    living.sort();
    Ok(living)
}

/// Unix ms by Redis' clock, the one all workers share.
async fn now(server: &Server) -> Result<u64, Error> {
    let mut connection = server.connection().await?;
    let (seconds, micros): (u64, u64) = redis::cmd("TIME")
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    Ok(seconds * 1000 + micros / 1000)
}
