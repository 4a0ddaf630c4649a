//! `GET /metrics`: what this process counts, and what the backbone says when it
//! is asked.

use std::fmt::Display;

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tracing::{debug, warn};

use super::Admin;
use floodgate_backbone::{ByDeliveries, Depth, Error, MemoryUse, RememberMemory, depth_of};
use floodgate_flow::{Flow, FlowName, partitions};
use floodgate_process::fresh::{Fresh, Unknown, within};
use floodgate_process::metrics::table::{
    BACKBONE_MEMORY_LIMIT, BACKBONE_MEMORY_USED, BACKLOG_KNOWN, DEAD_LETTERS, ENTRIES_OPEN,
    ENTRIES_PENDING, ENTRIES_RETRYING, ENTRIES_WAITING, OLDEST_PENDING_AGE, OLDEST_WAITING_AGE,
    PART_UP, PENDING_BY_DELIVERIES, REMEMBERED, REMEMBERED_LIMIT,
};
use floodgate_process::metrics::{Recorder, snapshot};
use floodgate_process::seldom::Seldom;

/// Pending entries of a partition that are looked at.
const LOOKED_AT: usize = 1000;
/// As [`ByDeliveries`].
const DELIVERIES: [&str; 5] = ["1", "2", "3", "4", "5+"];

pub struct Metrics {
    recorder: Recorder,
    gauges: Fresh<String>,
}

impl Metrics {
    pub fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            gauges: Fresh::default(),
        }
    }

    async fn page(&self, admin: &Admin) -> String {
        let read = async {
            let reading = Reading::of(admin).await;
            snapshot(|| reading.show()).unwrap_or_default()
        };
        let gauges = self.gauges.or(read).await;
        self.recorder.render() + &gauges
    }
}

pub(super) async fn answer(admin: &Admin) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(admin.metrics.page(admin).await));
    let text = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// What nobody counts, because others change it, too. A part that is away
/// leaves out what only it knows.
struct Reading {
    flows: Vec<(FlowName, Option<OfFlow>)>,
    memory: Option<MemoryUse>,
    redis: bool,
    postgres: bool,
    /// `None`: none is configured.
    archive: Option<bool>,
}

/// All its partitions together.
struct OfFlow {
    depth: Depth,
    by_deliveries: ByDeliveries,
    /// Bytes that remembered ids may take up; 0: there is no limit.
    remember_limit: u64,
}

/// `floodgate_backlog_known` names each of them.
static UNREAD: Seldom = Seldom::new();

impl Reading {
    async fn of(admin: &Admin) -> Self {
        let (flows, memory, redis, postgres, archive) = tokio::join!(
            of_flows(admin),
            read(admin.backbone.memory()),
            read(admin.backbone.ping()),
            read(admin.ledger.ping()),
            read(admin.archive.ping()),
        );
        let redis = redis.is_some();
        let flows = flows.into_iter().map(|(flow, read)| {
            // While all of it is away, that is told, and logged elsewhere.
            // Otherwise anybody who reads the metrics could fill the disk.
            if let (Err(error), true) = (&read, redis)
                && let Some(times) = UNREAD.now()
            {
                warn!(%flow, %error, times, "backlog not read");
            }
            (flow, read.ok())
        });
        Self {
            flows: flows.collect(),
            memory: memory.flatten(),
            redis,
            postgres: postgres.is_some(),
            archive: admin.archive.is_configured().then_some(archive.is_some()),
        }
    }

    fn show(&self) {
        for (flow, of_flow) in &self.flows {
            let known = f64::from(u8::from(of_flow.is_some()));
            BACKLOG_KNOWN.of([flow.as_str()]).set(known);
            if let Some(of_flow) = of_flow {
                of_flow.show(flow.as_str());
            }
        }
        if let Some(MemoryUse { used, limit }) = self.memory {
            BACKBONE_MEMORY_USED.of([]).set(used as f64);
            BACKBONE_MEMORY_LIMIT.of([]).set(limit.unwrap_or(0) as f64);
        }
        let parts = [("redis", self.redis), ("postgres", self.postgres)];
        for (part, up) in parts
            .into_iter()
            .chain(self.archive.map(|up| ("archive", up)))
        {
            PART_UP.of([part]).set(f64::from(u8::from(up)));
        }
    }
}

impl OfFlow {
    async fn read(admin: &Admin, flow: &Flow) -> Result<Self, Error> {
        let mut all = Self {
            depth: depth_of(&*admin.backbone, flow).await?,
            by_deliveries: ByDeliveries::default(),
            remember_limit: 0,
        };
        let memory = RememberMemory::of(flow);
        for partition in partitions(flow) {
            let limit = admin.backbone.remember_limit(&partition, memory).await?;
            all.remember_limit += limit.unwrap_or(0);
        }
        if all.depth.pending == 0 {
            return Ok(all);
        }
        for partition in partitions(flow) {
            let by_deliveries = admin.backbone.by_deliveries(&partition, LOOKED_AT);
            for (all, of_partition) in all.by_deliveries.iter_mut().zip(by_deliveries.await?) {
                *all += of_partition;
            }
        }
        Ok(all)
    }

    fn show(&self, flow: &str) {
        let depth = &self.depth;
        for (gauge, count) in [
            (&ENTRIES_OPEN, depth.open),
            (&ENTRIES_WAITING, depth.waiting()),
            (&ENTRIES_PENDING, depth.pending),
            (&ENTRIES_RETRYING, depth.retrying),
            (&DEAD_LETTERS, depth.dead),
            (&REMEMBERED, depth.remembered),
            (&REMEMBERED_LIMIT, self.remember_limit),
        ] {
            gauge.of([flow]).set(count as f64);
        }
        for (gauge, oldest) in [
            (&OLDEST_WAITING_AGE, depth.oldest_waiting),
            (&OLDEST_PENDING_AGE, depth.oldest_pending),
        ] {
            gauge.of([flow]).set(oldest.unwrap_or_default());
        }
        for (deliveries, count) in DELIVERIES.iter().zip(self.by_deliveries) {
            PENDING_BY_DELIVERIES
                .of([flow, deliveries])
                .set(count as f64);
        }
    }
}

/// All at once: one that fails, or takes too long, says nothing of the others.
async fn of_flows(admin: &Admin) -> Vec<(FlowName, Result<OfFlow, Unknown<Error>>)> {
    let flows = admin.flows.borrow().clone();
    let read = flows.all().map(async |flow| {
        let read = within(OfFlow::read(admin, flow)).await;
        (flow.name.clone(), read)
    });
    join_all(read).await
}

/// `None` where it fails, or takes too long.
async fn read<T>(asked: impl Future<Output = Result<T, impl Display>>) -> Option<T> {
    let read = within(asked).await;
    read.inspect_err(|error| debug!(%error, "metrics not read"))
        .ok()
}
