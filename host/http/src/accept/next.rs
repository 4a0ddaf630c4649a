//! The listening socket, and its next client.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::{debug, warn};

use super::limiter::LOOK;
use floodgate_process::seldom::Seldom;

/// The number of clients that may wait to be accepted. The system may allow fewer
/// (`net.core.somaxconn`). A client that finds no place asks again only after a
/// second, so there is room for a burst of one client and for the others too.
const BACKLOG: u32 = 4096;

/// The size of a connection's send buffer, in bytes: what the system holds of
/// answers that the client has not taken. Without this limit it grows to 4 MiB,
/// and a client that pipelines requests and reads nothing has this process answer
/// more than a hundred of them.
const UNSENT: u32 = 64 << 10;

/// Listens at the address.
///
/// # Errors
/// Where the system does not let it, such as for a port that is taken.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The system remembers connections of an earlier process for a while; without
    // this option they would keep the address taken.
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit the size from the listening socket.
    socket.set_send_buffer_size(UNSENT)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_burst_of_clients_leaves_room_for_the_next() {
        const BURST: usize = 300;
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut burst = Vec::new();
        for number in 0..=BURST {
            // One that finds no place is never connected: nobody accepts here.
            let connect = timeout(Duration::from_secs(20), TcpStream::connect(address)).await;
            burst.push(connect.unwrap_or_else(|_| panic!("no room for client {number}")));
        }
        assert!(burst.iter().all(Result::is_ok));
    }
}
