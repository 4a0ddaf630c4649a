//! What an entry costs when there is more of everything: backlog, readers,
//! bytes of a body, connections. One table each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use floodgate_backbone::{AppendLimits, Appended, Backbone};
use tokio::task::JoinSet;

use super::drain::drained;
use super::judging::new;
use super::report::table;
use super::site::Site;
use super::wrk;

const LOAD: Duration = Duration::from_secs(5);
/// Of a backlog that is not worked off sooner.
const DRAIN: Duration = Duration::from_secs(10);
const ENOUGH: [(&str, &str); 1] = [("max_backlog = 1_000_000", "max_backlog = 10_000_000")];

pub async fn measure() -> anyhow::Result<()> {
    backlog().await?;
    readers().await?;
    bodies().await?;
    connections().await
}

async fn backlog() -> anyhow::Result<()> {
    let mut table = table([
        "backlog",
        "accepted/s",
        "drained/s",
        "bytes of Redis per entry",
    ]);
    for entries in [1_000_u64, 1_000_000, 5_000_000] {
        let site = site().await?;
        let empty = memory(&site).await?;
        fill(&site, entries).await?;
        let per_entry = (memory(&site).await? - empty) / entries as f64;
        let accepted = accepted(&site, 256, None).await?;
        let drained = drained(&site, 1, DRAIN).await?;
        table.add_row([
            entries.to_string(),
            format!("{accepted:.0}"),
            format!("{drained:.0}"),
            format!("{per_entry:.0}"),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn readers() -> anyhow::Result<()> {
    let mut table = table(["readers", "drained/s"]);
    for readers in [1, 2, 4, 8] {
        let site = site().await?;
        fill(&site, 500_000).await?;
        let drained = drained(&site, readers, DRAIN).await?;
        table.add_row([readers.to_string(), format!("{drained:.0}")]);
    }
    println!("{table}");
    Ok(())
}

async fn bodies() -> anyhow::Result<()> {
    let mut table = table(["bytes of a body", "accepted/s", "MB/s"]);
    for bytes in [300, 1 << 10, 4 << 10, 16 << 10] {
        let site = site().await?;
        let accepted = accepted(&site, 256, Some(bytes)).await?;
        let megabytes = accepted * bytes as f64 / 1e6;
        table.add_row([
            bytes.to_string(),
            format!("{accepted:.0}"),
            format!("{megabytes:.0}"),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn connections() -> anyhow::Result<()> {
    let mut table = table(["connections", "accepted/s"]);
    for connections in [1, 16, 256, 2000] {
        let site = site().await?;
        let accepted = accepted(&site, connections, None).await?;
        table.add_row([connections.to_string(), format!("{accepted:.0}")]);
    }
    println!("{table}");
    Ok(())
}

async fn site() -> anyhow::Result<Site> {
    Site::start("transactions", "uniform-risk", &ENOUGH).await
}

async fn accepted(site: &Site, connections: u32, body: Option<usize>) -> anyhow::Result<f64> {
    let api = site.serve("api")?;
    api.until_ready("/transactions").await?;
    let url = format!("{}/transactions", api.url);
    let load = wrk::load_of(&url, "transactions.lua", connections, LOAD, body).await?;
    Ok(load.per_second)
}

/// Appends past the front end, which would take its time.
async fn fill(site: &Site, entries: u64) -> anyhow::Result<()> {
    const GROUP: u64 = 128;
    const AT_ONCE: u64 = 8;
    let (backbone, partition) = (Arc::new(site.backbone()?), site.partition());
    backbone.prepare(&partition).await?;
    let mut filling = JoinSet::new();
    for first in 0..AT_ONCE {
        let (backbone, partition) = (Arc::clone(&backbone), partition.clone());
        filling.spawn(async move {
            let limits = AppendLimits::of_backlog(u64::MAX);
            for from in (first * GROUP..entries).step_by((AT_ONCE * GROUP) as usize) {
                let numbers = from..entries.min(from + GROUP);
                let group: Vec<_> = numbers.map(new).collect();
                let appended = backbone.append(&partition, limits, &group).await?;
                ensure!(
                    appended.iter().all(|of| matches!(of, Appended::New(_))),
                    "not appended"
                );
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    Ok(())
}

/// Bytes that Redis uses.
async fn memory(site: &Site) -> anyhow::Result<f64> {
    let client = redis::Client::open(site.redis.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await?;
    info.get("used_memory").context("used_memory")
}
