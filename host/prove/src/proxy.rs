//! A wire between host and server that can be cut in mid-flight.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Whole,
    /// Requests arrive and answers are lost: what was done is not known.
    OneWay,
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Where new connections are made to.
    port: u16,
    wire: Wire,
    /// How often it was cut: a connection notices also what was over at once.
    cuts: u64,
}

/// Forwards TCP from a port of its own to a server. Its connections end with
/// this value.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// To `port` on loopback.
    pub async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("listen for a proxy")?;
        let address = listener.local_addr()?;
        let (sender, state) = watch::channel(State {
            port,
            wire: Wire::Whole,
            cuts: 0,
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, state));
        Ok(Self {
            address,
            state: sender,
            _accepting: accepting,
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Loses all answers for `deaf`, then cuts every connection and makes none
    /// for `away`.
    pub async fn cut(&self, deaf: Duration, away: Duration) {
        self.set(Wire::OneWay);
        tokio::time::sleep(deaf).await;
        self.set(Wire::Cut);
        tokio::time::sleep(away).await;
        self.set(Wire::Whole);
    }

    /// Makes new connections to this port on loopback; those that are there
    /// stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.state.send_modify(|state| state.port = port);
    }

    fn set(&self, wire: Wire) {
        self.state.send_modify(|state| {
            state.wire = wire;
            state.cuts += u64::from(wire == Wire::Cut);
        });
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let now = *state.borrow();
        if now.wire == Wire::Cut {
            continue;
        }
        let state = state.clone();
        connections.spawn(async move {
            // Whatever ends a connection, both ends are closed with it.
            let _ = forward(client, now.port, state, now.cuts).await;
        });
    }
}

async fn forward(
    client: TcpStream,
    port: u16,
    mut state: watch::Receiver<State>,
    cuts: u64,
) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answers = state.clone();
    tokio::select! {
        done = copy(from_client, to_server, || true) => done,
        done = copy(from_server, to_client, || answers.borrow().wire == Wire::Whole) => done,
        _ = state.wait_for(|state| state.cuts > cuts) => Ok(()),
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passes: impl Fn() -> bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if passes() {
            to.write_all(&buffer[..read]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte with the same byte.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = peer.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        port
    }

    async fn ask(proxy: &Proxy) -> std::io::Result<u8> {
        let mut connection = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        connection.write_u8(7).await?;
        connection.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_loses_the_answer_and_then_the_connection() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        assert_eq!(ask(&proxy).await.unwrap(), 7);
        proxy.set(Wire::OneWay);
        let asking = ask(&proxy);
        tokio::pin!(asking);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut asking).await;
        assert!(early.is_err(), "an answer came through: {early:?}");
        proxy.set(Wire::Cut);
        assert!(asking.await.is_err());
        assert!(ask(&proxy).await.is_err());
        proxy.set(Wire::Whole);
        assert_eq!(ask(&proxy).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_cut_that_is_over_at_once_still_ends_every_connection() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut connection = TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap();
        connection.write_u8(7).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 7);
        proxy.set(Wire::Cut);
        proxy.set(Wire::Whole);
        assert!(connection.read_u8().await.is_err());
    }
    #[tokio::test]
    async fn only_new_connections_are_made_to_another_server() {
        let (first, second) = (echo().await, silent().await);
        let proxy = Proxy::start(first).await.unwrap();
        let mut connection = TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap();
        connection.write_u8(7).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 7);
        proxy.lead_to(second);
        connection.write_u8(8).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 8);
        assert!(ask(&proxy).await.is_err());
    }

    /// Closes every connection.
    async fn silent() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        port
    }
}
