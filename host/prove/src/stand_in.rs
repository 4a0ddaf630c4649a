//! A downstream that is slow and unreliable, for tests and for trying it out.
//!
//! It counts what a service must never see: the same entry written twice.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const LARGEST_BODY: usize = 16 << 20;

/// How unreliable it is. Shares are of all POSTs, from 0.0 to 1.0.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How long every answer takes
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// Share of POSTs that are slow
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub slow: f64,
    /// How long a slow POST takes
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub slow_for: Duration,
    /// Share of POSTs that fail and write nothing
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub fail_before: f64,
    /// Share of POSTs that write and then fail
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub fail_after: f64,
    /// A slow POST writes at the end, also when its client has hung up
    #[arg(long)]
    pub write_late: bool,
    /// The same Idempotency-Key writes once
    #[arg(long)]
    pub honour_idempotency_key: bool,
    /// The same seed fails in the same order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err("write 0.0 to 1.0".to_owned()),
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            slow: 0.0,
            slow_for: Duration::from_secs(5),
            fail_before: 0.0,
            fail_after: 0.0,
            write_late: false,
            honour_idempotency_key: false,
            seed: 1,
        }
    }
}

/// What it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Different ids that were written.
    pub accepted: u64,
    /// Times an id was written that was there already.
    pub duplicates: u64,
    pub posts: u64,
    pub asks: u64,
    pub slow: u64,
    pub failed_before: u64,
    pub failed_after: u64,
    /// The most POSTs at a time.
    pub most_at_once: u64,
}

pub struct StandIn {
    listener: TcpListener,
    service: Arc<Service>,
}

struct Service {
    options: Options,
    state: Mutex<State>,
}

struct State {
    written: HashMap<String, Bytes>,
    dice: StdRng,
    at_once: u64,
    stats: Stats,
}

/// What happens to one POST.
#[derive(Clone, Copy)]
struct Fate {
    slow: bool,
    fails_before: bool,
    fails_after: bool,
}

type Answer = Response<Full<Bytes>>;

impl StandIn {
    /// # Errors
    /// Where the address is taken.
    pub async fn bind(listen: SocketAddr, options: Options) -> io::Result<Self> {
        let state = State {
            written: HashMap::new(),
            dice: StdRng::seed_from_u64(options.seed),
            at_once: 0,
            stats: Stats::default(),
        };
        Ok(Self {
            listener: TcpListener::bind(listen).await?,
            service: Arc::new(Service {
                options,
                state: Mutex::new(state),
            }),
        })
    }

    /// # Errors
    /// Where the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until its future is dropped, and every connection with it.
    pub async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_ended) = connections.join_next() => continue,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let service = Arc::clone(&self.service);
            connections.spawn(async move {
                let answer = service_fn(move |request| {
                    let service = Arc::clone(&service);
                    async move { Ok::<_, Infallible>(service.answer(request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                // A client that hangs up is what this is about.
                let _gone = http.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }
}

impl Service {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().trim_matches('/').to_owned();
        match (request.method(), path.split_once('/')) {
            (&Method::GET, None) if path == "stats" => json(StatusCode::OK, &self.lock().stats),
            (&Method::GET, Some(("transactions", id))) => {
                tokio::time::sleep(self.options.delay).await;
                let mut state = self.lock();
                state.stats.asks += 1;
                let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
                match state.written.get(&*id) {
                    Some(body) => whole(StatusCode::OK, body.clone()),
                    None => json(StatusCode::NOT_FOUND, &"not here"),
                }
            }
            (&Method::POST, None) if path == "transactions" => self.post(request).await,
            (&Method::POST, None) if path == "cleanup" => {
                let mut state = self.lock();
                state.written.clear();
                state.stats = Stats::default();
                json(StatusCode::OK, &"forgotten")
            }
            _ => json(
                StatusCode::NOT_FOUND,
                &"GET /transactions/{id}, POST /transactions, GET /stats, POST /cleanup",
            ),
        }
    }

    async fn post(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let fate = self.begin();
        // A task of its own goes on when the client hangs up.
        let late = self.options.write_late;
        let writing = {
            let this = Arc::clone(&self);
            async move {
                let body = Limited::new(request.into_body(), LARGEST_BODY)
                    .collect()
                    .await;
                let pause = this.options.delay
                    + if fate.slow {
                        this.options.slow_for
                    } else {
                        Duration::ZERO
                    };
                if late {
                    tokio::time::sleep(pause).await;
                }
                let answer = match body {
                    Ok(body) => this.write(fate, &body.to_bytes()),
                    Err(_) => json(StatusCode::BAD_REQUEST, &"no body"),
                };
                if !late {
                    tokio::time::sleep(pause).await;
                }
                answer
            }
        };
        let answer = tokio::spawn(writing).await;
        self.lock().at_once -= 1;
        answer.unwrap_or_else(|_| json(StatusCode::INTERNAL_SERVER_ERROR, &"ended early"))
    }

    fn begin(&self) -> Fate {
        let mut state = self.lock();
        state.stats.posts += 1;
        state.at_once += 1;
        state.stats.most_at_once = state.stats.most_at_once.max(state.at_once);
        let mut roll = |share: f64| state.dice.random::<f64>() < share;
        let fate = Fate {
            slow: roll(self.options.slow),
            fails_before: roll(self.options.fail_before),
            fails_after: roll(self.options.fail_after),
        };
        state.stats.slow += u64::from(fate.slow);
        fate
    }

    fn write(&self, fate: Fate, body: &Bytes) -> Answer {
        let mut state = self.lock();
        if fate.fails_before {
            state.stats.failed_before += 1;
            return json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &"failed, nothing was written",
            );
        }
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(id) = parsed["id"].as_str() else {
            return json(StatusCode::BAD_REQUEST, &"the body has no id");
        };
        let known = state.written.contains_key(id);
        if !known {
            state.stats.accepted += 1;
            state.written.insert(id.to_owned(), body.clone());
        } else if !self.options.honour_idempotency_key {
            state.stats.duplicates += 1;
        }
        if fate.fails_after {
            state.stats.failed_after += 1;
            return json(StatusCode::INTERNAL_SERVER_ERROR, &"failed");
        }
        json(StatusCode::CREATED, &"written")
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    whole(status, serde_json::to_vec(value).unwrap_or_default().into())
}

fn whole(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Answer::new(Full::new(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
