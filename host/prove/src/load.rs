//! The good client: posts entries at a steady rate and remembers what it saw.

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
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, Order, PANIC};
use super::flows::ProvenFlow;
use super::reconcile::{Answer, Sent};
use super::waits::Waits;

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
    next_hostile: AtomicU64,
    /// Whether some entries tell their oracle to trap.
    pub trapping: AtomicBool,
    /// Requests that were answered with a refusal.
    pub refused: AtomicU64,
    /// Requests that were not answered.
    pub unanswered: AtomicU64,
    /// How long entries of the good client waited until they were accepted.
    pub waits: Waits,
    seen: Mutex<BTreeMap<String, (Entry, Answer)>>,
    /// Accepted entries of the flows that keep always, without a decision yet
    /// as far as anybody looked.
    undecided: Mutex<HashSet<String>>,
    /// Of these the one that was accepted last: its number and id.
    last_accepted: watch::Sender<Option<(u64, String)>>,
    /// When the request began that was accepted last on a connection of its own.
    last_newcomer: watch::Sender<Option<Instant>>,
}

impl Load {
    pub fn new(seed: u64, port: u16) -> Self {
        Self {
            seed,
            port,
            next: AtomicU64::new(0),
            next_hostile: AtomicU64::new(0),
            trapping: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            waits: Waits::default(),
            seen: Mutex::default(),
            undecided: Mutex::default(),
            last_accepted: watch::Sender::default(),
            last_newcomer: watch::Sender::default(),
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
        let regular: HttpClient = Client::builder(TokioExecutor::new()).build_http();
        let newcomer = newcomer();
        let period = Duration::from_secs(CONNECTIONS) / rate.max(1);
        let mut connections = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let is_new = connection == 0;
            let client = if is_new { &newcomer } else { &regular }.clone();
            let load = self.clone();
            let (stop, give_up) = (stop.clone(), give_up.clone());
            connections.spawn(async move {
                let mut ticks = interval(period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    let entry = load.next_entry();
                    let began = Instant::now();
                    let accepted = tokio::select! {
                        () = give_up.cancelled() => return,
                        accepted = load.post_until_answered(&client, entry) => accepted,
                    };
                    if accepted && is_new {
                        load.last_newcomer.send_replace(Some(began));
                    }
                }
            });
        }
        while connections.join_next().await.is_some() {}
    }

    fn next_entry(&self) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let of_good = ProvenFlow::GOOD.len() as u64;
        let flow = ProvenFlow::GOOD[(number % of_good) as usize];
        let traps = flow == ProvenFlow::KeepAlways
            && self.trapping.load(Ordering::Relaxed)
            && (number / of_good).is_multiple_of(TRAPS);
        let entry = Entry {
            flow,
            number,
            id: format!("{:x}-{number}", self.seed),
            order: if traps { Order::Trap } else { Order::Nothing },
        };
        // Before it is sent: whatever happens then, it is known.
        let noted = (entry.clone(), Answer::None);
        lock(&self.seen).insert(entry.id.clone(), noted);
        entry
    }

    /// An entry of the hostile client, for which nobody promises an answer.
    pub fn hostile_entry(&self, flow: ProvenFlow, order: Order) -> Entry {
        let number = self.next_hostile.fetch_add(1, Ordering::Relaxed);
        let begins = if order == Order::Panic { PANIC } else { "" };
        let entry = Entry {
            flow,
            number,
            id: format!("{begins}{:x}-hostile-{number}", self.seed),
            order,
        };
        let noted = (entry.clone(), Answer::Unawaited);
        lock(&self.seen).insert(entry.id.clone(), noted);
        entry
    }

    /// To be called for entries of the hostile client that were taken: they
    /// are held to what was promised like any other.
    pub fn hostile_accepted(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut seen = lock(&self.seen);
        for entry in entries {
            seen.insert(entry.id.clone(), (entry, Answer::Accepted));
        }
    }

    /// Returns whether it was accepted.
    async fn post_until_answered(&self, client: &HttpClient, entry: Entry) -> bool {
        let began = Instant::now();
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
        let accepted = answer == Answer::Accepted;
        if accepted {
            self.waits.add(began.elapsed());
        }
        if accepted && entry.flow.keeps_always() && entry.order == Order::Nothing {
            lock(&self.undecided).insert(entry.id.clone());
            self.last_accepted
                .send_replace(Some((entry.number, entry.id.clone())));
        }
        lock(&self.seen).insert(entry.id.clone(), (entry, answer));
        accepted
    }

    async fn post(&self, client: &HttpClient, entry: &Entry) -> anyhow::Result<StatusCode> {
        post(client, self.port, entry.flow, std::slice::from_ref(entry)).await
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
    /// accepted, of a flow that keeps always. `None` never comes: the
    /// sender is this load's own.
    pub async fn next_accepted(&self) -> Option<String> {
        let first = self.next.load(Ordering::Relaxed);
        let mut last = self.last_accepted.subscribe();
        let accepted = last.wait_for(|last| last.as_ref().is_some_and(|(at, _)| *at >= first));
        Some(accepted.await.ok()?.as_ref()?.1.clone())
    }

    /// Waits until somebody who comes from now on, on a connection of its
    /// own, was let in and had an entry accepted.
    pub async fn next_newcomer(&self) {
        let now = Instant::now();
        let mut last = self.last_newcomer.subscribe();
        // No error: the sender is this load's own.
        let _ = last
            .wait_for(|last| last.is_some_and(|began| began >= now))
            .await;
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

pub(super) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Comes anew with each request, so that it is seen who gets in.
pub(super) fn newcomer() -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http()
}

/// Posts entries of one flow: one, or to a flow of batches any number.
pub(super) async fn post(
    client: &HttpClient,
    port: u16,
    flow: ProvenFlow,
    entries: &[Entry],
) -> anyhow::Result<StatusCode> {
    let mut body = Vec::new();
    for entry in entries {
        if flow.is_batch() {
            body.push(if body.is_empty() { b'[' } else { b',' });
        }
        body.extend_from_slice(&entry.body());
    }
    if flow.is_batch() {
        body.push(b']');
    }
    let request = Request::post(format!("http://127.0.0.1:{port}/{}", flow.name()))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body))?;
    let response = client.request(request).await?;
    let status = response.status();
    // An answer that is cut short is none.
    response.into_body().collect().await?;
    Ok(status)
}

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
