//! The connections that are open, and how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge};

use crate::{Activity, Peer};
use floodgate_process::metrics::table;

/// All that are open on one address.
#[derive(Debug, Default)]
pub(super) struct Open {
    connections: Mutex<HashMap<u64, Arc<Activity>>>,
    next: AtomicU64,
}

/// A connection that is open, until this is dropped.
pub(super) struct Entered<'o> {
    open: &'o Open,
    number: u64,
    gauge: Gauge,
}

impl Open {
    /// Adds a connection to those that are open, until the returned value is dropped.
    pub fn enter(&self, activity: &Arc<Activity>, meter: &Meter) -> Entered<'_> {
        meter.open.increment(1.0);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut open = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.insert(number, Arc::clone(activity));
        Entered {
            open: self,
            number,
            gauge: meter.open.clone(),
        }
    }

    /// Returns the connection that has done nothing for the longest time, and
    /// for longer than `grace`; of one peer, or of all.
    pub fn longest_idle(&self, of: Option<&Arc<Peer>>, grace: Duration) -> Option<Arc<Activity>> {
        let open = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_meant = |open: &&Arc<Activity>| of.is_none_or(|peer| Arc::ptr_eq(peer, &open.peer));
        let idle = open.values().filter(is_meant);
        let idle = idle.filter_map(|open| Some((open.idle().filter(|idle| *idle > grace)?, open)));
        let longest = idle.max_by_key(|(idle, _)| *idle)?;
        Some(Arc::clone(longest.1))
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        let open = &self.open.connections;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.number);
    }
}

/// What is counted of the connections of one address.
pub(super) struct Meter {
    open: Gauge,
    refused: Counter,
    made_room: Counter,
    stalled: Counter,
    pub large_heads: Counter,
}

impl Meter {
    pub fn of(address: &'static str) -> Self {
        let closed = |reason| table::CONNECTIONS_CLOSED.of([address, reason]);
        Self {
            open: table::CONNECTIONS.of([address]),
            refused: closed("too-many"),
            made_room: closed("idle"),
            stalled: closed("not-taken"),
            large_heads: closed("large-heads"),
        }
    }

    /// A peer had too many.
    pub fn refused(&self) {
        self.refused.increment(1);
    }

    /// One that did nothing made room for another.
    pub fn made_room(&self) {
        self.made_room.increment(1);
    }

    /// A client took nothing of its answers.
    pub fn stalled(&self) {
        self.stalled.increment(1);
    }
}
