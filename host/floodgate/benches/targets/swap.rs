//! P8: another oracle is dropped under load.

use std::time::{Duration, Instant};

use super::report::{Figure, Target};
use super::site::Site;
use super::wrk::{client, get, load};

pub async fn measure(duration: Duration) -> anyhow::Result<Vec<Figure>> {
    let site = Site::start("transactions", "mempool-risk", &[]).await?;
    let host = site.serve("all")?;
    host.until_ready("/transactions").await?;
    let url = format!("{}/transactions", host.url);
    // A request that fails is an error of the load.
    let loading = load(&url, "transactions.lua", 64, duration);
    let swapping = async {
        tokio::time::sleep(duration / 2).await;
        let http = client();
        let decisions = format!("{}/decisions?max=1", host.admin);
        let (dropped, wanted) = (Instant::now(), digest("uniform-risk")?);
        site.drop("uniform-risk")?;
        loop {
            let latest = get(&http, &decisions).await?;
            if latest[0]["oracles"][0]["digest"] == wanted.as_str() {
                return anyhow::Ok(dropped.elapsed());
            }
            anyhow::ensure!(dropped.elapsed() < Duration::from_secs(30), "not swapped");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (loaded, swapped) = tokio::join!(loading, swapping);
    let (loaded, swapped) = (loaded?, swapped?);
    site.until_empty().await?;
    let depth = site.depth().await?;
    // wrk stops without waiting for what it sent last: more than it counted.
    let lost = (loaded.requests - (depth.decided + depth.dead) as f64).max(0.0);
    let seconds = swapped.as_secs_f64();
    Ok(vec![
        Figure::of(
            "P8",
            "until the new oracle decides",
            seconds,
            "s",
            Target::AtMost(1.0),
        ),
        Figure::of(
            "P8",
            "accepted and neither decided nor dead",
            lost,
            "",
            Target::AtMost(0.0),
        ),
    ])
}

fn digest(oracle: &str) -> anyhow::Result<String> {
    let file = format!(
        "{}/../../plugins/dist/{oracle}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    Ok(floodgate_flow::Digest::of(&std::fs::read(file)?).to_string())
}
