//! P3: how fast a backlog is worked off, against a loop that only reads and
//! acknowledges.

use std::time::{Duration, Instant};

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, RedisResult};

use super::report::{Figure, Target};
use super::site::Site;
use super::wrk::load;

const STREAM: &str = "floodgate:{transactions:0}:stream";
const GROUP: &str = "bench";

pub async fn measure(duration: Duration) -> anyhow::Result<Vec<Figure>> {
    let site = Site::start("transactions", "uniform-risk", &[]).await?;
    {
        let api = site.serve("api")?;
        api.until_ready("/transactions").await?;
        let url = format!("{}/transactions", api.url);
        load(&url, "transactions.lua", 256, duration).await?;
    }
    let limit = read_loop(&site.redis.url()).await?;
    let drained = drained(&site, 1, Duration::MAX).await?;
    let target = Target::AtLeast(0.35);
    Ok(vec![
        Figure::told("P3", "a loop that reads and acknowledges", limit, "/s"),
        Figure::told("P3", "backlog drained, 20 % kept", drained, "/s"),
        Figure::of("P3", "against the loop", drained / limit, "times", target),
    ])
}

/// Entries per second, by so many workers, for so long or until nothing is left.
pub async fn drained(site: &Site, workers: usize, at_most: Duration) -> anyhow::Result<f64> {
    let before = site.depth().await?.open;
    let _workers: Vec<_> = (0..workers)
        .map(|_| site.serve("worker"))
        .collect::<Result<_, _>>()?;
    // Starting them is no part of draining.
    let (begun, first) = loop {
        let left = site.depth().await?.open;
        if left < before {
            break (Instant::now(), left);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut left = first;
    while left > 0 && begun.elapsed() < at_most {
        tokio::time::sleep(Duration::from_millis(10)).await;
        left = site.depth().await?.open;
    }
    Ok((first - left) as f64 / begun.elapsed().as_secs_f64())
}

/// Entries per second, through a group of its own.
async fn read_loop(redis_url: &str) -> anyhow::Result<f64> {
    let client = redis::Client::open(redis_url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let _gone: RedisResult<u64> = connection.xgroup_destroy(STREAM, GROUP).await;
    let () = connection.xgroup_create(STREAM, GROUP, "0").await?;
    let options = StreamReadOptions::default()
        .group(GROUP, "bench")
        .count(256);
    let (begun, mut read) = (Instant::now(), 0_u64);
    loop {
        let reply: StreamReadReply = connection
            .xread_options(&[STREAM], &[">"], &options)
            .await?;
        let Some(entries) = reply.keys.into_iter().next() else {
            break;
        };
        let ids: Vec<String> = entries.ids.into_iter().map(|entry| entry.id).collect();
        read += ids.len() as u64;
        let _acknowledged: u64 = connection.xack(STREAM, GROUP, &ids).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let _: u64 = connection.xgroup_destroy(STREAM, GROUP).await?;
    Ok(read as f64 / seconds)
}
