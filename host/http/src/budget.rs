//! One budget of bytes in flight for the whole process: taken as bytes arrive,
//! given back after the append.
//!
//! A peer holds at most a quarter of it. An eighth is kept for bodies that come
//! whole in the first read, so that small requests get in while large ones fill
//! the rest. At the limit the slowest body that is still arriving is refused,
//! and not the newest: whoever trickles makes room for whoever sends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Peer;

/// A body that is younger is not called slow while an older one is there.
const YOUNG: Duration = Duration::from_secs(1);

/// What the windows of an HTTP/2 connection may hold before anybody reads it.
pub const WINDOWS: usize = 256 << 10;

/// Bytes of requests that this process holds, of which it holds no more.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
    arriving: Mutex<HashMap<u64, Arc<Slow>>>,
    next: AtomicU64,
    /// Who waits for bytes to be given back.
    waiting: AtomicUsize,
    freed: Notify,
}

/// There is no room for these bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more bytes are in flight than this process holds at a time")]
pub struct Exhausted;

/// Bytes that were taken of the budget; dropping it gives them back.
#[derive(Debug)]
pub struct Grant {
    budget: Arc<Budget>,
    peer: Arc<Peer>,
    bytes: usize,
}

/// A body that comes in more than one piece. It may be told to leave.
pub struct Arrival {
    id: u64,
    grant: Grant,
    slow: Arc<Slow>,
}

/// How fast a body arrives.
#[derive(Debug)]
struct Slow {
    peer: Arc<Peer>,
    began: Instant,
    arrived: AtomicUsize,
    refused: CancellationToken,
}

/// Whose limit is reached.
enum Full {
    Peer,
    Process,
}

impl Budget {
    /// Makes a budget of so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
            arriving: Mutex::default(),
            next: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Returns the bytes that are held at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the bytes that are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the size of the largest body that can ever come in.
    pub fn largest(&self) -> usize {
        self.limit - self.limit / 8
    }

    /// Takes the bytes of a body that came whole.
    ///
    /// # Errors
    /// Where there is no room, and nobody slower who could make it.
    pub async fn take_whole(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        bytes: usize,
    ) -> Result<Grant, Exhausted> {
        let mut grant = self.nothing(peer);
        self.take(&mut grant, bytes, None).await?;
        Ok(grant)
    }

    /// Takes bytes that are there already, at once or not at all.
    ///
    /// # Errors
    /// Where there is no room.
    pub fn take_now(self: &Arc<Self>, peer: &Arc<Peer>, bytes: usize) -> Result<Grant, Exhausted> {
        let mut grant = self.nothing(peer);
        grant.try_more(bytes)?;
        Ok(grant)
    }

    /// Begins to take the bytes of a body that comes in pieces.
    pub fn arrive(self: &Arc<Self>, peer: &Arc<Peer>) -> Arrival {
        self.arrive_since(peer, Instant::now())
    }

    fn arrive_since(self: &Arc<Self>, peer: &Arc<Peer>, began: Instant) -> Arrival {
        let slow = Arc::new(Slow {
            peer: Arc::clone(peer),
            began,
            arrived: AtomicUsize::new(0),
            refused: CancellationToken::new(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        arriving.insert(id, Arc::clone(&slow));
        Arrival {
            id,
            grant: self.nothing(peer),
            slow,
        }
    }

    fn nothing(self: &Arc<Self>, peer: &Arc<Peer>) -> Grant {
        Grant {
            budget: Arc::clone(self),
            peer: Arc::clone(peer),
            bytes: 0,
        }
    }

    /// `of`: the body that arrives; `None` for one that came whole.
    async fn take(
        &self,
        grant: &mut Grant,
        bytes: usize,
        of: Option<u64>,
    ) -> Result<(), Exhausted> {
        if grant.try_take(bytes, of.is_none()).is_ok() {
            return Ok(());
        }
        let _waiting = Waiting::of(self);
        loop {
            let freed = self.freed.notified();
            let Err(full) = grant.try_take(bytes, of.is_none()) else {
                return Ok(());
            };
            let among = matches!(full, Full::Peer).then_some(&*grant.peer);
            if !self.refuse_the_slowest(among, of) {
                return Err(Exhausted);
            }
            freed.await;
        }
    }

    /// Has the slowest body refused; of one peer, where that one holds too
    /// much. Returns whether bytes will be given back for that: not where the
    /// slowest is the one that asks.
    fn refuse_the_slowest(&self, among: Option<&Peer>, asks: Option<u64>) -> bool {
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |slow: &Slow| among.is_none_or(|peer| std::ptr::eq(peer, &*slow.peer));
        let mut slowest: Option<((bool, usize), u64, &Arc<Slow>)> = None;
        for (id, slow) in arriving.iter().filter(|(_, slow)| is_meant(slow)) {
            if slow.refused.is_cancelled() {
                return true;
            }
            let speed = slow.speed();
            if slowest.as_ref().is_none_or(|(least, ..)| speed < *least) {
                slowest = Some((speed, *id, slow));
            }
        }
        match slowest {
            Some((_, id, slow)) if asks != Some(id) => {
                slow.refused.cancel();
                true
            }
            _ => false,
        }
    }

    fn give_back(&self, peer: &Peer, bytes: usize) {
        peer.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

/// Somebody who waits for bytes, until this is dropped.
struct Waiting<'b>(&'b Budget);

impl<'b> Waiting<'b> {
    fn of(budget: &'b Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Grant {
    /// Takes more, at once or not at all.
    ///
    /// # Errors
    /// Where there is no room.
    pub fn try_more(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.try_take(bytes, false).map_err(|_| Exhausted)
    }

    fn try_take(&mut self, bytes: usize, whole: bool) -> Result<(), Full> {
        let (budget, own) = (&self.budget, self.bytes);
        let of_peer = budget.limit / 4;
        let is_limited = self.peer.network().is_some();
        let with_more = |held: usize| {
            // Somebody's only body is not refused for being large, though it
            // came by HTTP/2.
            let alone = held.saturating_sub(own) <= WINDOWS.min(of_peer / 4);
            let fits = !is_limited || alone || held + bytes <= of_peer;
            fits.then_some(held + bytes)
        };
        let order = Ordering::SeqCst;
        let taken = self.peer.bytes.fetch_update(order, order, with_more);
        taken.map_err(|_| Full::Peer)?;
        let limit = if whole {
            budget.limit
        } else {
            budget.largest()
        };
        let with_more = |held: usize| (held + bytes <= limit).then_some(held + bytes);
        if budget.held.fetch_update(order, order, with_more).is_err() {
            self.peer.bytes.fetch_sub(bytes, order);
            return Err(Full::Process);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(&self.peer, self.bytes);
        }
    }
}

impl Arrival {
    /// Notes that so many bytes arrived.
    pub fn arrived(&self, bytes: usize) {
        self.slow.arrived.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes more bytes; waits while a slower body makes room for them.
    ///
    /// # Errors
    /// Where there is no room and this is the slowest.
    pub async fn take(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let budget = Arc::clone(&self.grant.budget);
        budget.take(&mut self.grant, bytes, Some(self.id)).await
    }

    /// Is cancelled when this body has to make room for others.
    pub fn refused(&self) -> CancellationToken {
        self.slow.refused.clone()
    }

    /// Returns what was taken, once the body is whole.
    pub fn whole(self) -> Grant {
        let budget = Arc::clone(&self.grant.budget);
        let mut arrival = self;
        let nothing = budget.nothing(&arrival.grant.peer);
        std::mem::replace(&mut arrival.grant, nothing)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let arriving = &self.grant.budget.arriving;
        let mut arriving = arriving.lock().unwrap_or_else(PoisonError::into_inner);
        arriving.remove(&self.id);
    }
}

impl Slow {
    /// Compares as slower or faster: the young ones come last, then by bytes
    /// a second.
    fn speed(&self) -> (bool, usize) {
        let age = self.began.elapsed();
        let arrived = self.arrived.load(Ordering::Relaxed) as f64;
        (
            age < YOUNG,
            (arrived / age.max(YOUNG).as_secs_f64()) as usize,
        )
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
