//! Accepts connections and serves HTTP on them, within limits of number and
//! time: of all connections, of those of one peer, of a head, of an answer that
//! is not taken.

mod limiter;
mod next;
mod open;
mod stream;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::DATE;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::limiter::{Knocking, Limiter};
use self::next::{accept, listen};
use self::stream::Watched;
use super::budget::WINDOWS;
use super::heads::Heads;
use super::{Activity, Answer, Proxies, Visit, date};

/// The size of the largest head over HTTP/1, in bytes. hyper answers 431 to a larger one.
const LARGEST_HEAD: usize = 64 << 10;

/// How many connections are refused before other tasks run. To close a connection may
/// take longer than to answer a request. If other tasks ran after each refusal, the
/// queue of the listening socket would fill up.
const REFUSED_AT_A_TIME: usize = 16;

/// Limits that keep slow or many clients from using up a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time. Beyond it, those that do nothing are closed, and
    /// clients wait in the listening socket's queue.
    pub connections: usize,
    /// Of these, how many one peer may have. Beyond it, those of that peer that
    /// do nothing are closed, or else the new one is.
    pub of_one_peer: usize,
    /// How long a request's head may take; also how long a kept-alive
    /// HTTP/1.1 connection may be idle.
    pub head_timeout: Duration,
    /// The most bytes that the heads of HTTP/1 requests may take up together,
    /// without the first 8 KiB of each. One peer may have a quarter of them. A
    /// connection that sends more is closed.
    pub heads: usize,
    /// How long a client may take nothing of its answer.
    pub stalled: Duration,
    /// How long requests in flight may take once a stop has begun.
    pub drain_timeout: Duration,
    /// Whether HTTP/2 is spoken with clients that begin with it.
    pub http2: bool,
    /// Whether a client that shuts down its writing side after a request gets
    /// its answer. One that is gone looks the same until an answer is written,
    /// so its request goes on for that long.
    pub half_close: bool,
    /// Proxies that are believed when they say for whom they speak.
    pub proxies: Proxies,
}

/// A listening socket, and what serves its connections.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    limits: Limits,
    name: &'static str,
}

impl Listener {
    /// Listens at the address; `name` is what its metrics are labelled with.
    ///
    /// # Errors
    /// Where the system does not let it, such as for a port that is taken.
    pub fn bind(name: &'static str, address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let tcp = listen(address)?;
        Ok(Self {
            address: tcp.local_addr()?,
            tcp,
            limits,
            name,
        })
    }

    /// Returns the address on which this server listens. For port 0 the port is
    /// the one that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then accepts nothing more, finishes the requests in
    /// flight and cuts off those that outlast the drain timeout. `service` makes
    /// for each connection what answers its requests.
    pub async fn run<M, S, F, B>(self, stop: CancellationToken, service: M)
    where
        M: Fn(&Arc<Visit>) -> S + Send + Sync + 'static,
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let shared = Arc::new(Shared::new(self.name, self.limits));
        let service = Arc::new(service);
        let mut open = JoinSet::new();
        // Accepted, and waiting for room.
        let mut next = None;
        let mut refused = 0_usize;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = open.join_next(), if !open.is_empty() => {
                    if let Err(error) = ended {
                        error!(%error, "connection task died");
                    }
                }
                accepted = accept(&self.tcp), if next.is_none() => {
                    next = shared.limiter.knock(accepted);
                    refused += usize::from(next.is_none());
                    if refused == REFUSED_AT_A_TIME {
                        refused = 0;
                        tokio::task::yield_now().await;
                    }
                }
                permit = shared.limiter.room(), if next.is_some() => {
                    let Some(knocking) = next.take() else { continue };
                    let serve = Arc::clone(&shared).serve(knocking, &service, &stop);
                    open.spawn(async move {
                        serve.await;
                        drop(permit);
                    });
                }
            }
        }
        drop(self.tcp);
        finish(open, shared.limits.drain_timeout).await;
    }
}

async fn finish(mut open: JoinSet<()>, drain_timeout: Duration) {
    if !drain_timeout.is_zero() {
        info!(connections = open.len(), "finishing requests in flight");
        let drained = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            warn!(
                connections = open.len(),
                "cutting off requests that did not finish"
            );
        }
    }
    open.shutdown().await;
}

/// What all connections share.
struct Shared {
    http: auto::Builder<TokioExecutor>,
    limits: Limits,
    limiter: Limiter,
    heads: Arc<Heads>,
}

impl Shared {
    fn new(name: &'static str, limits: Limits) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        if !limits.http2 {
            http = http.http1_only();
        }
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            // Whoever shuts down its writing side waits for the answer.
            .half_close(limits.half_close)
            .max_buf_size(LARGEST_HEAD);
        // Pings tell an idle client from one that is gone. The windows are what
        // a connection makes this process hold before anybody reads it.
        http.http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(64 << 10)
            .initial_connection_window_size(WINDOWS as u32)
            .max_concurrent_streams(100)
            .max_header_list_size(16 << 10)
            .max_send_buf_size(64 << 10)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        Self {
            limiter: Limiter::new(name, &limits),
            heads: Heads::new(limits.heads),
            http,
            limits,
        }
    }

    fn serve<M, S, F, B>(
        self: Arc<Self>,
        knocking: Knocking,
        service: &Arc<M>,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        M: Fn(&Arc<Visit>) -> S + Send + Sync + 'static,
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (service, stop) = (Arc::clone(service), stop.child_token());
        async move {
            let Some(knocking) = self.limiter.introduced(knocking).await else {
                return;
            };
            let Knocking {
                stream,
                visit,
                place: _place,
            } = knocking;
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "client left at once");
                return;
            }
            let activity = Arc::new(Activity::of(Arc::clone(&visit.peer)));
            let _entered = self.limiter.enter(&activity);
            let head = self.heads.of(&activity);
            let large_heads = self.limiter.meter.large_heads.clone();
            let stalled = self.limits.stalled;
            let stream = Watched::new(stream, stalled, Arc::clone(&activity), head, large_heads);
            tokio::select! {
                biased;
                () = activity.is_cut() => {}
                () = self.drive(stream, service(&visit), &activity, stop) => {}
            }
        }
    }

    async fn drive<S, F, B>(
        &self,
        stream: Watched,
        service: S,
        activity: &Arc<Activity>,
        stop: CancellationToken,
    ) where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let answering = service_fn(|request| answered(service.clone(), request, activity));
        let stream = TokioIo::new(stream);
        let mut connection = pin!(self.http.serve_connection(stream, answering));
        // hyper's own timeout starts only when it knows the protocol, and
        // HTTP/2 has none; nor does it tell a client that takes no answer.
        let mut look = pin!(tokio::time::sleep(self.limits.head_timeout));
        let mut looking = true;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "connection broke off");
                    }
                    return;
                }
                () = stop.cancelled() => break,
                () = look.as_mut(), if looking => {
                    if !activity.has_asked() {
                        return;
                    }
                    if activity.is_stuck(self.limits.stalled) {
                        self.limiter.meter.stalled();
                        return;
                    }
                    looking = activity.speaks_http2();
                    look.as_mut().reset(Instant::now() + self.limits.stalled / 2);
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        if let Err(error) = connection.await {
            debug!(%error, "connection broke off");
        }
    }
}

/// Answers one request; what is awaited is made in its place, and not copied.
fn answered<S, F, B>(
    service: S,
    request: Request<Incoming>,
    activity: &Arc<Activity>,
) -> impl Future<Output = Result<Response<Answer<B>>, Infallible>> + Send + 'static
where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    let activity = Arc::clone(activity);
    async move {
        let http2 = request.version() == Version::HTTP_2;
        let serving = activity.begin(http2);
        let mut response = service(request).await;
        drop(serving);
        if let Some(date) = date::now() {
            response.headers_mut().insert(DATE, date);
        }
        let untaken = http2.then(|| activity.offer());
        Ok(response.map(|body| Answer::new(body, untaken)))
    }
}
