//! Bounds what the heads of HTTP/1 requests make this process hold: each may
//! have 64 KiB, and nobody has read a word of one that is not whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Activity;

/// What every connection holds in any case: the first buffer of its HTTP library.
/// Nearly all heads fit into it, and are not counted.
pub(super) const UNCOUNTED: usize = 8 << 10;

/// Bytes of heads that are held on one address, beyond what is not counted.
#[derive(Debug)]
pub(super) struct Heads {
    limit: usize,
    held: AtomicUsize,
}

/// The head of the request that comes next on a connection, or that is answered.
pub(super) struct Head {
    heads: Arc<Heads>,
    activity: Arc<Activity>,
    /// Of which request of the connection it is.
    request: u64,
    arrived: usize,
    counted: usize,
}

/// There is no room for a head of this size now.
#[derive(Debug, thiserror::Error)]
#[error("more bytes of heads are held than this process holds at a time")]
pub(super) struct TooManyHeads;

impl From<TooManyHeads> for io::Error {
    fn from(error: TooManyHeads) -> Self {
        Self::other(error)
    }
}

impl Heads {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
        })
    }

    /// Returns what counts the heads of one connection.
    pub fn of(self: &Arc<Self>, activity: &Arc<Activity>) -> Head {
        Head {
            heads: Arc::clone(self),
            activity: Arc::clone(activity),
            request: 0,
            arrived: 0,
            counted: 0,
        }
    }
}

impl Head {
    /// Gives back what the head before held, once its request is answered. A
    /// request keeps its head for as long as it is worked on.
    pub fn look(&mut self) {
        let begun = self.activity.begun();
        if begun != self.request && !self.activity.is_serving() {
            self.request = begun;
            self.give_back();
        }
    }

    /// Counts bytes that came, if they are of a head.
    ///
    /// # Errors
    /// Where there is no room: in all, or for its peer, which holds a quarter.
    pub fn arrived(&mut self, bytes: usize) -> Result<(), TooManyHeads> {
        // What comes while a request is worked on is its body. The heads of
        // HTTP/2 are bounded by the library, and counted when they are whole.
        if self.activity.is_serving() || self.activity.speaks_http2() {
            return Ok(());
        }
        self.arrived += bytes;
        let more = self.arrived.saturating_sub(UNCOUNTED + self.counted);
        if more == 0 {
            return Ok(());
        }
        let (heads, peer) = (&self.heads, &self.activity.peer);
        let of_peer = peer.heads.fetch_add(more, Ordering::Relaxed) + more;
        let of_all = heads.held.fetch_add(more, Ordering::Relaxed) + more;
        self.counted += more;
        let peer_is_full = peer.network().is_some() && of_peer > heads.limit / 4;
        match peer_is_full || of_all > heads.limit {
            true => Err(TooManyHeads),
            false => Ok(()),
        }
    }

    fn give_back(&mut self) {
        self.heads.held.fetch_sub(self.counted, Ordering::Relaxed);
        let peer = &self.activity.peer;
        peer.heads.fetch_sub(self.counted, Ordering::Relaxed);
        (self.arrived, self.counted) = (0, 0);
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.give_back();
    }
}
