//! The front end over real HTTP, in front of a backbone that the tests hold
//! in their hand.

mod batcher;
mod fake;
mod heads;
mod http;
mod limits;
mod proxies;
mod query;
mod server;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::fake::FakeBackbone;
use super::keys::KeyRing;
use super::{HealthReport, Ingest, Options, Part, Server};
use floodgate_archive_client::Archive;
use floodgate_backbone::Backbone;
use floodgate_flow::{Flow, FlowSet};
use floodgate_http::Budget;
use floodgate_http::origin::Origins;
use floodgate_ledger::{Ledger, Postgres};
use floodgate_readiness::{Asked, Readiness};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// The front end with the shipped flows.
pub(super) struct Front {
    address: SocketAddr,
    backbone: Arc<FakeBackbone>,
    pub(super) ingest: Arc<Ingest>,
    keys: Arc<ArcSwap<KeyRing>>,
    budget: Arc<Budget>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    _stop: DropGuard,
}

/// Nobody listens there.
fn no_ledger() -> Arc<dyn Ledger> {
    let nowhere = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
    Arc::new(Postgres::connect(nowhere, 1).unwrap())
}

impl Front {
    pub(super) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
        Self::of(&flows, Archive::nowhere(), options).await
    }

    /// With the flow files of a directory.
    async fn of(flows: &Path, archive: Archive, options: Options) -> Self {
        let backbone = Arc::new(FakeBackbone::default());
        let flows = Flow::load_dir(flows).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let flows: Vec<_> = flows.into_iter().map(Arc::new).collect();
        let asked = Arc::clone(&backbone);
        let health = Arc::new(move || {
            let redis = if asked.is_away() {
                Part::Error
            } else {
                Part::Ok
            };
            std::future::ready(HealthReport {
                redis,
                postgres: Part::Ok,
            })
            .boxed()
        });
        let dyn_backbone: Arc<dyn Backbone> = backbone.clone();
        let shutdown = CancellationToken::new();
        let readiness = Readiness {
            flows: watch::channel(FlowSet::default()).1,
            backbone: backbone.clone(),
            ledger: no_ledger(),
            admits: true,
            draining: shutdown.clone(),
            asked: Asked::default(),
        };
        let keys: Arc<ArcSwap<KeyRing>> = Arc::default();
        let ingest = Arc::new(Ingest::new(
            dyn_backbone,
            no_ledger(),
            Arc::new(archive),
            health,
            Arc::new(readiness),
            keys.clone(),
            Origins::default(),
        ));
        ingest.use_flows(&flows);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let budget = Arc::clone(&options.budget);
        let server = Server::bind(listen, options, Arc::clone(&ingest)).unwrap();
        let address = server.local_addr();
        Self {
            address,
            backbone,
            ingest,
            keys,
            budget,
            server: tokio::spawn(server.run(shutdown.clone())),
            _stop: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client { requests }
    }

    /// Sends one request on a connection of its own.
    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.client().await.send(request).await
    }

    async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.send(post(body)).await
    }
}

struct Client {
    requests: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.requests.ready().await.unwrap();
        let answer = async {
            let answer = self.requests.send_request(request).await.unwrap();
            let (head, body) = answer.into_parts();
            Answer {
                status: head.status,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        within_deadline(answer).await
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem document, which must fit the status.
    fn problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["type"].is_string() && problem["title"].is_string());
        problem
    }

    fn detail(&self) -> String {
        self.problem()["detail"].as_str().unwrap().to_owned()
    }
}

async fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("it hangs")
}

fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "floodgate");
    request.body(Full::default()).unwrap()
}

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = request("POST", "/transactions");
    *request.body_mut() = Full::new(body.into());
    request
}

fn hash(number: u64) -> String {
    format!("0x{number:064x}")
}

fn transaction(number: u64) -> Value {
    json!({
        "tx_hash": hash(number),
        "from_address": "0x00000000000000000000000000000000000000Aa",
        "to_address": "0x00000000000000000000000000000000000000bB",
        "value_eth": 12.5,
        "gas_price_gwei": 30,
        "input_data": "0x",
        "timestamp": 1_766_700_000,
    })
}

fn body(number: u64) -> String {
    transaction(number).to_string()
}
