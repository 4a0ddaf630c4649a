//! Who is at the other end of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;

use super::{Ambiguous, Peer, Peers, Proxies};

/// A connection, by whom it brings.
#[derive(Debug)]
pub struct Visit {
    /// Of the socket, or as a trusted proxy named it.
    pub address: IpAddr,
    pub peer: Arc<Peer>,
    /// Where a trusted proxy is there, which speaks for others.
    pub(super) through: Option<Arc<Peers>>,
    pub(super) proxies: Proxies,
}

impl Visit {
    /// Returns the peer for which a trusted proxy sends a request; `None` where
    /// the peer is that of the connection.
    ///
    /// # Errors
    /// Where the headers name two.
    pub fn behind(&self, headers: &HeaderMap) -> Result<Option<Arc<Peer>>, Ambiguous> {
        let Some(peers) = &self.through else {
            return Ok(None);
        };
        let client = self.proxies.client(headers)?;
        Ok(client.map(|client| peers.of(client)))
    }
}
