//! What one client may hold: connections, bytes, and for how long.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::*;
use floodgate_http::{Limits, Listener};

pub(super) async fn with_limits(change: impl FnOnce(&mut Limits)) -> Front {
    let mut options = Options::default();
    change(&mut options.limits);
    Front::with(options).await
}

impl Front {
    /// A connection from 127.0.0.`host`.
    pub(super) async fn from(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let address = Ipv4Addr::new(127, 0, 0, host);
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    pub(super) async fn begun_from(&self, host: u8, begun: &str) -> TcpStream {
        let mut stream = self.from(host).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream
    }

    /// Whether a post of its own is accepted; not where it is not answered.
    async fn accepts(&self, host: u8, body: String) -> bool {
        let stream = TokioIo::new(self.from(host).await);
        let Ok((mut requests, connection)) = http1::handshake(stream).await else {
            return false;
        };
        tokio::spawn(connection);
        let answer = within_deadline(requests.send_request(post(body))).await;
        answer.is_ok_and(|answer| answer.status() == 202)
    }

    async fn until_accepts(&self, host: u8, body: String) {
        within_deadline(async {
            while !self.accepts(host, body.clone()).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    pub(super) async fn until_held(&self, bytes: usize) {
        within_deadline(async {
            while self.budget.held() < bytes {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// The status line of what the server says; nothing where it closes.
pub(super) async fn status(stream: &mut TcpStream) -> String {
    let mut said = [0; 12];
    match within_deadline(stream.read_exact(&mut said)).await {
        Ok(_) => String::from_utf8_lossy(&said).into_owned(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn half_heads_make_room_for_requests_of_the_same_peer_and_of_others() {
    let front = with_limits(|limits| {
        limits.connections = 8;
        limits.of_one_peer = 4;
    })
    .await;
    let mut held = Vec::new();
    for host in [1, 2] {
        for _ in 0..4 {
            held.push(
                front
                    .begun_from(host, "POST /transactions HTTP/1.1\r\n")
                    .await,
            );
        }
    }
    front.until_accepts(1, body(1)).await;
    front.until_accepts(3, body(2)).await;
}

#[tokio::test]
async fn a_peer_has_no_more_connections_at_work_than_its_limit_and_others_have_theirs() {
    let front = with_limits(|limits| limits.of_one_peer = 2).await;
    front.backbone.hold();
    let request = |number| {
        let body = body(number);
        let length = body.len();
        format!("POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let mut at_work = Vec::new();
    for number in 0..2 {
        at_work.push(front.begun_from(1, &request(number)).await);
    }
    front.backbone.until_calls_began(1).await;
    let mut refused = front.from(1).await;
    assert_eq!(status(&mut refused).await, "", "it is closed");
    let health = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut other = front.begun_from(2, health).await;
    assert_eq!(status(&mut other).await, "HTTP/1.1 200");
    front.backbone.release();
    for mut stream in at_work {
        assert_eq!(status(&mut stream).await, "HTTP/1.1 202");
    }
}

#[tokio::test]
async fn connections_that_come_all_at_once_are_counted_before_any_is_served() {
    let front = with_limits(|limits| limits.of_one_peer = 2).await;
    // The server runs on the thread of this test, so it accepts no connection before
    // all of them have been made.
    let burst: Vec<_> = (0..40)
        .map(|_| std::net::TcpStream::connect(front.address).unwrap())
        .collect();
    let mut held = Vec::new();
    for stream in burst {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        // If the server has closed the connection, writing to it may fail.
        let _closed = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        if status(&mut stream).await == "HTTP/1.1 200" {
            held.push(stream);
        }
    }
    assert_eq!(held.len(), 2);
}

#[tokio::test]
async fn whoever_takes_nothing_of_its_answers_loses_the_connection() {
    let front = with_limits(|limits| limits.stalled = Duration::from_millis(200)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(front.address).await.unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let broken_off = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    within_deadline(broken_off).await;
}

#[tokio::test]
async fn whoever_takes_nothing_over_http2_loses_the_connection_though_it_speaks() {
    let front = with_limits(|limits| {
        limits.head_timeout = Duration::from_millis(200);
        limits.stalled = Duration::from_millis(200);
    })
    .await;
    let stream = TokioIo::new(front.from(1).await);
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(1);
    let (mut requests, connection) = client.handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let url = format!("http://{}/openapi.json", front.address);
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    let answer = within_deadline(requests.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let _ended = within_deadline(connection).await.unwrap();
    drop(answer);
}

#[tokio::test]
async fn whoever_shuts_down_its_writing_side_gets_its_answer() {
    let front = Front::start().await;
    front.backbone.hold();
    let body = body(1);
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut stream = front.begun_from(1, &request).await;
    stream.shutdown().await.unwrap();
    front.backbone.until_calls_began(1).await;
    // The end of its writing side arrives while the request is at work.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    front.backbone.release();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 202");
}

#[tokio::test]
async fn a_body_that_trickles_makes_room_for_one_that_comes() {
    let front = Front::with(Options {
        budget: Budget::new(256 << 10),
        ..Options::default()
    })
    .await;
    let head = "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n";
    let begun = format!("{head}{}", " ".repeat(50_000));
    let mut trickling = Vec::new();
    for host in 2..5 {
        trickling.push(front.begun_from(host, &begun).await);
    }
    front.until_held(3 * 60_000).await;
    let large = body(1) + &" ".repeat(60_000);
    front.until_accepts(1, large).await;
    let refused = async {
        let waiting = trickling.iter_mut().map(|stream| Box::pin(status(stream)));
        futures_util::future::select_all(waiting).await.0
    };
    assert_eq!(refused.await, "HTTP/1.1 503");
    // What is small and comes whole has room that the others have not.
    assert!(front.accepts(1, body(2)).await);
}

#[tokio::test]
async fn what_was_held_of_a_body_is_given_back() {
    let front = Front::start().await;
    for (number, status) in [(1, 202), (1, 202)] {
        assert_eq!(front.post(body(number)).await.status, status);
    }
    assert_eq!(front.post("{}").await.status, 422);
    let large = body(2) + &" ".repeat(60_000);
    assert_eq!(front.post(large).await.status, 202);
    let given_back = async {
        while front.budget.held() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within_deadline(given_back).await;
}

#[tokio::test]
async fn an_http2_connection_holds_what_its_windows_may() {
    let front = Front::start().await;
    let stream = TokioIo::new(front.from(1).await);
    let (mut requests, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut request = post(body(1));
    *request.uri_mut() = format!("http://{}/transactions", front.address)
        .parse()
        .unwrap();
    request.headers_mut().remove("host");
    let answer = within_deadline(requests.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(front.budget.held(), 256 << 10);
    drop((requests, answer));
    connection.abort();
    let given_back = async {
        while front.budget.held() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within_deadline(given_back).await;
}

#[tokio::test]
async fn whoever_reads_nothing_has_few_answers_made() {
    const ASKED: usize = 1_000;
    let limits = Limits {
        stalled: Duration::from_millis(200),
        ..Options::default().limits
    };
    let listener = Listener::bind("test", ([127, 0, 0, 1], 0).into(), limits).unwrap();
    let address = listener.local_addr();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.run(stop.clone(), move |_| {
        let made = Arc::clone(&counted);
        move |_| {
            made.fetch_add(1, Ordering::Relaxed);
            let answer = Full::new(Bytes::from_static(&[b' '; 16 << 10]));
            std::future::ready(hyper::Response::new(answer))
        }
    }));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let requests = "GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(ASKED);
    let broken_off = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    within_deadline(broken_off).await;
    let made = made.load(Ordering::Relaxed);
    assert!((1..50).contains(&made), "{made} answers were made");
    stop.cancel();
    within_deadline(serving).await.unwrap();
}

/// Large bodies have threads of their own. While all of these are busy, another
/// large body waits, and a small one is checked at once.
#[tokio::test]
async fn a_large_body_is_checked_apart_from_the_threads_that_answer_others() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
    let flows = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
    let flow = file("transactions.toml").replace("# max_body = \"64KiB\"", "max_body = \"16MiB\"");
    let flow = &flow[..flow.find("[[query]]").unwrap_or(flow.len())];
    for (name, text) in [
        ("transactions.toml", flow),
        (
            "transactions.schema.json",
            &file("transactions.schema.json"),
        ),
    ] {
        std::fs::write(flows.path().join(name), text).unwrap();
    }
    let front = Front::of(flows.path(), Archive::nowhere(), Options::default()).await;
    let checking = &front.ingest.checking;
    let places = checking.available_permits() as u32;
    let taken = checking.acquire_many(places).await.unwrap();
    let large = body(1) + &" ".repeat(15 << 20);
    let size = large.len();
    let mut client = front.client().await;
    let large = tokio::spawn(async move { client.send(post(large)).await });
    front.until_held(size).await;
    for number in 2..50 {
        assert_eq!(front.post(body(number)).await.status, StatusCode::ACCEPTED);
    }
    assert!(!large.is_finished());
    drop(taken);
    let answer = within_deadline(large).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}
