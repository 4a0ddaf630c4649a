use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::guard::Guard;
use super::{Admin, Token, api, api::Body};
use floodgate_http::browser::{OWN_FILES, harden};
use floodgate_http::request_id::{request_id, tell_request_id};
use floodgate_http::{Limits, Listener, Proxies, Visit};
use floodgate_process::tasks::DASHBOARD;

/// A person with a few pages, a scraper and some scripts need a tenth of it.
/// Whoever opens more and does nothing with them makes room for others.
fn limits() -> Limits {
    Limits {
        connections: 256,
        of_one_peer: 64,
        // Also how long a connection may be idle.
        head_timeout: Duration::from_secs(10),
        heads: 4 << 20,
        stalled: Duration::from_secs(10),
        // A call that is cut off can be made again.
        drain_timeout: Duration::ZERO,
        http2: false,
        // A change whose caller hangs up is cut off, and written down as that.
        half_close: false,
        // Who calls is written down, and not taken from a header.
        proxies: Proxies::default(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("listen on {address}: {cause}; --admin takes another address for the admin API")]
    Listen {
        address: SocketAddr,
        cause: std::io::Error,
    },
    #[error(
        "the admin API on {0} could be reached by others and has no token: name one with \
         --admin-token-file or FLOODGATE_ADMIN_TOKEN, or keep --admin on loopback"
    )]
    NoToken(SocketAddr),
}

/// Serves the admin API.
pub struct Server {
    listener: Listener,
    calls: Arc<Calls>,
}

/// What all connections share.
struct Calls {
    admin: Admin,
    guard: Guard,
}

impl Server {
    /// # Errors
    /// Also where others could reach it without a token.
    pub fn bind(
        address: SocketAddr,
        token: Option<Token>,
        admin: Admin,
    ) -> Result<Self, BindError> {
        let guard = Guard::of(address, token).ok_or(BindError::NoToken(address))?;
        let failed = |cause| BindError::Listen { address, cause };
        let listener = Listener::bind("admin", address, limits());
        Ok(Self {
            listener: listener.map_err(failed)?,
            calls: Arc::new(Calls { admin, guard }),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Answers until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, calls } = self;
        let (admin, stopped) = (calls.admin.clone(), stop.clone());
        tokio::spawn(DASHBOARD.run(move || {
            let (admin, stopped) = (admin.clone(), stopped.clone());
            async move { admin.dashboard.produce(&admin, &stopped).await }
        }));
        let answering = move |visit: &Arc<Visit>| {
            let (calls, peer) = (Arc::clone(&calls), visit.address);
            move |request| Arc::clone(&calls).answer(request, peer)
        };
        listener.run(stop, answering).await;
    }
}

impl Calls {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let request_id = request_id(request.headers());
        let mut response = match self.guard.let_in(&request, &request_id, peer) {
            Ok(caller) => api::answer(&self.admin, &caller, request).await,
            Err(refusal) => refusal.response().map(Either::Left),
        };
        harden(response.headers_mut(), OWN_FILES);
        tell_request_id(&mut response, &request_id);
        response
    }
}
