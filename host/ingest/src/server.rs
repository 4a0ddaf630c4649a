use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use super::visitor::Visitor;
use super::{Ingest, Response};
use floodgate_http::request_id::{name_if_nameless, request_id, tell_request_id};
use floodgate_http::{Budget, Limits, Listener, Proxies, Visit};
use floodgate_process::metrics::table;

/// How the front end deals with its clients.
#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// Bytes of requests that are held at a time.
    pub budget: Arc<Budget>,
    /// Which pages of other origins may use it; `None`: none.
    pub cors: Option<CorsLayer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits {
                connections: 10_000,
                of_one_peer: 2_500,
                head_timeout: Duration::from_secs(30),
                heads: 16 << 20,
                stalled: Duration::from_secs(30),
                drain_timeout: Duration::from_secs(20),
                http2: true,
                half_close: true,
                proxies: Proxies::default(),
            },
            body_timeout: Duration::from_secs(30),
            budget: Budget::new(256 << 20),
            cors: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {cause}; --listen takes another address for the front end")]
pub struct BindError {
    pub address: SocketAddr,
    cause: io::Error,
}

/// The HTTP front end: HTTP/1.1, and HTTP/2 for clients that begin with it.
pub struct Server {
    listener: Listener,
    ingest: Arc<Ingest>,
    budget: Arc<Budget>,
    body_timeout: Duration,
    cors: Option<CorsLayer>,
}

impl Server {
    pub fn bind(
        listen: SocketAddr,
        options: Options,
        ingest: Arc<Ingest>,
    ) -> Result<Self, BindError> {
        let Options {
            limits,
            body_timeout,
            budget,
            cors,
        } = options;
        let listener = Listener::bind("front-end", listen, limits);
        let listener = listener.map_err(|cause| BindError {
            address: listen,
            cause,
        })?;
        Ok(Self {
            listener,
            ingest,
            budget,
            body_timeout,
            cors,
        })
    }

    /// Where it listens; the port is the one the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`; then accepts nothing more, finishes the
    /// requests in flight and cuts off those that outlast the drain timeout.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            listener,
            ingest,
            budget,
            body_timeout,
            cors,
        } = self;
        let telling = tell(Arc::clone(&budget));
        let answering = move |visit: &Arc<Visit>| {
            let visitor = Arc::new(Visitor::new(visit, &budget, body_timeout));
            let ingest = Arc::clone(&ingest);
            move |request| answer(Arc::clone(&ingest), request, Arc::clone(&visitor))
        };
        let Some(cors) = cors else {
            return tokio::select! {
                () = listener.run(shutdown, answering) => {}
                () = telling => {}
            };
        };
        let with_cors = move |visit: &Arc<Visit>| {
            let answer = answering(visit);
            let answer = tower::service_fn(move |request| {
                let answer = answer(request);
                async { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let service = cors.layer(answer).map_response(name_if_nameless);
            move |request| {
                let service = service.clone();
                async move {
                    let Ok(response) = service.oneshot(request).await;
                    response
                }
            }
        };
        tokio::select! {
            () = listener.run(shutdown, with_cors) => {}
            () = telling => {}
        }
    }
}

/// Tells how much is in flight.
async fn tell(budget: Arc<Budget>) {
    table::IN_FLIGHT_LIMIT.of([]).set(budget.limit() as f64);
    let in_flight = table::IN_FLIGHT.of([]);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        in_flight.set(budget.held() as f64);
    }
}

async fn answer(
    ingest: Arc<Ingest>,
    request: Request<Incoming>,
    visitor: Arc<Visitor>,
) -> Response {
    let may_speak = visitor.may_speak(request.version());
    let behind = visitor.behind(request.headers()).transpose();
    let behind = may_speak.and(behind);
    let behind = behind.and_then(|behind| {
        let from = behind.as_ref().unwrap_or(&visitor);
        let head = from.hold_head(&request)?;
        Ok((behind, head))
    });
    match behind {
        Ok((None, _head)) => ingest.answer(request, &visitor).await,
        Ok((Some(behind), _head)) => ingest.answer(request, &behind).await,
        Err(refusal) => {
            let request_id = request_id(request.headers());
            let mut response = refusal.answer(&request_id);
            tell_request_id(&mut response, &request_id);
            response
        }
    }
}
