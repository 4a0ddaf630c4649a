//! A slow, unreliable service, and the shipped flow that delivers to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floodgate_prove::stand_in::{Options, StandIn};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::host::{DEADLINE, Ground, Site, repository};
use crate::services::Service;
use crate::support;

/// Answers late, or with an error, before it wrote and after.
pub fn unreliable() -> Options {
    Options {
        slow: 0.3,
        slow_for: Duration::from_millis(600),
        fail_before: 0.2,
        fail_after: 0.2,
        write_late: true,
        ..Options::default()
    }
}

/// A stand-in of this process.
pub struct Downstream {
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Downstream {
    pub async fn start(options: Options) -> Self {
        Self::at("127.0.0.1:0", options).await
    }

    pub async fn at(address: &str, options: Options) -> Self {
        let stand_in = StandIn::bind(address.parse().unwrap(), options).await;
        Self::serve(stand_in.unwrap())
    }

    /// The port may be in use for a moment longer.
    pub async fn eventually_at(address: &str) -> Self {
        support::eventually_some(DEADLINE, "the port is free", async || {
            let stand_in = StandIn::bind(address.parse().unwrap(), Options::default()).await;
            stand_in.ok().map(Self::serve)
        })
        .await
    }

    fn serve(stand_in: StandIn) -> Self {
        Self {
            url: format!("http://{}", stand_in.local_addr().unwrap()),
            serving: tokio::spawn(stand_in.run()),
        }
    }

    pub async fn stats(&self) -> Value {
        let url = format!("{}/stats", self.url);
        let (_, _, answer) = support::request("GET", &url, &[], String::new()).await;
        serde_json::from_slice(&answer).unwrap()
    }
}

/// The flow `posting` with short times, before a downstream at `url`.
pub async fn posting(url: &str, attempts: u32) -> Site {
    posting_on(Ground::servers().await, url, attempts)
}

pub fn posting_on(ground: Ground, url: &str, attempts: u32) -> Site {
    let site = Service::site_on(ground, &["posting"]);
    site.rewrite_flow("posting", |text| {
        text.replace("http://localhost:8080", url)
            .replace("timeout = \"30s\"", "timeout = \"500ms\"")
            .replace("quiet = \"60s\"", "quiet = \"700ms\"")
            .replace("first = \"1s\"", "first = \"50ms\"")
            .replace("attempts = 10", &format!("attempts = {attempts}"))
    });
    site
}

pub fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Posts one to the flow `posting`.
pub async fn post(service: &Service, number: usize) {
    let body = json!({
        "id": id(number), "amount": 100.5, "currency": "usd", "description": "rent",
        "timestamp": "2026-01-02T03:04:05Z", "metadata": {},
    });
    let (status, _, answer) = service.post("/api/transactions", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["status"], "pending");
}

/// A service that answers as its test says.
pub struct Scripted {
    pub url: String,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

/// What is answered to a method and a path: the status line from the code on,
/// and headers; `None`: nothing, ever.
type Script = Box<dyn Fn(&str, &str) -> Option<&'static str> + Send>;

struct Seen {
    script: Mutex<Script>,
    /// Such as `GET /transactions/7`.
    requests: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Scripted {
    pub async fn start(
        script: impl Fn(&str, &str) -> Option<&'static str> + Send + 'static,
    ) -> Self {
        Self::serve("http", script, |stream| async { Some(stream) }).await
    }

    /// Over TLS, with a certificate that the authority of `tests/tls` gave for
    /// 127.0.0.1.
    pub async fn over_tls(
        script: impl Fn(&str, &str) -> Option<&'static str> + Send + 'static,
    ) -> Self {
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(tls("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(tls("server.key")).unwrap(),
            );
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let accept = move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.ok() }
        };
        Self::serve("https", script, accept).await
    }

    async fn serve<S, F>(
        scheme: &str,
        script: impl Fn(&str, &str) -> Option<&'static str> + Send + 'static,
        accept: impl Fn(TcpStream) -> F + Send + Clone + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Option<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            script: Mutex::new(Box::new(script)),
            requests: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let told = seen.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (accept, told) = (accept.clone(), told.clone());
                connections.spawn(async move {
                    if let Some(stream) = accept(stream).await {
                        told.answer(stream).await;
                    }
                });
            }
        });
        Self { url, seen, serving }
    }

    pub fn script(&self, script: impl Fn(&str, &str) -> Option<&'static str> + Send + 'static) {
        *self.seen.script.lock().unwrap() = Box::new(script);
    }

    /// Requests so far that begin with this, such as `POST`.
    pub fn count(&self, with: &str) -> usize {
        let requests = self.seen.requests.lock().unwrap();
        requests.iter().filter(|one| one.starts_with(with)).count()
    }

    /// The most that it answered at a time since nothing was under way.
    pub async fn most_at_once(&self, while_: impl Future<Output = ()>) -> usize {
        support::eventually(DEADLINE, "nothing is under way", async || {
            self.seen.now.load(Ordering::SeqCst) == 0
        })
        .await;
        self.seen.most.store(0, Ordering::SeqCst);
        while_.await;
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Seen {
    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = vec![0; 8192];
        let read = stream.read(&mut request).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&request[..read]);
        let mut words = head.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return;
        };
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.requests
            .lock()
            .unwrap()
            .push(format!("{method} {path}"));
        let answer = (self.script.lock().unwrap())(method, path);
        if let Some(answer) = answer {
            // Long enough to be seen beside others.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let answer =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _gone = stream.write_all(answer.as_bytes()).await;
            let _gone = stream.shutdown().await;
        } else {
            // Until the client hangs up.
            let _gone = stream.read(&mut request).await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A file of `tests/tls`.
pub fn tls(name: &str) -> PathBuf {
    repository().join("host/floodgate/tests/tls").join(name)
}

#[tokio::test]
async fn the_stand_in_forgets_everything_when_it_is_told_to() {
    let downstream = Downstream::start(Options::default()).await;
    let ask = async |method: &str, path: &str, body: String| {
        let url = format!("{}{path}", downstream.url);
        support::request(method, &url, &[], body).await.0
    };
    let (path, body) = (format!("/transactions/{}", id(1)), json!({ "id": id(1) }));
    let written = ask("POST", "/transactions", body.to_string()).await;
    assert_eq!(written, StatusCode::CREATED);
    assert_eq!(ask("GET", &path, String::new()).await, StatusCode::OK);
    assert_eq!(ask("POST", "/cleanup", String::new()).await, StatusCode::OK);
    let gone = ask("GET", &path, String::new()).await;
    assert_eq!(gone, StatusCode::NOT_FOUND);
    assert_eq!(downstream.stats().await["accepted"], 0);
}
