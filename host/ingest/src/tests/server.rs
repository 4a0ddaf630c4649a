use std::io::ErrorKind;

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Impatient, for tests that wait until time is up.
fn impatient() -> Options {
    let mut options = Options {
        body_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    options.limits.head_timeout = Duration::from_millis(200);
    options
}

impl Front {
    async fn raw(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }
}

/// What the server says until it closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    match within_deadline(stream.read_to_end(&mut said)).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_body_that_trickles_in_is_408() {
    let front = Front::with(impatient()).await;
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n{";
    let said = rest(front.raw(head).await).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("sending it again is safe"), "{said}");
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let front = Front::with(impatient()).await;
    // Nothing, part of HTTP/1, part of what could be either, and HTTP/2 without a request.
    let h2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for begun in ["", "POST /transactions HTTP/1.1\r\nhost:", "PR", h2] {
        let mut stream = front.raw(begun).await;
        let mut said = Vec::new();
        let _closed = within_deadline(stream.read_to_end(&mut said)).await;
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{begun:?}");
    }
    assert_eq!(front.post(body(1)).await.status, 202);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_queued() {
    let front = Front::start().await;
    let whole = body(1);
    let head = format!(
        "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{whole}",
        whole.len() + 1
    );
    let mut stream = front.raw(&head).await;
    stream.shutdown().await.unwrap();
    let said = rest(stream).await;
    assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    assert!(front.backbone.groups().is_empty());
}

#[tokio::test]
async fn a_chunked_body_is_refused_as_soon_as_it_is_too_large() {
    let front = Front::start().await;
    let chunk = format!("{:x}\r\n{}\r\n", 4096, " ".repeat(4096));
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    // 17 of 16 chunks: and its end never comes.
    let mut stream = front.raw(&format!("{head}{}", chunk.repeat(17))).await;
    let mut said = vec![0; 12];
    within_deadline(stream.read_exact(&mut said)).await.unwrap();
    assert_eq!(said, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_declared_length_that_is_too_large_is_refused_before_the_body() {
    let front = Front::start().await;
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n";
    let said = rest(front.raw(head).await).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
}

#[tokio::test]
async fn a_chunked_body_in_many_pieces_is_admitted_whole() {
    let front = Front::start().await;
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = front.raw(head).await;
    for piece in body(1).as_bytes().chunks(7) {
        let chunk = format!(
            "{:x}\r\n{}\r\n",
            piece.len(),
            std::str::from_utf8(piece).unwrap()
        );
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    front.backbone.until_calls_began(1).await;
    let mut said = vec![0; 12];
    within_deadline(stream.read_exact(&mut said)).await.unwrap();
    assert_eq!(said, b"HTTP/1.1 202");
    assert_eq!(front.backbone.entry(&hash(1)).unwrap().body, body(1));
}

#[tokio::test]
async fn http2_works_without_being_negotiated() {
    let front = Front::start().await;
    let stream = TokioIo::new(TcpStream::connect(front.address).await.unwrap());
    let (requests, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let answers = (0..20).map(|number| {
        let mut requests = requests.clone();
        let mut request: Request<Full<Bytes>> = post(body(number));
        *request.uri_mut() = format!("http://{}/transactions", front.address)
            .parse()
            .unwrap();
        request.headers_mut().remove("host");
        async move { requests.send_request(request).await.unwrap().status() }
    });
    for status in within_deadline(futures_util::future::join_all(answers)).await {
        assert_eq!(status, 202);
    }
    assert_eq!(front.backbone.len(), 20);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_even_after_a_refusal() {
    let front = Front::start().await;
    let mut client = front.client().await;
    assert_eq!(client.send(post(body(1))).await.status, 202);
    assert_eq!(client.send(post("{}")).await.status, 422);
    assert_eq!(client.send(post(body(2))).await.status, 202);
}

#[tokio::test]
async fn shutdown_waits_for_a_request_in_flight_and_takes_no_new_ones() {
    let front = Front::start().await;
    let mut idle = front.client().await;
    idle.send(post(body(1))).await;
    front.backbone.hold();
    let mut client = front.client().await;
    let in_flight = tokio::spawn(async move { client.send(post(body(2))).await });
    front.backbone.until_calls_began(2).await;

    front.shutdown.cancel();
    let refused = async {
        while TcpStream::connect(front.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within_deadline(refused).await;
    assert!(!front.server.is_finished(), "a request is in flight");
    assert!(!in_flight.is_finished());

    front.backbone.release();
    assert_eq!(within_deadline(in_flight).await.unwrap().status, 202);
    within_deadline(front.server).await.unwrap();
    assert!(
        idle.requests.ready().await.is_err(),
        "idle connections are closed"
    );
}

#[tokio::test]
async fn shutdown_cuts_off_what_outlasts_its_deadline() {
    let mut options = Options::default();
    options.limits.drain_timeout = Duration::from_millis(50);
    let front = Front::with(options).await;
    front.backbone.hold();
    let mut client = front.client().await;
    let in_flight = tokio::spawn(async move { client.requests.send_request(post(body(1))).await });
    front.backbone.until_calls_began(1).await;
    front.shutdown.cancel();
    within_deadline(front.server).await.unwrap();
    assert!(within_deadline(in_flight).await.unwrap().is_err());
}

#[tokio::test]
async fn a_client_beyond_the_limit_waits_until_another_leaves() {
    let mut options = Options::default();
    options.limits.connections = 1;
    let front = Front::with(options).await;
    let mut first = front.client().await;
    assert_eq!(first.send(post(body(1))).await.status, 202);
    let mut second = front.client().await;
    let waiting = tokio::spawn(async move { second.send(post(body(2))).await });
    for number in 3..6 {
        assert_eq!(first.send(post(body(number))).await.status, 202);
    }
    assert!(front.backbone.entry(&hash(2)).is_none());
    drop(first);
    assert_eq!(within_deadline(waiting).await.unwrap().status, 202);
}

#[tokio::test]
async fn the_entry_of_a_client_that_hangs_up_stays_in_its_group() {
    let front = Front::start().await;
    front.backbone.hold();
    let mut client = front.client().await;
    let sent = tokio::spawn(async move { client.requests.send_request(post(body(1))).await });
    front.backbone.until_calls_began(1).await;
    sent.abort();
    let other = tokio::spawn({
        let mut client = front.client().await;
        async move { client.send(post(body(2))).await }
    });
    front.backbone.release();
    assert_eq!(within_deadline(other).await.unwrap().status, 202);
    let again = front.post(body(1)).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_taken_address_is_named_with_the_remedy() {
    let front = Front::start().await;
    let taken = Server::bind(front.address, Options::default(), Arc::clone(&front.ingest));
    let error = taken.err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("listen on {}: ", front.address)),
        "{error}"
    );
    assert!(error.contains("takes another address"), "{error}");
}
