//! Limits the number of open connections: of all clients together, and of each peer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::Limits;
use super::open::{Entered, Meter, Open};
use crate::peers::Place;
use crate::{Activity, Peer, Peers, Proxies, Visit, proxies};

/// How long an idle connection stays open while others wait.
const GRACE: Duration = Duration::from_secs(1);

/// The interval at which idle connections are looked for while others wait.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Counts the connections of one listening socket.
pub(super) struct Limiter {
    of_one_peer: usize,
    head_timeout: Duration,
    proxies: Proxies,
    peers: Arc<Peers>,
    open: Open,
    permits: Arc<Semaphore>,
    pub meter: Meter,
}

/// A client that was accepted.
pub(super) struct Knocking {
    pub stream: TcpStream,
    pub visit: Arc<Visit>,
    pub place: Place,
}

impl Limiter {
    /// Makes a limiter; `name` is what its metrics are labelled with.
    pub fn new(name: &'static str, limits: &Limits) -> Self {
        Self {
            of_one_peer: limits.of_one_peer,
            head_timeout: limits.head_timeout,
            proxies: limits.proxies.clone(),
            peers: Arc::default(),
            open: Open::default(),
            permits: Arc::new(Semaphore::new(limits.connections)),
            meter: Meter::of(name),
        }
    }

    /// Adds a connection to those that are open, until the returned value is dropped.
    pub fn enter(&self, activity: &Arc<Activity>) -> Entered<'_> {
        self.open.enter(activity, &self.meter)
    }

    /// Counts a client that was accepted. Returns `None` if its peer may have no more
    /// connections.
    pub fn knock(&self, (stream, address): (TcpStream, SocketAddr)) -> Option<Knocking> {
        let address = address.ip().to_canonical();
        let (visit, place) = self.visit(address)?;
        Some(Knocking {
            stream,
            visit,
            place,
        })
    }

    /// Returns `None` if the peer has too many connections already.
    fn visit(&self, address: IpAddr) -> Option<(Arc<Visit>, Place)> {
        let proxies = self.proxies.clone();
        let (peer, most, through) = match proxies.trust(address) {
            true => (Peer::proxy(), usize::MAX, Some(Arc::clone(&self.peers))),
            false => (self.peers.of(address), self.of_one_peer, None),
        };
        let place = peer.place(most).or_else(|| {
            let made = self.make_room(Some(&peer));
            made.then(|| peer.place(usize::MAX)).flatten()
        });
        let Some(place) = place else {
            self.meter.refused();
            return None;
        };
        let visit = Visit {
            address,
            peer,
            through,
            proxies,
        };
        Some((Arc::new(visit), place))
    }

    /// Reads from the connection of a trusted proxy for whom the proxy connects, if the
    /// proxy says so. Returns `None` if the connection is not to be served.
    pub async fn introduced(&self, mut knocking: Knocking) -> Option<Knocking> {
        if knocking.visit.through.is_none() {
            return Some(knocking);
        }
        let source = proxies::source(&mut knocking.stream);
        match tokio::time::timeout(self.head_timeout, source).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(client))) => (knocking.visit, knocking.place) = self.visit(client)?,
            Ok(Err(error)) => {
                debug!(%error, "proxy did not say for whom it connects");
                return None;
            }
            Err(_) => return None,
        }
        Some(knocking)
    }

    /// Waits until one more connection may be open. Cancel-safe.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return Some(permit);
            }
            self.make_room(None);
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LOOK, permit).await {
                // The semaphore is never closed.
                return permit.ok();
            }
        }
    }

    /// Closes the connection that has been idle for the longest time, of all peers or
    /// of one. Returns whether such a connection was found.
    fn make_room(&self, of: Option<&Arc<Peer>>) -> bool {
        let longest = self.open.longest_idle(of, GRACE);
        if let Some(idle) = &longest {
            idle.cut();
            self.meter.made_room();
        }
        longest.is_some()
    }
}
