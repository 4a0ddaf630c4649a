use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use floodgate_flow::Downstream;
use floodgate_http::client::{Client, NoAnswer};

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Speaks to the hosts of the flow files and to no others.
#[derive(Clone)]
pub(super) struct HttpClient {
    http: Client,
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    /// There can be no such request, now or later.
    #[error("no request can be made of it: {0}")]
    Impossible(#[from] hyper::http::Error),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

impl HttpClient {
    pub fn of(downstream: &Downstream, usual: &Client) -> Self {
        let http = match &downstream.ca {
            None => usual.clone(),
            Some(ca) => Client::trusting(ca.roots()),
        };
        Self { http }
    }

    pub async fn get(&self, url: &str, timeout: Duration) -> Result<StatusCode, Unsent> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = request.body(Full::<Bytes>::default())?;
        Ok(self.http.status_of(request, timeout).await?)
    }

    pub async fn post(
        &self,
        url: &str,
        id: &str,
        body: String,
        timeout: Duration,
    ) -> Result<StatusCode, Unsent> {
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
        let request = request.body(Full::from(body))?;
        Ok(self.http.status_of(request, timeout).await?)
    }
}
