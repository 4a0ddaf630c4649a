//! The next client of a listening socket.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::LOOK;
use crate::telemetry::Seldom;

/// Accepts the next client. Cancel-safe.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    static FAILED: Seldom = Seldom::new();
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_client(&error) => debug!(%error, "client left at once"),
            Err(error) => {
                // Most likely out of file descriptors: accept would fail
                // again at once, and again, until a connection ends.
                if let Some(times) = FAILED.now() {
                    warn!(%error, times, "cannot accept connections");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
