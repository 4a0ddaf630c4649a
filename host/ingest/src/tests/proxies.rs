//! Whom a front end takes a client for if a trusted proxy stands before it.

use tokio::io::AsyncWriteExt;

use super::limits::{status, with_limits};
use super::*;
use floodgate_http::{Limits, Proxies};

/// A front end behind a proxy on 127.0.0.9, with these limits.
async fn behind_a_proxy(change: impl FnOnce(&mut Limits)) -> Front {
    with_limits(|limits| {
        limits.proxies = Proxies::new(&["127.0.0.9/32".parse().unwrap()]);
        change(limits);
    })
    .await
}

fn health(headers: &str) -> String {
    format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn limits_of_a_peer_are_none_of_a_trusted_proxy_but_of_its_clients() {
    let front = behind_a_proxy(|limits| limits.of_one_peer = 1).await;
    front.backbone.hold();
    let mut at_work = Vec::new();
    for number in 0..3 {
        let body = body(number);
        let length = body.len();
        let head = "POST /transactions HTTP/1.1\r\nhost: x\r\n";
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        at_work.push(front.begun_from(9, &request).await);
    }
    front.backbone.until_calls_began(1).await;
    let mut one_more = front.begun_from(9, &health("")).await;
    assert_eq!(status(&mut one_more).await, "HTTP/1.1 200");
    front.backbone.release();
    for mut stream in at_work {
        assert_eq!(status(&mut stream).await, "HTTP/1.1 202");
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_may_say_for_whom_it_speaks() {
    let front = behind_a_proxy(|_| {}).await;
    let two = "forwarded: for=192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\n";
    let same = "forwarded: for=192.0.2.1\r\nx-forwarded-for: 192.0.2.1\r\n";
    for (host, headers, expected) in [(9, two, "400"), (9, same, "200"), (1, two, "200")] {
        let mut stream = front.begun_from(host, &health(headers)).await;
        let said = status(&mut stream).await;
        assert_eq!(said, format!("HTTP/1.1 {expected}"), "{host}: {headers}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client_of_a_connection() {
    let front = behind_a_proxy(|limits| limits.of_one_peer = 1).await;
    let mut header = Vec::new();
    let client = SocketAddr::from(([192, 0, 2, 1], 4711));
    let addresses = proxy_header::ProxiedAddress::stream(client, front.address);
    let made = proxy_header::ProxyHeader::with_address(addresses);
    made.encode_v2(&mut header).unwrap();
    front.backbone.hold();
    let body = body(1);
    let length = body.len();
    let request =
        format!("POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let begin = async |host| {
        let mut stream = front.from(host).await;
        // In pieces, as it may come.
        for piece in header.chunks(5) {
            let _refused_already = stream.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        stream
    };
    let mut first = begin(9).await;
    first.write_all(request.as_bytes()).await.unwrap();
    front.backbone.until_calls_began(1).await;
    let mut second = begin(9).await;
    second.write_all(health("").as_bytes()).await.unwrap();
    assert_eq!(status(&mut second).await, "", "its client has one already");
    let mut untrusted = begin(1).await;
    let _refused_already = untrusted.write_all(health("").as_bytes()).await;
    assert_ne!(status(&mut untrusted).await, "HTTP/1.1 200");
    front.backbone.release();
    assert_eq!(status(&mut first).await, "HTTP/1.1 202");
}
