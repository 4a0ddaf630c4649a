use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::super::AdminOption;
use super::super::client::{Client, segment};
use floodgate_admin::types::{FlowStatus, KeptSince};

/// Watches a flow's queue after a load run.
pub(super) struct Watch<'a> {
    pub admin: &'a AdminOption,
    pub flow: &'a str,
    pub began: Timestamp,
    pub timeout: Duration,
}

/// How the queue became empty.
#[derive(Serialize)]
pub(super) struct Drained {
    open_after_load: u64,
    empty_after_seconds: f64,
    /// Decisions that are kept of what was received since the load began.
    kept: u64,
}

impl Drained {
    pub fn in_words(&self, accepted: u64) -> String {
        let Self {
            open_after_load,
            empty_after_seconds,
            kept,
        } = self;
        let share = 100.0 * *kept as f64 / accepted.max(1) as f64;
        format!(
            "  queue: {open_after_load} open at the end of the load, empty after {empty_after_seconds:.2} s\n  kept {kept} of {accepted} accepted ({share:.1} %)"
        )
    }
}

impl Watch<'_> {
    pub async fn until_empty(&self) -> anyhow::Result<Drained> {
        let client = Client::new(self.admin);
        let started = Instant::now();
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template(
            "{spinner} {pos} entries open",
        )?);
        let first = self.open(&client).await?;
        loop {
            let open = self.open(&client).await?;
            bar.set_position(open);
            if open == 0 {
                break;
            }
            if started.elapsed() > self.timeout {
                bail!("{open} entries are still open; floodgate pending says why");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bar.finish_and_clear();
        let took = started.elapsed().as_secs_f64();
        let kept: KeptSince = client
            .get(
                &format!("/flows/{}/kept", segment(self.flow)),
                &[("since", Some(&self.began.to_string()))],
            )
            .await?;
        Ok(Drained {
            open_after_load: first,
            empty_after_seconds: took,
            kept: kept.kept,
        })
    }

    async fn open(&self, client: &Client) -> anyhow::Result<u64> {
        let flows: Vec<FlowStatus> = client.get("/flows", &[]).await?;
        let flow = flows.into_iter().find(|flow| flow.name == self.flow);
        flow.map(|flow| flow.open)
            .with_context(|| format!("no flow {} there", self.flow))
    }
}
