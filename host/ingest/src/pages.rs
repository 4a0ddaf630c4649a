//! Health pages of the shape that a flow's clients expect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;

use super::{Health, Response, respond};
use floodgate_backbone::{Backbone, depth_of};
use floodgate_flow::{Filled, Flow, HealthPage, Name, Values};
use floodgate_ledger::Ledger;
use floodgate_process::fresh::{Fresh, within};

/// One health page of a flow.
pub(super) struct Page {
    flow: Arc<Flow>,
    /// Of the flow's pages.
    index: usize,
    backbone: Arc<dyn Backbone>,
    ledger: Arc<dyn Ledger>,
    health: Health,
    started: Instant,
    last: Fresh<(StatusCode, Bytes)>,
}

impl Page {
    pub fn new(
        flow: &Arc<Flow>,
        index: usize,
        backbone: &Arc<dyn Backbone>,
        ledger: &Arc<dyn Ledger>,
        health: &Health,
        started: Instant,
    ) -> Self {
        Self {
            flow: Arc::clone(flow),
            index,
            backbone: Arc::clone(backbone),
            ledger: Arc::clone(ledger),
            health: Arc::clone(health),
            started,
            last: Fresh::default(),
        }
    }

    /// Whether everybody is answered.
    pub fn open(&self) -> bool {
        self.written().is_none_or(|page| page.open)
    }

    /// As the flow file has it.
    fn written(&self) -> Option<&HealthPage> {
        self.flow.health.get(self.index)
    }

    /// 200, or 503 where a server is away.
    pub async fn answer(&self) -> Response {
        let (status, page) = self.last.or(self.page()).await;
        respond(status, page)
    }

    async fn page(&self) -> (StatusCode, Bytes) {
        let figures = self.figures().await;
        let status = match figures.healthy {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut page = Vec::with_capacity(256);
        if let Some(health) = self.written() {
            health.reply.render(&figures, &mut page);
        }
        (status, Bytes::from(page))
    }

    async fn figures(&self) -> Figures {
        let healthy = (self.health)().await.is_ok();
        Figures {
            healthy,
            uptime: self.started.elapsed(),
            counts: match healthy {
                true => self.counts().await,
                false => None,
            },
        }
    }

    /// `None` where a server does not tell.
    async fn counts(&self) -> Option<Counts> {
        let depth = depth_of(&*self.backbone, &self.flow);
        let depth = within(depth).await.ok()?;
        let mut counts = Counts {
            open: depth.open,
            decided: depth.decided,
            dead: depth.dead,
        };
        if !self.flow.deliver.is_empty() {
            let deliveries = self.ledger.delivery_counts(&self.flow.name);
            let deliveries = within(deliveries).await.ok()?;
            counts.open += deliveries.waiting;
            counts.dead += deliveries.given_up;
            let unfinished = deliveries.waiting + deliveries.given_up;
            counts.decided = counts.decided.saturating_sub(unfinished);
        }
        Some(counts)
    }
}

struct Figures {
    healthy: bool,
    uptime: Duration,
    counts: Option<Counts>,
}

struct Counts {
    open: u64,
    /// And delivered, where the flow delivers.
    decided: u64,
    dead: u64,
}

impl Counts {
    fn error_rate(&self) -> f64 {
        let ended = self.decided + self.dead;
        match ended {
            0 => 0.0,
            _ => self.dead as f64 / ended as f64,
        }
    }
}

impl Values for Figures {
    fn value(&self, name: Name) -> Filled<'_> {
        let count = |take: fn(&Counts) -> u64| {
            let counts = self.counts.as_ref();
            counts.map_or(Filled::Null, |counts| Filled::Integer(take(counts)))
        };
        match name {
            Name::Health if self.healthy => Filled::Text("healthy"),
            Name::Health => Filled::Text("unhealthy"),
            Name::Uptime => Filled::Number((self.uptime.as_secs_f64() * 10.0).round() / 10.0),
            Name::Open => count(|counts| counts.open),
            Name::Decided => count(|counts| counts.decided),
            Name::Dead => count(|counts| counts.dead),
            Name::ErrorRate => Filled::number(self.counts.as_ref().map(Counts::error_rate)),
            _ => Filled::Null,
        }
    }
}
