//! A client of the admin API.

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as HyperClient, Error as HyperError};
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Client {
    pub fn new(option: &super::AdminOption) -> Self {
        let base = option.admin.trim_end_matches('/');
        let base = match base.contains("://") {
            true => base.to_owned(),
            false => format!("http://{base}"),
        };
        Self {
            http: HyperClient::builder(TokioExecutor::new()).build_http(),
            base,
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// `parameters` without a value are left out.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, Option<&str>)],
    ) -> anyhow::Result<T> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        let path = match query.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{query}"),
        };
        self.call(Method::GET, &path, Bytes::new()).await
    }

    /// The rows of this flow or of all, at most `max`.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        path: &str,
        flow: Option<&str>,
        max: u32,
    ) -> anyhow::Result<Vec<T>> {
        let max = max.to_string();
        self.get(path, &[("flow", flow), ("max", Some(&max))]).await
    }

    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body).context("write the request")?;
        self.call(Method::POST, path, Bytes::from(body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .with_context(|| format!("--admin {} is not an address", self.base))?;
        let response = self.http.request(request).await.with_context(|| {
            format!(
                "no Floodgate answers at {}; start one (floodgate dev, or serve) or name it with --admin",
                self.base
            )
        })?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.context("read the answer")?.to_bytes();
        if !status.is_success() {
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            match problem["detail"].as_str() {
                Some(detail) => bail!("{detail}"),
                None => bail!(
                    "{} answered {status} {}",
                    self.base,
                    String::from_utf8_lossy(&body)
                ),
            }
        }
        serde_json::from_slice(&body).with_context(|| {
            format!(
                "{} is not the admin API of a Floodgate of this version",
                self.base
            )
        })
    }
}

/// Whether a call failed because nobody listens there.
pub(super) fn nobody_listens(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<HyperError>();
    cause.is_some_and(HyperError::is_connect)
}

/// Percent-encodes one segment of a path.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
