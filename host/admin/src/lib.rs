//! The admin API: what the CLI asks, on an address of its own. Any process of
//! a deployment can answer, since workers publish what they know.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod api;
mod audit;
mod dashboard;
mod dead;
mod decisions;
mod erase;
mod guard;
mod health;
mod metrics;
mod oracles;
mod pending;
mod person;
mod query;
mod rehearse;
mod routes;
mod server;
mod token;
pub mod types;
mod why;

use std::net::SocketAddr;
use std::sync::Arc;

use floodgate_archive_client::{self as archive, Archive, FindError, Found, find};
use floodgate_backbone::Backbone;
use floodgate_flow::{Flow, FlowName, Flows};
use floodgate_ledger::Ledger;
use floodgate_readiness::Readiness;

pub use self::dashboard::Dashboard;
pub use self::health::{Health, health};
pub use self::metrics::Metrics;
pub use self::person::{NotAName, Person};
pub use self::server::{BindError, Server};
pub use self::token::{AdminTokenSettings, Token, TokenError};
use self::types::WorkerOracle;

/// What the admin API looks at.
#[derive(Clone)]
pub struct Admin {
    pub flows: Flows,
    pub backbone: Arc<dyn Backbone>,
    pub ledger: Arc<dyn Ledger>,
    pub archive: Arc<Archive>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    /// Of this process, where it has one.
    pub front_end: Option<SocketAddr>,
    pub dashboard: Arc<Dashboard>,
}

/// Why a call of the admin API was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// The archive is needed for what is left.
    #[error("{left}: {cause}; erased so far: {so_far}")]
    HalfErased {
        left: String,
        so_far: String,
        cause: archive::Error,
    },
    /// The front end of this process did not answer.
    #[error("{0}")]
    FrontEnd(String),
    #[error(transparent)]
    Backbone(#[from] floodgate_backbone::Error),
    #[error(transparent)]
    Ledger(#[from] floodgate_ledger::Error),
    #[error(transparent)]
    Archive(#[from] floodgate_archive_client::Error),
}

impl From<FindError> for Error {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Ledger(error) => Self::Ledger(error),
            FindError::Archive(error) => Self::Archive(error),
        }
    }
}

impl Admin {
    /// A decision, in the ledger or where it was moved to.
    async fn decision(&self, flow: &FlowName, id: &str) -> Result<Option<Found>, Error> {
        Ok(find(&*self.ledger, &self.archive, flow, id).await?)
    }

    /// What every living worker runs.
    pub async fn oracles(&self) -> Result<Vec<WorkerOracle>, Error> {
        oracles::list(self).await
    }

    /// The flows that a call speaks of: the named one, else all.
    fn flows(&self, name: Option<&str>) -> Result<Vec<Arc<Flow>>, Error> {
        match name {
            Some(name) => Ok(vec![self.flow(name)?]),
            None => Ok(self.flows.borrow().all().cloned().collect()),
        }
    }

    fn flow(&self, name: &str) -> Result<Arc<Flow>, Error> {
        let flows = self.flows.borrow();
        flows.find(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = flows.live.iter().map(|flow| flow.name.as_str()).collect();
            Error::NotFound(format!("no flow {name}; there are: {}", known.join(", ")))
        })
    }
}
