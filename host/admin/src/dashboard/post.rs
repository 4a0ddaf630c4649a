use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::audit::{Progress, Told, audited, members};
use crate::guard::Caller;
use crate::{Admin, Error};
use floodgate_flow::{Flow, Identity, Name};
use floodgate_http::client::{Client, NoAnswer};
use floodgate_http::request_id::X_REQUEST_ID;

/// A full backlog is told at once; a batch may take a moment.
const TIMEOUT: Duration = Duration::from_secs(30);

const LARGEST_ANSWER: usize = 1 << 20;

/// `POST /flows/{name}/post`: what the front end answered.
#[derive(Debug, Serialize)]
pub struct Posted {
    pub status: u16,
    /// Seconds.
    pub retry_after: Option<String>,
    /// It was there already.
    pub replayed: bool,
    /// JSON, or a string where it is none.
    pub body: Value,
    /// By which the entry can be followed; of a batch, of its first.
    pub id: Option<String>,
}

impl Told for Posted {
    /// Never a body, nor a detail that quotes one.
    fn told(&self) -> Map<String, Value> {
        let mut told = members(&json!({ "status": self.status, "id": self.id }));
        if self.status >= 300 {
            let error = match self.body["title"].as_str() {
                Some(title) => format!("refused by the front end: {title}"),
                None => "refused by the front end".to_owned(),
            };
            told.insert("error".to_owned(), error.into());
        }
        told
    }
}

/// What the page sends, and where it goes.
pub(crate) struct Post<'a> {
    pub flow: &'a Flow,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
}

/// Hands a body on to the front end of this process: the page is of another
/// origin, and the front end is closed to those.
pub(crate) async fn post(admin: &Admin, by: &Caller, post: Post<'_>) -> Result<Posted, Error> {
    let target = json!({ "flow": post.flow.name.as_str() });
    let change = async |_: &mut Progress| hand_on(admin, by, post).await;
    audited(admin, by, "post", target, change).await
}

async fn hand_on(admin: &Admin, by: &Caller, post: Post<'_>) -> Result<Posted, Error> {
    let Post {
        flow,
        headers,
        body,
    } = post;
    let front_end = admin.front_end.ok_or_else(|| {
        Error::Invalid(
            "this process has no front end: open the admin address of one that runs with --role api or all"
                .to_owned(),
        )
    })?;
    let url = format!("http://{}{}", reachable(front_end), flow.admit.path);
    let mut request = Request::post(url).header(CONTENT_TYPE, "application/json");
    // The entry and the row of the audit log have the same.
    request = request.header(&X_REQUEST_ID, &*by.request_id);
    for name in ["x-api-key", "idempotency-key"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::new(body.clone()));
    let request = request.map_err(|error| Error::Invalid(error.to_string()))?;
    let answer = Client::default()
        .call(request, TIMEOUT, LARGEST_ANSWER)
        .await;
    let answer = answer.map_err(|error| unanswered(front_end, &error))?;
    let (parts, answer) = answer.into_parts();
    let answer = serde_json::from_slice(&answer)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer).into_owned()));
    let accepted = parts.status.is_success();
    let text = |name| parts.headers.get(name)?.to_str().ok();
    Ok(Posted {
        status: parts.status.as_u16(),
        retry_after: text(RETRY_AFTER.as_str()).map(str::to_owned),
        replayed: text("idempotent-replayed") == Some("true"),
        id: accepted.then(|| id_of(flow, &body, &answer)).flatten(),
        body: answer,
    })
}

fn unanswered(front_end: SocketAddr, error: &NoAnswer) -> Error {
    Error::FrontEnd(format!(
        "the front end at {front_end} did not answer: {error}; whether it took the body is not \
         known: posting the same again is safe where the body has the id, and else with the same \
         Idempotency-Key"
    ))
}

/// An address that listens everywhere is reached at home.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// From the body where it holds the id, else from where the flow's reply says it.
fn id_of(flow: &Flow, body: &Bytes, answer: &Value) -> Option<String> {
    let id = match flow.admit.id {
        Identity::Field(_) => return id_in(flow, body),
        Identity::Uuid | Identity::Sequence => {
            let place = flow.admit.reply.body.shape().says(Name::Id)?;
            answer.pointer(&place)?
        }
    };
    match id {
        Value::String(id) => Some(id.clone()),
        id => Some(id.to_string()),
    }
}

fn id_in(flow: &Flow, body: &Bytes) -> Option<String> {
    let entry = match flow.admit.batch {
        true => {
            let items: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
            Bytes::copy_from_slice(items.first()?.get().as_bytes())
        }
        false => body.clone(),
    };
    let admitted = flow.admit.admit(entry).ok()?;
    admitted.id.map(|id| id.to_string())
}
