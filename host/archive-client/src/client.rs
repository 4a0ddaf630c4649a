use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::wire::Plan;
use super::{Answer, Entry, Erased, Pass, Query};
use floodgate_flow::masked;
use floodgate_http::client::{Client, NoAnswer};

/// Of an answer: its rows have 64 MiB at most, and are read whole.
const LARGEST_ANSWER: usize = 65 << 20;

/// How long it may take to say something that it has at hand.
const SOON: Duration = Duration::from_secs(2);

/// How long finding one entry may take, that is a look into one file, or a plan.
const LOOK: Duration = Duration::from_secs(10);

/// How long one file may take to be written anew.
const REWRITE: Duration = Duration::from_secs(600);

/// A pass that takes longer goes on; whoever asks then hears that it does.
const PASS: Duration = Duration::from_secs(3600);

/// What an archive that was told to stop a query has left to say so.
const GRACE: Duration = Duration::from_secs(2);

/// Where floodgate-archive is.
#[derive(Clone, Debug, Default, Args)]
pub struct ArchiveSettings {
    /// URL of floodgate-archive, which answers statistics and keeps what left the
    /// ledger, such as http://127.0.0.1:9191
    #[arg(long, env = "FLOODGATE_ARCHIVE_URL")]
    pub archive_url: Option<String>,

    /// File of the token that it asks for
    #[arg(long, env = "FLOODGATE_ARCHIVE_TOKEN_FILE")]
    pub archive_token_file: Option<PathBuf>,
}

/// A client of floodgate-archive, wherever that is at the moment.
pub struct Archive {
    http: Client,
    place: ArcSwap<Place>,
    authorization: Option<HeaderValue>,
}

#[derive(Clone, Debug)]
enum Place {
    Nowhere,
    /// It is being started, and listens on a port of its own choice.
    Starting,
    At(String),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no floodgate-archive is configured: start floodgate-archive serve and name it with \
         --archive-url (FLOODGATE_ARCHIVE_URL)"
    )]
    NotConfigured,
    /// Nobody knows whether it did what it was asked for; asking again is safe.
    #[error("floodgate-archive does not answer at {address}: {why}; start floodgate-archive serve")]
    Away { address: String, why: String },
    /// It wants another token, or one at all.
    #[error(
        "floodgate-archive at {address} lets this Floodgate do nothing: {detail}; name the file of \
         its token with --archive-token-file (FLOODGATE_ARCHIVE_TOKEN_FILE), which is read at the start"
    )]
    NotLetIn { address: String, detail: String },
    /// In its own words.
    #[error("floodgate-archive refused ({}): {detail}", .status.as_u16())]
    Refused { status: StatusCode, detail: String },
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Never quotes it.
    #[error(
        "--archive-url (FLOODGATE_ARCHIVE_URL) is not a URL such as http://127.0.0.1:9191, without \
         a query"
    )]
    Url,
    #[error(
        "read the archive's token file (--archive-token-file, FLOODGATE_ARCHIVE_TOKEN_FILE) \
         {path}: {cause}"
    )]
    Unreadable { path: String, cause: std::io::Error },
    /// Never quotes it.
    #[error("the archive's token in {0} is none: write visible ASCII characters")]
    Unfit(String),
}

impl Archive {
    /// None, as far as anybody said.
    pub fn nowhere() -> Self {
        Self::at(Place::Nowhere, None)
    }

    /// One that was started by this process; see [`Self::is_at`].
    pub fn starting() -> Self {
        Self::at(Place::Starting, None)
    }

    fn at(place: Place, authorization: Option<HeaderValue>) -> Self {
        Self {
            http: Client::default(),
            place: ArcSwap::from_pointee(place),
            authorization,
        }
    }

    /// # Errors
    /// Where what is named is no URL, or the token cannot be used.
    pub fn named(settings: &ArchiveSettings) -> Result<Self, SettingsError> {
        let named = settings.archive_url.as_deref().map(str::trim);
        let Some(url) = named.filter(|url| !url.is_empty()) else {
            return Ok(Self::nowhere());
        };
        let base = base(url).ok_or(SettingsError::Url)?;
        let token = settings.archive_token_file.as_ref();
        Ok(Self::at(Place::At(base), token.map(bearer).transpose()?))
    }

    /// From now on; requests under way finish where they began.
    pub fn is_at(&self, url: &str) {
        let base = base(url).unwrap_or_else(|| url.to_owned());
        self.place.store(Arc::new(Place::At(base)));
    }

    /// Until it is said where.
    pub fn is_starting(&self) {
        self.place.store(Arc::new(Place::Starting));
    }

    pub fn is_configured(&self) -> bool {
        !matches!(**self.place.load(), Place::Nowhere)
    }

    /// Whether it answers, what it stands on does, and it would do what is asked.
    pub async fn ping(&self) -> Result<(), Error> {
        let answer = self.call(Method::GET, "/readyz", Bytes::new(), SOON).await;
        answer.map(|_| ())
    }

    /// # Errors
    /// [`Error::Refused`] with 400 for SQL that is wrong, 413 for too many
    /// rows, 422 for a parameter, 504 at the time limit, 507 at that of memory.
    pub async fn query(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let patience = Duration::from_millis(query.timeout_ms) + GRACE;
        let body = serde_json::to_vec(query).unwrap_or_default();
        self.post("/query", body, patience).await
    }

    /// Whether SQL could be answered.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(super) async fn plan(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let body = serde_json::to_vec(plan).unwrap_or_default();
        let answer = self.call(Method::POST, "/plan", body.into(), LOOK).await;
        answer.map(|_| ())
    }

    /// An entry in a file of its; `None` where that does not have it.
    pub async fn entry(&self, flow: &str, file: i64, id: &str) -> Result<Option<Entry>, Error> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("/entries/{flow}/{file}/{id}");
        match self.call(Method::GET, &path, Bytes::new(), LOOK).await {
            Ok(body) => understood(&body).map(Some),
            Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves what is due; `None` where somebody else is at it.
    pub async fn run(&self) -> Result<Option<Pass>, Error> {
        match self.post("/run", b"{}".to_vec(), PASS).await {
            Ok(pass) => Ok(Some(pass)),
            Err(Error::Refused { status, .. }) if status == StatusCode::CONFLICT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the body of an entry out of the file that has it. May be repeated.
    pub async fn erase(&self, flow: &str, id: &str) -> Result<Erased, Error> {
        let body = json!({ "flow": flow, "id": id }).to_string();
        self.post("/erase", body.into_bytes(), REWRITE).await
    }

    /// Has it drop the answers that it keeps; what is erased from a file is not
    /// in them anyway.
    pub async fn forget(&self) -> Result<(), Error> {
        let body = Bytes::from_static(b"{}");
        let answer = self.call(Method::POST, "/forget", body, SOON).await;
        answer.map(|_| ())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<T, Error> {
        let answer = self.call(Method::POST, path, body.into(), patience);
        understood(&answer.await?)
    }

    /// One deadline for all of it: connection, request, answer.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Bytes, Error> {
        let place = self.place.load_full();
        let base = match &*place {
            Place::Nowhere => return Err(Error::NotConfigured),
            Place::Starting => return Err(away("its port", "it is just being started".to_owned())),
            Place::At(base) => base,
        };
        let request = self.request(method, &format!("{base}{path}"), body);
        let request = request.map_err(|error| away(base, error.to_string()))?;
        let answer = self.http.call(request, patience, LARGEST_ANSWER).await;
        let answer = answer.map_err(|error| match error {
            NoAnswer::TooLarge(_) => Error::Refused {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                detail: error.to_string(),
            },
            _ => away(base, error.to_string()),
        })?;
        let (parts, body) = answer.into_parts();
        let status = parts.status;
        let detail = || detail(&body);
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED => Err(Error::NotLetIn {
                address: base.clone(),
                detail: detail(),
            }),
            status => Err(Error::Refused {
                status,
                detail: detail(),
            }),
        }
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        if let Some(token) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }
}

fn away(address: &str, why: String) -> Error {
    Error::Away {
        address: masked::url(address),
        why,
    }
}

/// `http://host:port`, without a slash at its end; `None` of what is no URL.
fn base(url: &str) -> Option<String> {
    let base = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    let base = base.trim_end_matches('/');
    let parsed: Uri = base.parse().ok()?;
    let known = ["http", "https"].contains(&parsed.scheme_str()?);
    (known && parsed.host().is_some() && parsed.query().is_none()).then(|| base.to_owned())
}

fn bearer(path: &PathBuf) -> Result<HeaderValue, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|cause| SettingsError::Unreadable {
        path: masked::path(path),
        cause,
    })?;
    let token = text.trim();
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = visible.then(|| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let mut value = value
        .flatten()
        .ok_or_else(|| SettingsError::Unfit(masked::path(path)))?;
    value.set_sensitive(true);
    Ok(value)
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Refused {
        status: StatusCode::BAD_GATEWAY,
        detail: format!("its answer is not that of this version: {error}"),
    })
}

/// Of a problem document; else what there is, as far as a person reads it.
fn detail(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}
