//! What heads of requests may hold.

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;

use super::limits::{status, with_limits};
use super::*;

fn begun_head(bytes: usize) -> String {
    let start = "GET /healthz HTTP/1.1\r\nhost: x\r\nx-filler: ";
    format!("{start}{}", "a".repeat(bytes - start.len()))
}

/// What is uncounted (8 KiB) and a quarter of the limit are 40 KiB.
#[tokio::test]
async fn large_heads_are_held_within_a_limit_of_which_a_peer_has_a_quarter() {
    let front = with_limits(|limits| limits.heads = 128 << 10).await;
    let mut first = front.begun_from(2, &begun_head(36 << 10)).await;
    // Nearly all heads are as small as this.
    let whole = |bytes| format!("{}\r\n\r\n", begun_head(bytes));
    let mut small = front.begun_from(2, &whole(6 << 10)).await;
    assert_eq!(status(&mut small).await, "HTTP/1.1 200");
    // There is no room for another large one of this peer.
    let mut second = front.from(2).await;
    // It may be closed before all of it is written.
    let _written = second.write_all(begun_head(30 << 10).as_bytes()).await;
    assert_eq!(status(&mut second).await, "");
    let mut other = front.begun_from(3, &whole(36 << 10)).await;
    assert_eq!(status(&mut other).await, "HTTP/1.1 200");
    first.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(status(&mut first).await, "HTTP/1.1 200");
}

#[tokio::test]
async fn what_a_head_held_is_given_back_once_its_request_is_answered() {
    let front = with_limits(|limits| limits.heads = 128 << 10).await;
    let mut client = front.client().await;
    for _ in 0..8 {
        let mut request = request("GET", "/healthz");
        let filler = "a".repeat(30 << 10).parse().unwrap();
        request.headers_mut().insert("x-filler", filler);
        assert_eq!(client.send(request).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_http2_request_holds_its_head_of_the_budget_until_it_is_answered() {
    let front = Front::start().await;
    let stream = TokioIo::new(front.from(2).await);
    let executor = TokioExecutor::new();
    let (mut requests, connection) = http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    front.backbone.hold();
    let filler = "a".repeat(12 << 10);
    let mut request = post(body(1));
    *request.uri_mut() = format!("http://{}/transactions", front.address)
        .parse()
        .unwrap();
    request.headers_mut().remove("host");
    let filler = filler.parse().unwrap();
    request.headers_mut().insert("x-filler", filler);
    let answer = tokio::spawn(requests.send_request(request));
    front.until_held((256 << 10) + (12 << 10)).await;
    front.backbone.release();
    let answer = within_deadline(answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
}
