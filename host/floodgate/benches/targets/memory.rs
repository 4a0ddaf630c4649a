//! P7: resident memory of the host with a backlog of a million entries.

use std::time::{Duration, Instant};

use super::report::{Figure, Target};
use super::site::{Floodgate, Site};
use super::wrk::load;

const BACKLOG: u64 = 1_000_000;
const MB: f64 = 1e6;

pub async fn measure(soak: Duration) -> anyhow::Result<Vec<Figure>> {
    let enough = [("max_backlog = 1_000_000", "max_backlog = 2_000_000")];
    let site = Site::start("transactions", "uniform-risk", &enough).await?;
    {
        let api = site.serve("api")?;
        api.until_ready("/transactions").await?;
        let url = format!("{}/transactions", api.url);
        while site.depth().await?.open < BACKLOG {
            load(&url, "transactions.lua", 256, Duration::from_secs(5)).await?;
        }
    }
    let host = site.serve("all")?;
    let mut most = 0;
    while site.depth().await?.open > 0 {
        most = most.max(host.memory()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let growth = growth(&host, soak).await?;
    Ok(vec![
        Figure::of(
            "P7",
            "most memory, working off a million",
            most as f64 / MB,
            "MB",
            Target::AtMost(150.0),
        ),
        Figure::told("P7", "growth per 10 minutes under load", growth, "MB"),
    ])
}

/// Megabytes per ten minutes, from the first half of the time to the second.
async fn growth(host: &Floodgate, soak: Duration) -> anyhow::Result<f64> {
    let url = format!("{}/transactions", host.url);
    let loading = async { load(&url, "transactions.lua", 32, soak).await };
    let watching = async {
        let (begun, mut halves) = (Instant::now(), [Vec::new(), Vec::new()]);
        while begun.elapsed() < soak {
            let half = usize::from(begun.elapsed() > soak / 2);
            halves[half].push(host.memory()? as f64);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mean = |half: &Vec<f64>| half.iter().sum::<f64>() / half.len() as f64;
        anyhow::Ok(mean(&halves[1]) - mean(&halves[0]))
    };
    let (loaded, grown) = tokio::join!(loading, watching);
    loaded?;
    let of_ten_minutes = 600.0 / (soak.as_secs_f64() / 2.0);
    Ok(grown? / MB * of_ten_minutes)
}
