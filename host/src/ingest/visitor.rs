//! Who sends a request, and what may be held for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::{HeaderMap, Version};

use super::Refusal;
use crate::http::{Ambiguous, Budget, Exhausted, Grant, Peer, Visit};

/// A client, as its connection or a trusted proxy names it.
pub(super) struct Visitor {
    pub peer: Arc<Peer>,
    pub budget: Arc<Budget>,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    visit: Arc<Visit>,
    /// What the windows of its HTTP/2 connection may hold.
    windows: OnceLock<Result<Grant, Exhausted>>,
}

impl Visitor {
    pub fn new(visit: &Arc<Visit>, budget: &Arc<Budget>, body_timeout: Duration) -> Self {
        Self {
            peer: Arc::clone(&visit.peer),
            budget: Arc::clone(budget),
            body_timeout,
            visit: Arc::clone(visit),
            windows: OnceLock::new(),
        }
    }

    /// Returns the client for which a trusted proxy sends a request; `None`
    /// where that is this one.
    pub fn behind(&self, headers: &HeaderMap) -> Option<Result<Self, Refusal>> {
        let peer = match self.visit.behind(headers) {
            Ok(peer) => peer?,
            Err(Ambiguous) => return Some(Err(Refusal::AmbiguousClient)),
        };
        Some(Ok(Self {
            peer,
            budget: Arc::clone(&self.budget),
            body_timeout: self.body_timeout,
            visit: Arc::clone(&self.visit),
            windows: OnceLock::new(),
        }))
    }

    /// Counts what an HTTP/2 connection makes this process hold, once.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn may_speak(&self, version: Version) -> Result<(), Refusal> {
        if version != Version::HTTP_2 {
            return Ok(());
        }
        let take = || self.budget.take_windows(&self.peer);
        match self.windows.get_or_init(take) {
            Ok(_) => Ok(()),
            Err(Exhausted) => Err(Refusal::Overloaded),
        }
    }
}
