//! Who sends a request, and what may be held for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::{HeaderMap, Request, Version};

use super::Refusal;
use floodgate_http::{Ambiguous, Budget, Exhausted, Grant, Peer, Visit, WINDOWS};

/// A hundred heads of this size are less than the windows of their connection.
const SMALL_HEAD: usize = 1 << 10;

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

    /// Counts the head of an HTTP/2 request, if it is not small: its connection
    /// may have a hundred. Over HTTP/1 it is counted as it arrives.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn hold_head<B>(&self, request: &Request<B>) -> Result<Option<Grant>, Refusal> {
        if request.version() != Version::HTTP_2 {
            return Ok(None);
        }
        let fields = request.headers().iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
        let bytes = fields.sum::<usize>() + request.uri().path().len();
        match bytes > SMALL_HEAD {
            true => Ok(Some(self.budget.take_now(&self.peer, bytes)?)),
            false => Ok(None),
        }
    }

    /// Counts what an HTTP/2 connection makes this process hold, once.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn may_speak(&self, version: Version) -> Result<(), Refusal> {
        if version != Version::HTTP_2 {
            return Ok(());
        }
        let take = || self.budget.take_now(&self.peer, WINDOWS);
        match self.windows.get_or_init(take) {
            Ok(_) => Ok(()),
            Err(Exhausted) => Err(Refusal::Overloaded),
        }
    }
}
