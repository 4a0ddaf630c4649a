use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::attempt::{Attempt, FailureKind, Outcome, lease};
use super::client::HttpClient;
use super::meter::{Away, Meter};
use crate::breaker::{Breaker, Failure, Permit, Policy, Probe, Turn};
use floodgate_flow::StreamSettings;
use floodgate_ledger::{Error, LeasedDelivery, Outbox, Route};
use floodgate_process::boot_time::BootTime;

/// How often it is looked for what is due.
const POLL: Duration = Duration::from_millis(250);
/// How often it is looked whether the clock was set back.
const CLOCK: Duration = Duration::from_secs(10);
/// Failures in a row, each of another entry, after which a downstream is left
/// alone, for a second at first and for half a minute in the end.
const POLICY: Policy = Policy {
    failures: 5,
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(30),
};

/// Hands the decisions of one flow to one downstream.
#[derive(Clone)]
pub(super) struct Deliverer {
    route: Route,
    stream: StreamSettings,
    outbox: Arc<dyn Outbox>,
    http: HttpClient,
    breaker: Arc<Breaker>,
    meter: Arc<Meter>,
}

impl Deliverer {
    pub fn new(
        route: Route,
        stream: StreamSettings,
        outbox: Arc<dyn Outbox>,
        http: HttpClient,
    ) -> Self {
        Self {
            meter: Arc::new(Meter::of(&route)),
            breaker: Breaker::new(POLICY, told_of(&route)),
            route,
            stream,
            outbox,
            http,
        }
    }

    pub async fn run(self, stop: CancellationToken) {
        let most = usize::from(self.route.downstream.concurrency);
        let mut in_flight = JoinSet::new();
        let mut away = false;
        let mut looked = None;
        while !stop.is_cancelled() {
            if looked.is_none_or(|looked: Instant| looked.elapsed() > CLOCK) {
                looked = Some(Instant::now());
                self.bring_forward().await;
            }
            let room = most - in_flight.len();
            let asked = BootTime::now();
            match self.take_up(room).await {
                Ok((leased, mut probe)) => {
                    away = false;
                    for leased in leased {
                        in_flight.spawn(self.clone().deliver(leased, asked, probe.take()));
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(flow = %self.route.flow, %error, "outbox away, nothing is delivered");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL), if in_flight.len() < most => {}
                Some(ended) = in_flight.join_next() => self.note_panic(&ended),
            }
            while let Some(ended) = in_flight.try_join_next() {
                self.note_panic(&ended);
            }
        }
        while let Some(ended) = in_flight.join_next().await {
            self.note_panic(&ended);
        }
    }

    /// A clock that was set back delays nothing by more than the longest pause.
    async fn bring_forward(&self) {
        let downstream = &self.route.downstream;
        let longest = downstream.retry.max.max(downstream.quiet);
        match self.outbox.bring_forward(&self.route, longest).await {
            Ok(0) => {}
            Ok(deliveries) => {
                warn!(flow = %self.route.flow, deliveries, "clock was set back, deliveries are brought forward");
            }
            Err(error) => debug!(%error, "not looked whether the clock was set back"),
        }
    }

    /// A delivery that panicked comes again when its lease has run out.
    fn note_panic(&self, ended: &Result<(), JoinError>) {
        if ended.is_err() {
            self.meter.panics.increment(1);
            error!(flow = %self.route.flow, "a delivery panicked, it comes again");
        }
    }

    /// Takes up what is due; while the downstream is left alone nothing, and
    /// then one delivery to see.
    async fn take_up(&self, room: usize) -> Result<(Vec<LeasedDelivery>, Option<Probe>), Error> {
        if room == 0 {
            return Ok((Vec::new(), None));
        }
        let (room, probe) = match self.breaker.permit() {
            Permit::All => (room, None),
            Permit::One(probe) => (1, Some(probe)),
            Permit::None => return Ok((Vec::new(), None)),
        };
        let lease = lease(self.route.downstream.timeout);
        let leased = self.outbox.lease_deliveries(&self.route, lease, room);
        Ok((leased.await?, probe))
    }

    async fn deliver(self, leased: LeasedDelivery, asked: BootTime, probe: Option<Probe>) {
        let attempt = Attempt {
            route: &self.route,
            http: &self.http,
            outbox: &*self.outbox,
            leased: &leased,
            lease_ends: asked.plus(lease(self.route.downstream.timeout)),
        };
        let began = Instant::now();
        let outcome = match attempt.make().await {
            Ok(outcome) => {
                self.meter.attempted(&outcome, began.elapsed());
                outcome
            }
            Err(error) => {
                debug!(%error, "delivery left for another time");
                return;
            }
        };
        self.tell_breaker(&leased, &outcome, probe);
        // What is not written down comes again when its lease has run out, and
        // the downstream is asked first.
        if let Err(error) = self.write_down(&leased, outcome).await
            && let Some(times) = self.meter.told.not_written_down.now()
        {
            warn!(flow = %self.route.flow, %error, times, "outcome of a delivery not written down");
        }
    }

    fn tell_breaker(&self, leased: &LeasedDelivery, outcome: &Outcome, probe: Option<Probe>) {
        let failure = match outcome {
            Outcome::Lost | Outcome::Undeliverable { .. } => return,
            Outcome::Delivered | Outcome::GivenUp { .. } => return self.breaker.succeeded(),
            Outcome::Failed(failure) => match failure.kind() {
                FailureKind::Refused => return self.breaker.succeeded(),
                FailureKind::NotConnected => Failure::OfServer,
                FailureKind::NotAsked | FailureKind::Unknown => Failure::Of(&leased.id),
            },
        };
        match probe {
            Some(probe) => probe.failed(),
            None => self.breaker.failed(failure),
        }
    }

    async fn write_down(&self, leased: &LeasedDelivery, outcome: Outcome) -> Result<(), Error> {
        let (route, id) = (&self.route, &*leased.id);
        match outcome {
            Outcome::Delivered => {
                self.outbox.delivered(route, id).await?;
                self.meter.delivered.increment(1);
                Ok(())
            }
            Outcome::Lost => Ok(()),
            Outcome::Failed(failure) => {
                let away = !self.breaker.is_closed();
                let undelivered = failure.undelivered(route, leased, away);
                // The outbox has the error of each.
                if let Some(times) = self.meter.told.failed.now() {
                    info!(
                        flow = %route.flow,
                        error = undelivered.error,
                        attempts = leased.attempts + u32::from(undelivered.attempt),
                        times,
                        "not delivered, trying again"
                    );
                }
                self.outbox.not_delivered(route, id, &undelivered).await
            }
            Outcome::GivenUp { error } | Outcome::Undeliverable { error } => {
                if let Some(times) = self.meter.told.given_up.now() {
                    error!(flow = %route.flow, error, times, "delivery given up");
                }
                let partition = self.stream.partition_of(id);
                self.outbox
                    .give_up_delivery(route, id, partition, &error)
                    .await?;
                self.meter.given_up.increment(1);
                Ok(())
            }
        }
    }
}

/// Shows whether the downstream is left alone.
fn told_of(route: &Route) -> impl Fn(Turn) + use<> {
    let (flow, downstream) = (route.flow.clone(), Arc::clone(&route.downstream.name));
    let away = Away::of(&route.downstream);
    move |turn| match turn {
        Turn::Opened => {
            away.is(true);
            warn!(%flow, %downstream, "downstream away, it is left alone for a while");
        }
        Turn::Closed => {
            away.is(false);
            info!(%flow, %downstream, "downstream answers again");
        }
    }
}
