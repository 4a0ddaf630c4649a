//! A client of the admin API.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use floodgate_admin::{Person, Token};
use floodgate_flow::masked;
use floodgate_http::client::{self as http, Client as Http};

const CONNECT: Duration = Duration::from_secs(2);

/// What is only looked at is there within the ten seconds that the servers
/// behind it have. A change takes as long as it takes.
const LOOK: Duration = Duration::from_secs(15);
const CHANGE: Duration = Duration::from_secs(u32::MAX as u64);

/// Bytes of an answer; more than any that the admin API gives.
const LARGEST: usize = 1 << 30;

/// Nobody is there, or it is no HTTP that answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Floodgate answers at {address}: {why}; start one (floodgate dev, or serve) or name it with --admin"
)]
struct NoAnswer {
    address: String,
    why: String,
    nobody_listens: bool,
}

pub(super) struct Client {
    http: Http,
    base: String,
    person: Option<Person>,
    /// A token that cannot be read is told of by the first call.
    authorization: Result<Option<HeaderValue>, String>,
}

impl Client {
    pub fn new(option: &super::AdminOption) -> Self {
        let base = option.admin.trim_end_matches('/');
        let base = match base.contains("://") {
            true => base.to_owned(),
            false => format!("http://{base}"),
        };
        let token = Token::named(&option.token).map_err(|error| error.to_string());
        Self {
            http: Http::connecting_within(CONNECT),
            base,
            person: option.person.clone().or_else(user),
            authorization: token.map(|token| token.and_then(|token| token.authorization())),
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

    /// What is there is no JSON.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await?;
        self.done(status, &body)?;
        Ok(body)
    }

    /// What it says, also where it says that not all is well.
    pub async fn state<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<(StatusCode, T)> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await?;
        if status.is_client_error() {
            self.done(status, &body)?;
        }
        Ok((status, self.understood(&body)?))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let (status, body) = self.ask(method, path, body).await?;
        self.done(status, &body)?;
        self.understood(&body)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let changes = method != Method::GET;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .with_context(|| format!("--admin {} is not an address", self.base))?;
        let authorization = self.authorization.as_ref();
        if let Some(token) = authorization.map_err(|error| anyhow!("{error}"))? {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let person = self.person.as_ref().filter(|_| changes);
        if let Some((header, name)) = person.and_then(Person::header) {
            request.headers_mut().insert(header, name);
        }
        let limit = if changes { CHANGE } else { LOOK };
        let answer = self.http.call(request, limit, LARGEST).await;
        let answer = answer.map_err(|error| {
            let nobody_listens = matches!(error, http::NoAnswer::NotConnected(_));
            self.no_answer(error.to_string(), nobody_listens)
        })?;
        Ok((answer.status(), answer.into_body()))
    }

    fn no_answer(&self, why: String, nobody_listens: bool) -> NoAnswer {
        NoAnswer {
            address: masked::url(&self.base),
            why,
            nobody_listens,
        }
    }

    fn done(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<()> {
        if status.is_success() {
            return Ok(());
        }
        let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) => bail!("{detail}"),
            None => bail!(
                "{} answered {status} {}",
                self.base,
                String::from_utf8_lossy(body)
            ),
        }
    }

    fn understood<T: DeserializeOwned>(&self, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).with_context(|| {
            format!(
                "{} is not the admin API of a Floodgate of this version",
                self.base
            )
        })
    }
}

/// Whether a call failed because nobody listens there.
pub(super) fn nobody_listens(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<NoAnswer>();
    cause.is_some_and(|cause| cause.nobody_listens)
}

/// Who is logged in.
fn user() -> Option<Person> {
    let user = ["LOGNAME", "USER"].into_iter().find_map(std::env::var_os)?;
    user.to_str()?.parse().ok()
}

/// Percent-encodes one segment of a path.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
