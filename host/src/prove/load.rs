//! The client: posts entries at a steady rate and remembers what it saw.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::flows::{Entry, ProvenFlow};
use super::reconcile::{Answer, Sent};

/// Entries that are on their way at a time, at most.
const CONNECTIONS: u64 = 32;

/// No answer within this time is none.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a client waits until it sends again. Shorter than Retry-After
/// asks for, so that the moment of recovery is seen.
const AGAIN: Duration = Duration::from_millis(200);

/// Of the entries that may, one in so many tells its oracle to trap.
const TRAPS: u64 = 20;

pub(super) struct Load {
    seed: u64,
    port: u16,
    next: AtomicU64,
    /// Whether some entries tell their oracle to trap.
    pub trapping: AtomicBool,
    /// Requests that were answered with a refusal.
    pub refused: AtomicU64,
    /// Requests that were not answered.
    pub unanswered: AtomicU64,
    seen: Mutex<BTreeMap<String, (Entry, Answer)>>,
    /// Accepted entries of the flow that keeps always, without a decision yet
    /// as far as anybody looked.
    undecided: Mutex<HashSet<String>>,
    /// Of these the one that was accepted last: its number and id.
    last_accepted: watch::Sender<Option<(u64, String)>>,
}

impl Load {
    pub fn new(seed: u64, port: u16) -> Self {
        Self {
            seed,
            port,
            next: AtomicU64::new(0),
            trapping: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            seen: Mutex::default(),
            undecided: Mutex::default(),
            last_accepted: watch::Sender::default(),
        }
    }

    /// Posts `rate` entries per second until `stop`; then what is on its way
    /// is sent again until it is answered, or until `give_up`.
    pub async fn run(
        self: Arc<Self>,
        rate: u32,
        stop: CancellationToken,
        give_up: CancellationToken,
    ) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let period = Duration::from_secs(CONNECTIONS) / rate.max(1);
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (load, client) = (self.clone(), client.clone());
            let (stop, give_up) = (stop.clone(), give_up.clone());
            connections.spawn(async move {
                let mut ticks = interval(period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    let entry = load.next_entry();
                    tokio::select! {
                        () = give_up.cancelled() => return,
                        () = load.post_until_answered(&client, entry) => {}
                    }
                }
            });
        }
        while connections.join_next().await.is_some() {}
    }

    fn next_entry(&self) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let flow = ProvenFlow::ALL[(number % 2) as usize];
        let entry = Entry {
            flow,
            number,
            id: format!("{:x}-{number}", self.seed),
            traps: flow == ProvenFlow::KeepAlways
                && self.trapping.load(Ordering::Relaxed)
                && (number / 2).is_multiple_of(TRAPS),
        };
        // Before it is sent: whatever happens then, it is known.
        let noted = (entry.clone(), Answer::None);
        lock(&self.seen).insert(entry.id.clone(), noted);
        entry
    }

    async fn post_until_answered(&self, client: &HttpClient, entry: Entry) {
        let answer = loop {
            match timeout(ANSWER, self.post(client, &entry)).await {
                Ok(Ok(StatusCode::ACCEPTED)) => break Answer::Accepted,
                Ok(Ok(status)) if may_pass(status) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Ok(status)) => break Answer::Rejected(status.as_u16()),
                Ok(Err(_)) | Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
            sleep(AGAIN).await;
        };
        if entry.flow == ProvenFlow::KeepAlways && answer == Answer::Accepted && !entry.traps {
            lock(&self.undecided).insert(entry.id.clone());
            self.last_accepted
                .send_replace(Some((entry.number, entry.id.clone())));
        }
        lock(&self.seen).insert(entry.id.clone(), (entry, answer));
    }

    async fn post(&self, client: &HttpClient, entry: &Entry) -> anyhow::Result<StatusCode> {
        let url = format!("http://127.0.0.1:{}/{}", self.port, entry.flow.name());
        let request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(entry.body()))?;
        let response = client.request(request).await?;
        let status = response.status();
        // An answer that is cut short is none.
        response.into_body().collect().await?;
        Ok(status)
    }

    pub fn undecided(&self) -> HashSet<String> {
        lock(&self.undecided).clone()
    }

    pub fn decided(&self, ids: impl IntoIterator<Item = String>) {
        let mut undecided = lock(&self.undecided);
        for id in ids {
            undecided.remove(&id);
        }
    }

    /// Waits for an entry that is sent for the first time from now on and
    /// accepted, of the flow that keeps always. `None` never comes: the
    /// sender is this load's own.
    pub async fn next_accepted(&self) -> Option<String> {
        let first = self.next.load(Ordering::Relaxed);
        let mut last = self.last_accepted.subscribe();
        let accepted = last.wait_for(|last| last.as_ref().is_some_and(|(at, _)| *at >= first));
        Some(accepted.await.ok()?.as_ref()?.1.clone())
    }

    /// What the client knows of the entries of one flow.
    pub fn record(&self, flow: ProvenFlow) -> BTreeMap<String, Sent> {
        lock(&self.seen)
            .iter()
            .filter(|(_, (entry, _))| entry.flow == flow)
            .map(|(id, (entry, answer))| {
                let sent = Sent {
                    answer: *answer,
                    body: entry.body(),
                    fate: entry.fate(),
                };
                (id.clone(), sent)
            })
            .collect()
    }
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Whether the same request may be accepted later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one insert or one remove.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
