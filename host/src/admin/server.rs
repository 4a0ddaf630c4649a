use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::guard::Guard;
use super::{Admin, Token, api};
use crate::browser::{OWN_FILES, harden};
use crate::request_id::{request_id, tell_request_id};
use crate::tasks::DASHBOARD;

/// Beyond it, clients wait in the listening socket's queue. A person with a
/// few pages, a scraper and some scripts need a tenth of it.
const MAX_CONNECTIONS: usize = 256;

/// How long the head of a call may take; also how long a connection may be idle.
/// It holds from the start of a connection, since nothing but HTTP/1.1 is spoken.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take nothing of its answer. Connections are few, and
/// whoever holds them all shuts the address for everybody.
const STALLED: Duration = Duration::from_secs(10);

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
    listener: TcpListener,
    address: SocketAddr,
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
    pub async fn bind(
        address: SocketAddr,
        token: Option<Token>,
        admin: Admin,
    ) -> Result<Self, BindError> {
        let guard = Guard::of(address, token).ok_or(BindError::NoToken(address))?;
        let failed = |cause| BindError::Listen { address, cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            calls: Arc::new(Calls { admin, guard }),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`. A call that is cut off then can be made again.
    pub async fn run(self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (admin, stopped) = (self.calls.admin.clone(), stop.clone());
        tokio::spawn(DASHBOARD.run(move || {
            let (admin, stopped) = (admin.clone(), stopped.clone());
            async move { admin.dashboard.produce(&admin, &stopped).await }
        }));
        loop {
            let next = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let serve = Arc::clone(&self.calls).serve(stream, peer.ip());
                    let stop = stop.clone();
                    tokio::spawn(async move {
                        stop.run_until_cancelled(serve).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors: accepting again at once would spin.
                    warn!(%error, "admin connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Calls {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let service = service_fn(|request| {
            let this = Arc::clone(&self);
            async move {
                let request_id = request_id(request.headers());
                let mut response = match this.guard.let_in(&request, &request_id, peer) {
                    Ok(caller) => api::answer(&this.admin, &caller, request).await,
                    Err(refusal) => refusal.response().map(Either::Left),
                };
                harden(response.headers_mut(), OWN_FILES);
                tell_request_id(&mut response, &request_id);
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(STALLED));
        let stream = TokioIo::new(Box::pin(stream));
        if let Err(error) = http.serve_connection(stream, service).await {
            debug!(%error, "admin connection ended early");
        }
    }
}
