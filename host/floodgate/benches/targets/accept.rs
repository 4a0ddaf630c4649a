//! P1, P2 and P5: what is accepted per second.

use std::process::Command;
use std::time::{Duration, Instant};

use super::report::{Figure, Target};
use super::site::{Floodgate, Site};
use super::wrk::load;

const CONNECTIONS: u32 = 256;

pub async fn transactions(duration: Duration) -> anyhow::Result<Vec<Figure>> {
    let bare = bare(duration).await?;
    let remember = [("remember = \"10m\"", "remember = \"5s\"")];
    let accepted = {
        let site = Site::start("transactions", "uniform-risk", &remember).await?;
        let api = site.serve("api")?;
        api.until_ready("/transactions").await?;
        let url = format!("{}/transactions", api.url);
        load(&url, "transactions.lua", CONNECTIONS, duration).await?
    };
    let settled = {
        let site = Site::start("transactions", "uniform-risk", &remember).await?;
        let all = site.serve("all")?;
        all.until_ready("/transactions").await?;
        let url = format!("{}/transactions", all.url);
        let begun = Instant::now();
        let load = load(&url, "transactions.lua", CONNECTIONS, duration).await?;
        let seconds = (site.until_empty().await? - begun).as_secs_f64();
        load.requests / seconds
    };
    let (p1, p2) = (accepted.per_second / bare, settled / bare);
    Ok(vec![
        Figure::told("P1", "bare hyper", bare, "/s"),
        Figure::told(
            "P1",
            "accepted, durable, deduplicated",
            accepted.per_second,
            "/s",
        ),
        Figure::of(
            "P1",
            "against bare hyper",
            p1,
            "times",
            Target::AtLeast(0.40),
        ),
        Figure::told("P2", "accepted and settled, 20 % kept", settled, "/s"),
        Figure::of(
            "P2",
            "against bare hyper",
            p2,
            "times",
            Target::AtLeast(0.22),
        ),
    ])
}

/// What hyper alone does with the same requests.
async fn bare(duration: Duration) -> anyhow::Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--bare");
    let bare = Floodgate::start(command, "listening on")?;
    let url = format!("{}/transactions", bare.url);
    Ok(load(&url, "transactions.lua", CONNECTIONS, duration)
        .await?
        .per_second)
}

/// Batches of a thousand, over eight connections.
pub async fn events(duration: Duration) -> anyhow::Result<Vec<Figure>> {
    let open = [
        ("keys = true", "keys = false"),
        ("rate = \"1000/s\"", "rate = \"none\""),
    ];
    let site = Site::start("events", "uniform-risk", &open).await?;
    let api = site.serve("api")?;
    api.until_ready("/events").await?;
    let url = format!("{}/events", api.url);
    let begun = site.depth().await?.open;
    let load = load(&url, "events.lua", 8, duration).await?;
    let added = (site.depth().await?.open - begun) as f64;
    // Replays would flatter it: each entry counts once.
    let per_second = load.per_second * added / load.requests;
    let target = Target::AtLeast(100_000.0);
    Ok(vec![Figure::of(
        "P5",
        "events in batches of 1000",
        per_second,
        "/s",
        target,
    )])
}
