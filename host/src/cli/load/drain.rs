use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::super::AdminOption;
use super::super::client::{Client, segment};
use crate::admin::types::{FlowStatus, KeptSince};

/// Watches a flow's queue after a load run.
pub(super) struct Watch<'a> {
    pub admin: &'a AdminOption,
    pub flow: &'a str,
    pub began: Timestamp,
    pub accepted: u64,
    pub timeout: Duration,
}

impl Watch<'_> {
    pub async fn until_empty(&self) -> anyhow::Result<()> {
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
        println!("  queue: {first} open at the end of the load, empty after {took:.2} s");
        let kept: KeptSince = client
            .get(
                &format!("/flows/{}/kept", segment(self.flow)),
                &[("since", Some(&self.began.to_string()))],
            )
            .await?;
        println!(
            "  kept {} of {} accepted ({:.1} %)",
            kept.kept,
            self.accepted,
            100.0 * kept.kept as f64 / self.accepted.max(1) as f64
        );
        Ok(())
    }

    async fn open(&self, client: &Client) -> anyhow::Result<u64> {
        let flows: Vec<FlowStatus> = client.get("/flows", &[]).await?;
        let flow = flows.into_iter().find(|flow| flow.name == self.flow);
        flow.map(|flow| flow.open)
            .with_context(|| format!("no flow {} there", self.flow))
    }
}
