use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;
use tracing::{debug, error, info, warn};

use super::{Ingest, Response};
use crate::request_id::name_if_nameless;

/// Limits that keep slow or many clients from using up the front end.
#[derive(Clone, Debug)]
pub struct Options {
    /// Beyond it, clients wait in the listening socket's queue.
    pub max_connections: usize,
    /// How long a request's head may take; also how long a kept-alive
    /// HTTP/1.1 connection may be idle.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long requests in flight may take once shutdown has begun.
    pub drain_timeout: Duration,
    /// Which pages of other origins may use it; `None`: none.
    pub cors: Option<CorsLayer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
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
    listener: TcpListener,
    address: SocketAddr,
    connections: Connections,
}

impl Server {
    pub async fn bind(
        listen: SocketAddr,
        options: Options,
        ingest: Arc<Ingest>,
    ) -> Result<Self, BindError> {
        let error = |cause| BindError {
            address: listen,
            cause,
        };
        let listener = TcpListener::bind(listen).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        let connections = Connections::new(options, ingest);
        Ok(Self {
            listener,
            address,
            connections,
        })
    }

    /// Where it listens; the port is the one the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`; then accepts nothing more, finishes the
    /// requests in flight and cuts off those that outlast the drain timeout.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            listener,
            connections,
            ..
        } = self;
        let connections = Arc::new(connections);
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = open.join_next(), if !open.is_empty() => {
                    if let Err(error) = ended {
                        error!(%error, "connection task died");
                    }
                }
                ((stream, peer), permit) = connections.accept(&listener) => {
                    let shutdown = shutdown.child_token();
                    let serve = Arc::clone(&connections).serve(stream, peer.ip(), shutdown);
                    open.spawn(async move {
                        serve.await;
                        drop(permit);
                    });
                }
            }
        }
        drop(listener);
        info!(connections = open.len(), "finishing requests in flight");
        let drained = async { while open.join_next().await.is_some() {} };
        let drain_timeout = connections.options.drain_timeout;
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            warn!(
                connections = open.len(),
                "cutting off requests that did not finish"
            );
            open.shutdown().await;
        }
    }
}

/// What all connections share.
struct Connections {
    http: auto::Builder<TokioExecutor>,
    options: Options,
    ingest: Arc<Ingest>,
    permits: Arc<Semaphore>,
}

impl Connections {
    fn new(options: Options, ingest: Arc<Ingest>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(64 << 10);
        // Pings tell an idle client from one that is gone.
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        Self {
            permits: Arc::new(Semaphore::new(options.max_connections)),
            http,
            options,
            ingest,
        }
    }

    /// The next client, once there is room for one. Cancel-safe.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> ((TcpStream, SocketAddr), Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok(accepted) => return (accepted, permit),
                Err(error) if is_of_one_client(&error) => debug!(%error, "client left at once"),
                Err(error) => {
                    // Most likely out of file descriptors: accept would fail
                    // again at once, and again, until a connection ends.
                    warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr, shutdown: CancellationToken) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "client left at once");
            return;
        }
        let asked = Arc::new(AtomicBool::new(false));
        let answer = {
            let (this, asked) = (Arc::clone(&self), Arc::clone(&asked));
            move |request| {
                asked.store(true, Ordering::Relaxed);
                let ingest = Arc::clone(&this.ingest);
                let body_timeout = this.options.body_timeout;
                async move { Ok::<_, Infallible>(ingest.answer(request, peer, body_timeout).await) }
            }
        };
        match &self.options.cors {
            None => {
                self.drive(stream, service_fn(answer), &asked, shutdown)
                    .await
            }
            Some(cors) => {
                let service = cors.layer(tower::service_fn(answer));
                let service = service.map_response(name_if_nameless);
                let service = TowerToHyperService::new(service);
                self.drive(stream, service, &asked, shutdown).await;
            }
        }
    }

    async fn drive<S>(
        &self,
        stream: TcpStream,
        service: S,
        asked: &AtomicBool,
        shutdown: CancellationToken,
    ) where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
        S::Future: Send + 'static,
    {
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        // hyper's own timeout starts only when it knows the protocol, and
        // HTTP/2 has none.
        let mut first_request = pin!(tokio::time::sleep(self.options.header_timeout));
        let mut waited = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "connection broke off");
                    }
                    return;
                }
                () = shutdown.cancelled() => break,
                () = first_request.as_mut(), if !waited => {
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                    waited = true;
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        if let Err(error) = connection.await {
            debug!(%error, "connection broke off");
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
