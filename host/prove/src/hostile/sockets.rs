//! Connections that take and do not give.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::fault::{Done, HELD};
use super::super::flows::ProvenFlow;
use super::super::load::Load;
use super::super::stage::Stage;
use super::{connect, shut_out};

/// More than the api takes at a time.
const CONNECTIONS: usize = 300;

/// How long they are at it before anybody looks whether others get in.
const BEFORE: Duration = Duration::from_millis(1_500);

/// Between two bytes of what does not end.
const DRIP: Duration = Duration::from_millis(250);

/// Pipelined requests, none of whose answers is read.
pub(in super::super) async fn slow_readers(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    const REQUEST: &[u8] = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let requests = Bytes::from(REQUEST.repeat(200));
    let mut attack = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (port, requests) = (stage.api_port, requests.clone());
        attack.spawn(async move {
            let mut connection = connect(port).await?;
            connection.write_all(&requests).await?;
            until_closed(connection).await
        });
    }
    sleep(BEFORE).await;
    let shut_out = shut_out(load).await;
    done(
        format!("{CONNECTIONS} connections that read nothing"),
        shut_out,
    )
}

/// Heads that grow by a byte now and then, on both addresses of the api.
pub(in super::super) async fn half_heads(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    const HEAD: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ";
    let mut attack = JoinSet::new();
    for port in [stage.api_port, stage.admin_port] {
        for _ in 0..CONNECTIONS {
            attack.spawn(drip(port, Bytes::from_static(HEAD)));
        }
    }
    sleep(BEFORE).await;
    let (shut_out, operated) = tokio::join!(shut_out(load), is_operated(stage.admin_port));
    let what = match operated {
        true => format!("{CONNECTIONS} heads without an end, on both addresses"),
        false => format!(
            "{CONNECTIONS} heads without an end, and /healthz of the admin address was not answered"
        ),
    };
    done(what, shut_out || !operated)
}

/// Bodies that stop short of their end: connections of HTTP/1.1 that drip,
/// and streams of a few connections of HTTP/2 that do not go on.
pub(in super::super) async fn endless_bodies(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    const HTTP2: usize = 4;
    let port = stage.api_port;
    let head = format!(
        "POST /{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n[",
        ProvenFlow::Batch.name(),
        1 << 20,
    );
    let mut begun = head.into_bytes();
    begun.resize(begun.len() + (256 << 10), b' ');
    let begun = Bytes::from(begun);
    let mut attack = JoinSet::new();
    for _ in 0..CONNECTIONS {
        attack.spawn(drip(port, begun.clone()));
    }
    for _ in 0..HTTP2 {
        attack.spawn(streams(port));
    }
    sleep(BEFORE).await;
    let shut_out = shut_out(load).await;
    done(
        format!("{CONNECTIONS} connections and {HTTP2} of HTTP/2 whose bodies do not end"),
        shut_out,
    )
}

fn done(what: String, shut_out: bool) -> anyhow::Result<Done> {
    Ok(Done {
        what,
        version: None,
        shut_out,
    })
}

/// Sends `begun` and then a byte now and then. Ends when it is cut off.
async fn drip(port: u16, begun: Bytes) -> anyhow::Result<()> {
    let mut connection = connect(port).await?;
    connection.write_all(&begun).await?;
    loop {
        sleep(DRIP).await;
        connection.write_all(b" ").await?;
    }
}

/// Without reading anything.
async fn until_closed(connection: TcpStream) -> anyhow::Result<()> {
    loop {
        sleep(DRIP).await;
        connection.take_error()?;
    }
}

/// As many streams as the server allows, each with a body that stops.
async fn streams(port: u16) -> anyhow::Result<()> {
    const STREAMS: usize = 100;
    // The chunk is static, because making it would take time from the good client,
    // which runs on the same machine.
    static CHUNK: [u8; 64 << 10] = [b' '; 64 << 10];
    const CHUNKS: usize = 8;
    let connection = connect(port).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let mut answers = JoinSet::new();
    for _ in 0..STREAMS {
        let chunk = Bytes::from_static(&CHUNK);
        let chunks = stream::iter(std::iter::repeat_n(chunk, CHUNKS)).chain(stream::pending());
        let body = StreamBody::new(chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))));
        let request = Request::post(format!(
            "http://127.0.0.1:{port}/{}",
            ProvenFlow::Batch.name()
        ))
        .header("content-type", "application/json")
        .body(body)?;
        if sender.ready().await.is_err() {
            break;
        }
        answers.spawn(sender.send_request(request));
    }
    answers.join_all().await;
    connections.join_all().await;
    Ok(())
}

/// Whether somebody else is answered at the admin address in time.
async fn is_operated(port: u16) -> bool {
    let answered = async {
        while !is_answered(port).await.unwrap_or_default() {
            sleep(DRIP).await;
        }
    };
    timeout(HELD, answered).await.is_ok()
}

async fn is_answered(port: u16) -> anyhow::Result<bool> {
    const ASKS: Duration = Duration::from_secs(10);
    let url = format!("http://127.0.0.1:{port}/healthz");
    let client = super::super::load::newcomer();
    let request = Request::get(url).body(http_body_util::Full::default())?;
    let answer = timeout(ASKS, client.request(request)).await;
    let answer = answer.context("no answer in time")??;
    Ok(answer.status().is_success())
}
