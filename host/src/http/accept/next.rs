//! The listening socket, and its next client.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::{debug, warn};

use super::LOOK;
use crate::telemetry::Seldom;

/// Clients that may wait to be accepted; fewer where the system allows fewer
/// (`net.core.somaxconn`). Who finds no place there asks again after a whole
/// second, so it takes in a burst of one client without shutting out the others.
const BACKLOG: u32 = 4096;

/// What the system takes in of answers before their client takes them, in
/// bytes. Without it, whoever pipelines requests and reads nothing has this
/// process work on some hundred of them, and the system keep up to 4 MiB of
/// answers for each connection.
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
    // Connections of the process before, which the system still remembers,
    // do not keep this one from its address.
    socket.set_reuseaddr(true)?;
    // Those that it accepts have it from their listener.
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
