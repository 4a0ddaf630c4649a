use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http_client::{self, http_client, with_causes};

/// Of an answer's body that nobody reads, so that the connection can be used again.
const LARGEST_ANSWER: usize = 64 << 10;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Speaks to the hosts of the flow files and to no others.
#[derive(Clone)]
pub(super) struct HttpClient {
    http: http_client::HttpClient,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// Nothing was sent.
    #[error("no connection: {0}")]
    NotConnected(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no answer: {0}")]
    Broken(String),
}

impl HttpClient {
    pub fn new() -> Self {
        Self {
            http: http_client(),
        }
    }

    pub async fn get(&self, url: &str, timeout: Duration) -> Result<StatusCode, NoAnswer> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = request.body(Full::default());
        self.send(request, timeout).await
    }

    pub async fn post(
        &self,
        url: &str,
        id: &str,
        body: String,
        timeout: Duration,
    ) -> Result<StatusCode, NoAnswer> {
        let key = HeaderValue::from_str(id).or_else(|_| {
            let id = utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
            HeaderValue::try_from(id)
        });
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(CONTENT_TYPE, "application/json");
        if let Ok(key) = key {
            request = request.header(&IDEMPOTENCY_KEY, key);
        }
        self.send(request.body(Full::from(body)), timeout).await
    }

    /// One deadline for all of it: name, connection, request, answer.
    async fn send(
        &self,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
        timeout: Duration,
    ) -> Result<StatusCode, NoAnswer> {
        let mut request = request.map_err(|error| NoAnswer::NotConnected(error.to_string()))?;
        let agent = HeaderValue::from_static(concat!("floodgate/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let answer = async {
            let response = self.http.request(request).await.map_err(|error| {
                let text = with_causes(&error);
                match error.is_connect() {
                    true => NoAnswer::NotConnected(text),
                    false => NoAnswer::Broken(text),
                }
            })?;
            let status = response.status();
            // The status has said it all; a body that breaks off says no more.
            let _rest = Limited::new(response.into_body(), LARGEST_ANSWER)
                .collect()
                .await;
            Ok(status)
        };
        tokio::time::timeout(timeout, answer)
            .await
            .unwrap_or(Err(NoAnswer::Timeout(timeout)))
    }
}
