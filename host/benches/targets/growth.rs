//! What an entry costs when there is more of everything: backlog, readers,
//! bytes of a body, connections. One table each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use comfy_table::{Table, presets};
use floodgate::backbone::{self, AppendLimits, Appended, Backbone, NewEntry, Partition};
use floodgate::flow::{BodyHash, FlowName};
use tokio::task::JoinSet;

use super::site::Site;
use super::wrk;

const LOAD: Duration = Duration::from_secs(5);
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
    for entries in [1_000, 1_000_000, 5_000_000] {
        let site = Site::start("transactions", "uniform-risk", &ENOUGH).await?;
        let empty = memory(&site).await?;
        fill(&site, entries).await?;
        let per_entry = (memory(&site).await? - empty) / entries as f64;
        let accepted = accepted(&site, 256, None).await?;
        let drained = drained(&site, 1).await?;
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
        let site = Site::start("transactions", "uniform-risk", &ENOUGH).await?;
        fill(&site, 500_000).await?;
        let drained = drained(&site, readers).await?;
        table.add_row([readers.to_string(), format!("{drained:.0}")]);
    }
    println!("{table}");
    Ok(())
}

async fn bodies() -> anyhow::Result<()> {
    let mut table = table(["bytes of a body", "accepted/s", "MB/s"]);
    for bytes in [300, 1 << 10, 4 << 10, 16 << 10] {
        let site = Site::start("transactions", "uniform-risk", &ENOUGH).await?;
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
        let site = Site::start("transactions", "uniform-risk", &ENOUGH).await?;
        let accepted = accepted(&site, connections, None).await?;
        table.add_row([connections.to_string(), format!("{accepted:.0}")]);
    }
    println!("{table}");
    Ok(())
}

async fn accepted(site: &Site, connections: u32, body: Option<usize>) -> anyhow::Result<f64> {
    let api = site.serve("api")?;
    api.until_ready("/transactions").await?;
    let url = format!("{}/transactions", api.url);
    let load = wrk::load_of(&url, "transactions.lua", connections, LOAD, body).await?;
    Ok(load.per_second)
}

/// Per second, by so many workers, for ten seconds or until nothing is left.
async fn drained(site: &Site, workers: usize) -> anyhow::Result<f64> {
    let before = site.depth().await?.open;
    let _workers: Vec<_> = (0..workers)
        .map(|_| site.serve("worker"))
        .collect::<Result<_, _>>()?;
    while site.depth().await?.open == before {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (begun, at_first) = (Instant::now(), site.depth().await?.open);
    let mut left = at_first;
    while left > 0 && begun.elapsed() < 2 * LOAD {
        tokio::time::sleep(Duration::from_millis(5)).await;
        left = site.depth().await?.open;
    }
    Ok((at_first - left) as f64 / begun.elapsed().as_secs_f64())
}

/// Appends past the front end, which would take its time.
async fn fill(site: &Site, entries: usize) -> anyhow::Result<()> {
    const GROUP: usize = 128;
    const AT_ONCE: usize = 8;
    let backbone = Arc::new(backbone::Redis::new(&site.redis.url())?);
    let partition = Partition {
        flow: FlowName::new("transactions"),
        index: 0,
    };
    backbone.prepare(&partition).await?;
    let mut filling = JoinSet::new();
    for first in 0..AT_ONCE {
        let (backbone, partition) = (Arc::clone(&backbone), partition.clone());
        filling.spawn(async move {
            let limits = AppendLimits {
                max_backlog: u64::MAX,
            };
            for from in (first * GROUP..entries).step_by(AT_ONCE * GROUP) {
                let numbers = from..entries.min(from + GROUP);
                let group: Vec<_> = numbers.map(entry).collect();
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

fn entry(number: usize) -> NewEntry {
    let id = format!("0x{number:064x}");
    let body = Bytes::from(format!(
        r#"{{"tx_hash":"{id}","from_address":"0x52908400098527886e0f7030069857d2e4169ee7","to_address":"0x8617e340b3d01fa5f11f306f4090fd50e238070d","value_eth":12.5,"gas_price_gwei":30,"input_data":"0xa9059cbb0000000000000000000000008617e340b3d01fa5f11f306f4090fd50e238070d0000000000000000000000000000000000000000000000000000000000000001","timestamp":1766700000}}"#
    ));
    NewEntry {
        id: id.into(),
        body_hash: BodyHash::of(&body),
        body,
        key: None,
    }
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

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(header);
    table
}
