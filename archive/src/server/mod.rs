//! The service that the host asks: JSON over HTTP, on loopback unless there is a
//! token.

mod api;
mod body;
mod guard;
mod metrics;
mod problem;
mod token;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::api::Service;
use self::guard::Guard;
pub use self::metrics::Metrics;
pub use self::token::{Token, TokenError};

/// Hosts of one deployment and a scraper; beyond it they wait.
const MAX_CONNECTIONS: usize = 256;

/// How long the head of a call may take; also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long calls that are being answered may go on when the process is to end.
const LAST_CALLS: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("listen on {address}: {cause}; --listen takes another address")]
    Listen {
        address: SocketAddr,
        cause: std::io::Error,
    },
    #[error(
        "{0} could be reached by others and there is no token: name one with --token-file, or keep \
         --listen on loopback"
    )]
    NoToken(SocketAddr),
}

pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    guard: Arc<Guard>,
    service: Arc<Service>,
}

impl Server {
    /// # Errors
    /// Also where others could reach it without a token.
    pub async fn bind(
        address: SocketAddr,
        token: Option<Token>,
        service: Service,
    ) -> Result<Self, BindError> {
        let guard = Guard::of(address, token).ok_or(BindError::NoToken(address))?;
        let failed = |cause| BindError::Listen { address, cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            guard: Arc::new(guard),
            service: Arc::new(service),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and then ends what it has begun.
    pub async fn run(self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let next = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = self.connection(stream);
                    let connection = graceful.watch(connection);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            debug!(%error, "connection ended early");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors: accepting again at once would spin.
                    warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(LAST_CALLS, graceful.shutdown())
            .await
            .is_err()
        {
            info!("stopped while calls were being answered; they can be made again");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
    ) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + use<> {
        let (guard, service) = (Arc::clone(&self.guard), Arc::clone(&self.service));
        let answer = service_fn(move |request| {
            let (guard, service) = (Arc::clone(&guard), Arc::clone(&service));
            async move {
                Ok::<_, Infallible>(match guard.let_in(&request) {
                    Ok(()) => service.answer(request).await,
                    Err(refusal) => refusal.response(),
                })
            }
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer)
    }
}
