//! Workers that end and oracles that are swapped while entries come in. The
//! flow keeps every decision, so that what was accepted can be counted.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};
use hyper::StatusCode;

use crate::host::{DEADLINE, MEMPOOL_RISK, Site, UNIFORM_RISK, get, post, transaction};
use crate::support::{self, Floodgate};

const CONCURRENCY: usize = 16;

/// Shorter than it is by itself: some of these tests wait for its end.
const LEASE: (&str, &str) = ("FLOODGATE_LEASE", "2s");

struct Deployment {
    site: Site,
    url: String,
    admin: String,
    _api: Floodgate,
}

impl Deployment {
    async fn start() -> Self {
        let site = Site::new().await.with_oracle(UNIFORM_RISK);
        let site = site.with_flow("when = \"high\"", "when = \"always\"");
        let mut api = site.serve("api");
        let url = format!("{}/transactions", api.url().await);
        let admin = api.admin_url().await;
        Self {
            site,
            url,
            admin,
            _api: api,
        }
    }

    async fn worker(&self) -> Floodgate {
        let mut worker = self.site.serve_in("worker", &[], &[LEASE]);
        worker.admin_url().await;
        worker
    }

    /// Posts `count` transactions and expects a 202 for each; `posted` counts
    /// along.
    async fn load(&self, count: u64, posted: &AtomicU64) {
        let requests = stream::iter(0..count).map(async |number| {
            let (status, _) = post(&self.url, &transaction(number, "0x", 30)).await;
            assert_eq!(status, StatusCode::ACCEPTED);
            posted.fetch_add(1, Ordering::Relaxed);
        });
        requests.buffer_unordered(CONCURRENCY).count().await;
    }

    /// Waits until `count` were kept, and nothing is open or dead.
    async fn until_decided(&self, count: u64) {
        let what = format!("all of {count} are decided");
        support::eventually(DEADLINE * 3, &what, async || {
            get(&self.admin, "/flows").await[0]["open"] == 0
        })
        .await;
        assert_eq!(self.site.kept().await, count as i64);
        let dead = get(&self.admin, "/dead").await;
        assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
    }
}

async fn until_posted(posted: &AtomicU64, count: u64) {
    support::eventually(DEADLINE, "enough are posted", async || {
        posted.load(Ordering::Relaxed) >= count
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_killed_under_load_loses_nothing() {
    let deployment = Deployment::start().await;
    let mut victim = deployment.worker().await;
    let _other = deployment.worker().await;
    let posted = AtomicU64::new(0);
    let killing = async {
        until_posted(&posted, 300).await;
        victim.kill();
    };
    tokio::join!(deployment.load(1000, &posted), killing);
    deployment.until_decided(1000).await;
}

#[tokio::test]
async fn a_worker_that_sleeps_beyond_its_lease_decides_nothing_twice() {
    let deployment = Deployment::start().await;
    let mut sleeper = deployment.worker().await;
    let posted = AtomicU64::new(0);
    let sleeping = async {
        until_posted(&posted, 300).await;
        sleeper.sigstop();
    };
    tokio::join!(deployment.load(1000, &posted), sleeping);
    let _other = deployment.worker().await;
    deployment.until_decided(1000).await;
    sleeper.sigcont();
    sleeper.sigterm();
    assert_eq!(sleeper.wait_exit().await, 0);
    deployment.until_decided(1000).await;
}

#[tokio::test]
async fn a_worker_that_is_terminated_under_load_hands_over_at_once() {
    let deployment = Deployment::start().await;
    let mut leaving = deployment.worker().await;
    let posted = AtomicU64::new(0);
    let terminating = async {
        until_posted(&posted, 300).await;
        leaving.sigterm();
        assert_eq!(leaving.wait_exit().await, 0);
    };
    tokio::join!(deployment.load(1000, &posted), terminating);
    let pending = get(&deployment.admin, "/flows").await[0]["pending"].clone();
    assert_eq!(pending, 0, "it left nothing behind");
    let _next = deployment.worker().await;
    deployment.until_decided(1000).await;
}

#[tokio::test]
async fn a_swap_under_load_fails_no_request() {
    let deployment = Deployment::start().await;
    let _worker = deployment.worker().await;
    let posted = AtomicU64::new(0);
    let swapping = async {
        until_posted(&posted, 300).await;
        deployment.site.drop(MEMPOOL_RISK);
        until_posted(&posted, 600).await;
        deployment.site.drop(UNIFORM_RISK);
    };
    tokio::join!(deployment.load(1000, &posted), swapping);
    deployment.until_decided(1000).await;
}
