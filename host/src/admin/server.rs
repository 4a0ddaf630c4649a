use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Admin, api};

#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {cause}; --admin takes another address for the admin API")]
pub struct BindError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// Serves the admin API.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admin: Admin,
}

impl Server {
    pub async fn bind(address: SocketAddr, admin: Admin) -> Result<Self, BindError> {
        let failed = |cause| BindError { address, cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            admin,
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`. Nothing is lost with a call that is cut off then.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (admin, stop) = (self.admin.clone(), stop.clone());
                    tokio::spawn(serve(admin, stream, stop));
                }
                Err(error) => {
                    // Out of file descriptors: accepting again at once would spin.
                    warn!(%error, "admin connection not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(admin: Admin, stream: tokio::net::TcpStream, stop: CancellationToken) {
    let service = service_fn(|request| {
        let admin = admin.clone();
        async move { Ok::<_, Infallible>(api::answer(&admin, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            debug!(%error, "admin connection ended early");
        }
    }
}
