//! What a hostile client does, and a person who makes a mistake.
//!
//! It comes from an address of its own: what is kept from it is not kept from
//! the good client, which shares a server with it and nothing else.

mod entries;
mod sockets;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::fault::{Done, HELD};
use super::flows::{MIN_AGE, MISTYPED_MIN_AGE, ProvenFlow};
use super::load::{HttpClient, Load};
use super::stage::Stage;

pub(super) use self::entries::{giant_batch, id_flood, panic_lane, poison};
pub(super) use self::sockets::{endless_bodies, half_heads, slow_readers};

/// Every address of 127.0.0.0/8 is this machine's own.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(IpAddr::V4(ADDRESS)));
    Client::builder(TokioExecutor::new()).build(connector)
}

/// A connection that takes in next to nothing of what it is not read for.
async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    socket.bind(SocketAddr::from((ADDRESS, 0)))?;
    socket.connect(([127, 0, 0, 1], port).into()).await
}

/// Waits until somebody who comes from now on is let in; returns whether that
/// took too long.
async fn shut_out(load: &Load) -> bool {
    timeout(HELD, load.next_newcomer()).await.is_err()
}

/// One flow has a setting of its oracle mistyped for a while. What it does to
/// the other flows with the same oracle is seen as well.
pub(super) async fn settings_typo(stage: &Stage, more: Duration) -> anyhow::Result<Done> {
    let lasts = Duration::from_secs(2) + more;
    stage.write_flow(ProvenFlow::Echo, MISTYPED_MIN_AGE)?;
    sleep(lasts).await;
    stage.write_flow(ProvenFlow::Echo, MIN_AGE)?;
    Done::of(format!("corrected after {lasts:.1?}"))
}
