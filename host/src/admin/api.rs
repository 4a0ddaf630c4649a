use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::guard::Caller;
use super::types::Nothing;
use super::{
    Admin, Error, audit, dashboard, dead, decisions, erase, health, metrics, oracles, pending,
    query, rehearse, why,
};
use crate::archive;

/// The largest body of a call; filters and digests are short.
const MAX_BODY: usize = 64 * 1024;

/// How long the body of a call may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// All at once, or as it happens.
pub(super) type Body = Either<Full<Bytes>, dashboard::Events>;

/// Answers one call, which [`super::guard`] let in.
pub(super) async fn answer(
    admin: &Admin,
    by: &Caller,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.method() == Method::GET && request.uri().path() == "/stream" {
        return admin.dashboard.stream().map(Either::Right);
    }
    if let Some(page) = dashboard::page(&request) {
        return page.map(Either::Left);
    }
    answer_at_once(admin, by, request).await.map(Either::Left)
}

async fn answer_at_once(
    admin: &Admin,
    by: &Caller,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let get = request.method() == Method::GET;
    let post = request.method() == Method::POST;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let query = Query(&query);
    match segments[..] {
        ["healthz"] if get => health::answer(admin).await,
        ["metrics"] if get => metrics::answer(admin).await,
        ["readyz"] if get => health::readiness(admin).await,
        ["flows"] if get => reply(pending::flows(admin).await),
        ["flows", name, "kept"] if get => reply(pending::kept_since(admin, name, &query).await),
        ["flows", name, "sample"] if get => reply(dashboard::sample(admin, name)),
        ["flows", name, "post"] if post => posted(admin, by, name, request).await,
        ["decisions"] if get => reply(decisions::latest(admin, &query).await),
        ["decisions", flow, id] if get => reply(decisions::whole(admin, flow, &decoded(id)).await),
        ["components", digest] if get => match oracles::component(admin, digest).await {
            Ok(bytes) => whole(StatusCode::OK, "application/wasm", bytes),
            Err(error) => refuse(&error),
        },
        ["pending"] if get => reply(pending::pending(admin, &query).await),
        ["why", flow, id] if get => reply(why::why(admin, flow, &decoded(id)).await),
        ["oracles"] if get => reply(oracles::list(admin).await),
        ["audit"] if get => reply(audit::latest(admin, &query).await),
        ["oracles", name, what @ ("rollback" | "unpin")] if post => match body(request).await {
            Ok(Nothing {}) if what == "rollback" => reply(oracles::rollback(admin, by, name).await),
            Ok(Nothing {}) => reply(oracles::unpin(admin, by, name).await),
            Err(refusal) => refusal,
        },
        ["oracles", name, "pin"] if post => match body(request).await {
            Ok(pin) => reply(oracles::pin(admin, by, name, &pin).await),
            Err(refusal) => refusal,
        },
        ["query"] if post => match body(request).await {
            Ok(asked) => reply(self::query::query(admin, &asked).await),
            Err(refusal) => refusal,
        },
        ["dead"] if get => reply(dead::list(admin, &query).await),
        ["dead", flow, which] if get => reply(dead::show(admin, flow, &decoded(which)).await),
        ["dead", what @ ("requeue" | "rehearse" | "purge")] if post => match body(request).await {
            Ok(which) if what == "requeue" => reply(dead::requeue(admin, by, &which).await),
            Ok(which) if what == "rehearse" => reply(rehearse::rehearse(admin, &which).await),
            Ok(which) => reply(dead::purge(admin, by, &which).await),
            Err(refusal) => refusal,
        },
        ["erase"] if post => match body(request).await {
            Ok(what) => reply(erase::erase(admin, by, &what).await),
            Err(refusal) => refusal,
        },
        [
            "healthz" | "readyz" | "metrics" | "audit" | "flows" | "decisions" | "pending"
            | "oracles" | "dead",
        ]
        | ["components", _]
        | ["dead" | "decisions" | "why", _, _]
        | ["flows", _, "kept" | "sample"]
        | ["stream"] => not_allowed("GET"),
        ["oracles", _, "rollback" | "pin" | "unpin"]
        | ["dead", "requeue" | "rehearse" | "purge"]
        | ["flows", _, "post"]
        | ["query" | "erase"] => not_allowed("POST"),
        _ => problem(
            StatusCode::NOT_FOUND,
            "the admin API has /healthz, /readyz, /metrics, /flows, /decisions, /pending, /why, /oracles, /components, /dead, /query, /erase, /audit and /stream; its page is at /",
        ),
    }
}

/// A body for the front end may be as large as its flow allows.
async fn posted(
    admin: &Admin,
    by: &Caller,
    name: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let flow = match admin.flow(name) {
        Ok(flow) => flow,
        Err(error) => return reply::<()>(Err(error)),
    };
    let (parts, body) = request.into_parts();
    match bytes_of(body, flow.admit.max_body).await {
        Ok(body) => reply(dashboard::post(admin, by, &flow, &parts.headers, body).await),
        Err(refusal) => refusal,
    }
}

/// The parameters of a query string. The values are names, ids and numbers.
pub(super) struct Query<'a>(&'a str);

impl Query<'_> {
    pub fn get(&self, name: &str) -> Option<String> {
        url_encoded(self.0)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// A segment of a path, percent-decoded.
fn decoded(segment: &str) -> String {
    // In a path these three are nothing but themselves.
    let segment = segment.replace('+', "%2B").replace('&', "%26");
    let (_, text) = url_encoded(&format!("={segment}"))
        .next()
        .unwrap_or_default();
    text
}

fn url_encoded(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Full<Bytes>>> {
    let bytes = bytes_of(request.into_body(), MAX_BODY).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))
}

async fn bytes_of(body: Incoming, max: usize) -> Result<Bytes, Response<Full<Bytes>>> {
    let bytes = Limited::new(body, max).collect();
    let bytes = tokio::time::timeout(BODY_TIMEOUT, bytes)
        .await
        .map_err(|_| problem(StatusCode::REQUEST_TIMEOUT, "the body took too long"))?;
    let bytes = bytes.map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))?;
    Ok(bytes.to_bytes())
}

fn reply<T: Serialize>(answer: Result<T, Error>) -> Response<Full<Bytes>> {
    match answer {
        Ok(value) => respond(StatusCode::OK, "application/json", &value),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &Error) -> Response<Full<Bytes>> {
    let status = match error {
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::FrontEnd(_) => StatusCode::BAD_GATEWAY,
        Error::HalfErased { .. } | Error::Backbone(_) | Error::Ledger(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Archive(archive::Error::Refused { status, .. }) => *status,
        Error::Archive(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, &error.to_string())
}

fn not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("this path takes {allow}"),
    );
    response
        .headers_mut()
        .insert(ALLOW, hyper::header::HeaderValue::from_static(allow));
    response
}

/// A problem document, RFC 9457.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    let document = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    respond(status, "application/problem+json", &document)
}

pub(super) fn respond<T: Serialize>(
    status: StatusCode,
    content_type: &'static str,
    value: &T,
) -> Response<Full<Bytes>> {
    // Our own types, without maps of other keys than strings: it cannot fail.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    whole(status, content_type, Bytes::from(bytes))
}

fn whole(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(content_type),
    );
    response
}
