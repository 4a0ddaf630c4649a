//! The HTTP client: a deadline for all of a call, and a limit for its answer.

use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("floodgate/", env!("CARGO_PKG_VERSION")));

/// The most of an answer's body that is read only to use the connection again.
const LEFT_OVER: usize = 64 << 10;

/// Sends requests over HTTP/1.1, plain or over TLS. Redirects are answers like
/// any other, and no proxy is looked for.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing was sent: there is no connection, or the server's certificate is
    /// not one that is trusted.
    #[error("no connection: {0}")]
    NotConnected(String),
    /// The server may have got all of it.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server may have got all of it.
    #[error("no answer: {0}")]
    Broken(String),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Trusts the certificate authorities of the system and those that browsers trust. If
/// `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, the client trusts only the authorities
/// that it finds there.
impl Default for Client {
    fn default() -> Self {
        Self::over(connector())
    }
}

impl Client {
    /// Trusts as [`Self::default`] does, and waits so long for a connection.
    pub fn connecting_within(limit: Duration) -> Self {
        Self::over(connector_of(&USUAL, Some(limit)))
    }

    /// Trusts these certificate authorities and no others.
    pub fn trusting(roots: Arc<RootCertStore>) -> Self {
        Self::over(connector_of(&config(roots), None))
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Self { pool }
    }

    /// Sends a request and reads its answer, of at most `largest` bytes. The
    /// deadline is for all of it: name, connection, request, answer.
    pub async fn call(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
        largest: usize,
    ) -> Result<Response<Bytes>, NoAnswer> {
        self.within(timeout, async {
            let (parts, body) = self.send(request).await?.into_parts();
            let body = Limited::new(body, largest).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => NoAnswer::TooLarge(largest),
                false => NoAnswer::Broken(with_causes(&*error)),
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        })
        .await
    }

    /// Sends a request whose answer says all with its status.
    pub async fn status_of(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<StatusCode, NoAnswer> {
        self.within(timeout, async {
            let answer = self.send(request).await?;
            let status = answer.status();
            // A body that breaks off says no more.
            let _rest = Limited::new(answer.into_body(), LEFT_OVER).collect().await;
            Ok(status)
        })
        .await
    }

    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, NoAnswer> {
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        self.pool.request(request).await.map_err(|error| {
            let text = with_causes(&error);
            match error.is_connect() {
                true => NoAnswer::NotConnected(text),
                false => NoAnswer::Broken(text),
            }
        })
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        answer: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let answer = tokio::time::timeout(timeout, answer).await;
        answer.unwrap_or(Err(NoAnswer::Timeout(timeout)))
    }
}

/// Made once for all clients, because reading the system's certificates takes milliseconds.
static USUAL: LazyLock<ClientConfig> = LazyLock::new(|| config(Arc::new(usual_roots())));

/// The connections of [`Client::new`], for clients that others bring along.
pub fn connector() -> HttpsConnector<HttpConnector> {
    connector_of(&USUAL, None)
}

/// `limit`: of one connection; without it only the deadline of the call counts.
fn connector_of(config: &ClientConfig, limit: Option<Duration>) -> HttpsConnector<HttpConnector> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(limit);
    HttpsConnectorBuilder::new()
        .with_tls_config(config.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}

fn config(roots: Arc<RootCertStore>) -> ClientConfig {
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn usual_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "certificates of the system not read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
    let is_set = |name| std::env::var_os(name).is_some_and(|path| !path.is_empty());
    if !named.into_iter().any(is_set) {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Tells an error with its causes: hyper keeps there what matters.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
