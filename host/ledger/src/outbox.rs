use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Buried, Error};
use floodgate_flow::{Downstream, FlowName};

/// Deliveries of a flow, all downstreams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Neither delivered nor given up.
    pub waiting: u64,
    pub given_up: u64,
}

/// How far a decision has come on its way to a downstream.
#[derive(Clone, Debug)]
pub struct KeptDelivery {
    /// Of the downstream, in its flow.
    pub name: String,
    pub state: DeliveryState,
    pub attempts: u32,
    /// Of the last attempt that failed.
    pub error: Option<String>,
    /// Unix milliseconds; when it was delivered or given up.
    pub ended_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    /// A deliverer holds it.
    InFlight,
    Delivered,
    GivenUp,
}

impl DeliveryState {
    /// From the columns of `deliveries`.
    pub(super) fn of(state: &str, in_flight: bool) -> Self {
        match state {
            "delivered" => Self::Delivered,
            "given-up" => Self::GivenUp,
            _ if in_flight => Self::InFlight,
            _ => Self::Waiting,
        }
    }
}

/// Which downstream of which flow.
#[derive(Clone, Debug)]
pub struct Route {
    pub flow: FlowName,
    pub downstream: Arc<Downstream>,
    /// Unique to this process; the holder of the leases.
    pub deliverer: Arc<str>,
}

/// A decision to be handed over, held by a lease.
#[derive(Clone, Debug)]
pub struct LeasedDelivery {
    pub id: Arc<str>,
    /// As it was admitted.
    pub body: String,
    /// Those that were used up.
    pub attempts: u32,
    /// Questions in a row that the downstream did not answer.
    pub unanswered: u32,
    /// Of the last attempt that failed.
    pub error: Option<String>,
}

/// How an attempt ended that did not deliver.
#[derive(Clone, Debug)]
pub struct Undelivered {
    pub error: String,
    /// Whether it uses up an attempt.
    pub attempt: bool,
    /// Whether it is one more question in a row that was not answered.
    pub unanswered: bool,
    /// Whether the downstream may have it all the same.
    pub uncertain: bool,
    pub again_after: Duration,
}

/// Decisions on their way to other services. Every call may be repeated.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes up what is due, oldest first, for `lease`. What was posted with an
    /// unknown outcome is not due before `timeout` and `quiet` have passed.
    async fn lease_deliveries(
        &self,
        route: &Route,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<LeasedDelivery>, Error>;

    /// Notes that a POST begins now; false where the lease is not ours (any more).
    async fn begin_post(&self, route: &Route, id: &str) -> Result<bool, Error>;

    async fn delivered(&self, route: &Route, id: &str) -> Result<(), Error>;

    async fn not_delivered(
        &self,
        route: &Route,
        id: &str,
        undelivered: &Undelivered,
    ) -> Result<(), Error>;

    /// Ends it as a dead letter of the fault `delivery`.
    async fn give_up_delivery(
        &self,
        route: &Route,
        id: &str,
        partition: u16,
        error: &str,
    ) -> Result<(), Error>;

    /// Brings forward what is due later than `longest` from now: the clock was
    /// set back since that was written. Returns how many were.
    async fn bring_forward(&self, route: &Route, longest: Duration) -> Result<u64, Error>;

    /// Starts over with what was given up; false where that dead letter is gone.
    async fn redeliver(&self, buried: &Buried) -> Result<bool, Error>;

    /// The deliveries of a decision, one for each downstream of its flow.
    async fn deliveries(&self, flow: &FlowName, id: &str) -> Result<Vec<KeptDelivery>, Error>;

    async fn delivery_counts(&self, flow: &FlowName) -> Result<DeliveryCounts, Error>;
}
