//! What goes on on a connection: by it those are found that hold a place and
//! do nothing with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Peer;

/// What is known of one connection.
#[derive(Debug)]
pub struct Activity {
    pub(super) peer: Arc<Peer>,
    opened: Instant,
    asked: AtomicBool,
    http2: AtomicBool,
    /// Requests that this process works on.
    serving: AtomicUsize,
    /// Requests that ever came.
    begun: AtomicU64,
    /// When bytes last came or went, in milliseconds since it was opened.
    moved: AtomicU64,
    /// Answers that the client has not taken yet; only counted of HTTP/2, which
    /// may refuse them and go on speaking.
    untaken: AtomicUsize,
    /// When the last of them was taken, or the first of them made.
    taken: AtomicU64,
    cut: CancellationToken,
}

/// A request that this process works on, until this is dropped.
pub(super) struct Serving(Arc<Activity>);

/// An answer that the client has not taken, until this is dropped.
pub(super) struct Untaken(Arc<Activity>);

impl Activity {
    pub(super) fn of(peer: Arc<Peer>) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            asked: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            serving: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            untaken: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            cut: CancellationToken::new(),
        }
    }

    /// Notes that a request came, over HTTP/2 or not.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> Serving {
        self.asked.store(true, Ordering::Relaxed);
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.serving.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    /// Notes that an answer is there to be taken.
    pub(super) fn offer(self: &Arc<Self>) -> Untaken {
        if self.untaken.fetch_add(1, Ordering::Relaxed) == 0 {
            self.taken.store(self.age(), Ordering::Relaxed);
        }
        Untaken(Arc::clone(self))
    }

    pub(super) fn has_moved(&self) {
        self.moved.store(self.age(), Ordering::Relaxed);
    }

    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) > 0
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Whether no answer was taken for so long, and one is there.
    pub(super) fn is_stuck(&self, stalled: Duration) -> bool {
        let since = self.age() - self.taken.load(Ordering::Relaxed).min(self.age());
        self.untaken.load(Ordering::Relaxed) > 0 && since >= stalled.as_millis() as u64
    }

    /// Returns how long nothing came or went that the client could have moved;
    /// `None` while it waits for this process.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.serving.load(Ordering::Relaxed) > 0 || self.cut.is_cancelled() {
            return None;
        }
        let moved = self.moved.load(Ordering::Relaxed);
        Some(Duration::from_millis(self.age().saturating_sub(moved)))
    }

    /// Has the connection closed.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    pub(super) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    fn age(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Now it is the client's turn.
        self.0.has_moved();
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.0.taken.store(self.0.age(), Ordering::Relaxed);
        self.0.untaken.fetch_sub(1, Ordering::Relaxed);
    }
}
