use std::sync::Arc;
use std::time::{Duration, Instant};

use failsafe::backoff::{self, Exponential};
use failsafe::failure_policy::{self, ConsecutiveFailures};
use failsafe::{Instrument, StateMachine};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::attempt::{Attempt, Outcome, lease};
use super::client::HttpClient;
use super::meter::{Away, Meter};
use crate::boot_time::BootTime;
use crate::flow::StreamSettings;
use crate::ledger::{Error, LeasedDelivery, Outbox, Route};

/// How often it is looked for what is due.
const POLL: Duration = Duration::from_millis(250);
/// Failures in a row after which a downstream is left alone, for a second at
/// first and for half a minute in the end.
const FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

type Breaker = StateMachine<ConsecutiveFailures<Exponential>, Said>;

/// Hands the decisions of one flow to one downstream.
#[derive(Clone)]
pub(super) struct Deliverer {
    route: Route,
    stream: StreamSettings,
    outbox: Arc<dyn Outbox>,
    http: HttpClient,
    breaker: Breaker,
    meter: Arc<Meter>,
}

/// Tells of the circuit breaker.
struct Said {
    flow: String,
    downstream: Arc<str>,
    away: Away,
}

impl Instrument for Said {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.away.is(true);
        warn!(flow = self.flow, downstream = %self.downstream, "downstream away, it is left alone for a while");
    }

    fn on_half_open(&self) {}

    fn on_closed(&self) {
        self.away.is(false);
        debug!(flow = self.flow, downstream = %self.downstream, "downstream may be posted to");
    }
}

impl Deliverer {
    pub fn new(
        route: Route,
        stream: StreamSettings,
        outbox: Arc<dyn Outbox>,
        http: HttpClient,
    ) -> Self {
        let pauses = backoff::exponential(FIRST_PAUSE, LONGEST_PAUSE);
        let said = Said {
            flow: route.flow.to_string(),
            downstream: Arc::clone(&route.downstream.name),
            away: Away::of(&route.downstream),
        };
        Self {
            meter: Arc::new(Meter::of(&route)),
            breaker: StateMachine::new(
                failure_policy::consecutive_failures(FAILURES, pauses),
                said,
            ),
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
        while !stop.is_cancelled() {
            let room = most - in_flight.len();
            let asked = BootTime::now();
            match self.take_up(room).await {
                Ok(leased) => {
                    away = false;
                    for leased in leased {
                        in_flight.spawn(self.clone().deliver(leased, asked));
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
                Some(ended) = in_flight.join_next() => say_if_it_died(ended),
            }
            while let Some(ended) = in_flight.try_join_next() {
                say_if_it_died(ended);
            }
        }
        while let Some(ended) = in_flight.join_next().await {
            say_if_it_died(ended);
        }
    }

    /// While the downstream is away nothing is taken up, and then one to see.
    async fn take_up(&self, room: usize) -> Result<Vec<LeasedDelivery>, Error> {
        if room == 0 || !self.breaker.is_call_permitted() {
            return Ok(Vec::new());
        }
        let lease = lease(self.route.downstream.timeout);
        self.outbox.lease_deliveries(&self.route, lease, room).await
    }

    async fn deliver(self, leased: LeasedDelivery, asked: BootTime) {
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
        match &outcome {
            Outcome::Delivered | Outcome::GivenUp { .. } => self.breaker.on_success(),
            Outcome::Failed(failure) if failure.is_away() => self.breaker.on_error(),
            Outcome::Failed(_) => self.breaker.on_success(),
            Outcome::Lost => {}
        }
        // What is not written down comes again when its lease has run out, and
        // the downstream is asked first.
        if let Err(error) = self.write_down(&leased, outcome).await {
            warn!(flow = %self.route.flow, %error, "outcome of a delivery not written down");
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
                let undelivered = failure.undelivered(route, leased.attempts);
                info!(
                    flow = %route.flow,
                    error = undelivered.error,
                    attempts = leased.attempts + u32::from(undelivered.attempt),
                    "not delivered, trying again"
                );
                self.outbox.not_delivered(route, id, &undelivered).await
            }
            Outcome::GivenUp { error } => {
                error!(flow = %route.flow, error, "delivery given up");
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

fn say_if_it_died(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a delivery ended early, it comes again");
    }
}
