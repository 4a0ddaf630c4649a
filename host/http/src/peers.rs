//! Counts what each peer holds: connections and bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Peers that are remembered before those that hold nothing are forgotten.
const FEW: usize = 64;

/// How many bodies of one peer are read at the same time. Two bodies are enough for
/// some gigabytes a second.
const TURNS: usize = 2;

/// All peers that hold something, by their networks.
#[derive(Debug, Default)]
pub struct Peers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_network: HashMap<IpAddr, Arc<Peer>>,
    /// How many there were after the last look for those that hold nothing.
    held: usize,
}

/// One client by its address, and what it holds.
#[derive(Debug)]
pub struct Peer {
    /// `None` for a trusted proxy, which speaks for many clients.
    network: Option<IpAddr>,
    connections: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    /// Bytes of heads that are counted.
    pub(super) heads: AtomicUsize,
    /// Has a permit for each body that may be read at the same time.
    turns: Semaphore,
}

impl Peer {
    fn new(network: Option<IpAddr>) -> Self {
        Self {
            network,
            connections: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            heads: AtomicUsize::new(0),
            turns: Semaphore::new(TURNS),
        }
    }

    /// Returns what limits for each peer are counted by: its IPv4 address, or
    /// its IPv6 network of 64 bits. `None` where no such limit applies.
    pub fn network(&self) -> Option<IpAddr> {
        self.network
    }

    /// Waits for a turn to read a piece of one of this peer's bodies. The turn lasts
    /// until the returned permit is dropped. Returns `None` for a trusted proxy, whose
    /// bodies are read without turns.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.network?;
        // The semaphore is never closed.
        self.turns.acquire().await.ok()
    }

    /// Counts one more connection of this peer. Returns `None` if the peer has `most`
    /// connections already.
    pub(super) fn place(self: &Arc<Self>, most: usize) -> Option<Place> {
        let one_more = |held: usize| (held < most).then_some(held + 1);
        let order = Ordering::Relaxed;
        let taken = self.connections.fetch_update(order, order, one_more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

/// One connection of a peer, which counts until this value is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Peer>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Peers {
    /// Returns the peer of an address; all addresses of one network are one peer.
    pub fn of(&self, address: IpAddr) -> Arc<Peer> {
        let network = network_of(address);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = known.by_network.get(&network) {
            return Arc::clone(peer);
        }
        if known.by_network.len() >= FEW.max(2 * known.held) {
            let holds = |peer: &Arc<Peer>| Arc::strong_count(peer) > 1;
            known.by_network.retain(|_, peer| holds(peer));
            known.held = known.by_network.len();
        }
        let peer = Arc::new(Peer::new(Some(network)));
        known.by_network.insert(network, Arc::clone(&peer));
        peer
    }
}

impl Peer {
    /// Makes the peer of a trusted proxy, to which no limit for each peer
    /// applies.
    pub(super) fn proxy() -> Arc<Self> {
        Arc::new(Self::new(None))
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[4..].fill(0);
            IpAddr::from(segments)
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network() {
        let peers = Peers::default();
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let peer = peers.of(address.parse().unwrap());
            assert_eq!(peer.network(), Some(network.parse().unwrap()));
        }
    }

    #[test]
    fn peers_that_hold_nothing_are_forgotten() {
        let peers = Peers::default();
        let held = peers.of(IpAddr::from([10, 0, 0, 1]));
        for number in 0..100_000_u32 {
            peers.of(IpAddr::from((1 << 28 | number).to_be_bytes()));
        }
        let known = peers.known.lock().unwrap().by_network.len();
        assert!(known <= FEW + 1, "{known} are remembered");
        assert!(Arc::ptr_eq(&held, &peers.of(IpAddr::from([10, 0, 0, 1]))));
    }
}
