use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::Caller;
use super::routes::{Call, Route, beginnings, route};
use super::types::Nothing;
use super::{
    Admin, Error, audit, dashboard, dead, decisions, erase, health, metrics, oracles, pending,
    query, rehearse, why,
};
use floodgate_archive_client as archive;
use floodgate_http::problem::Problem;

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
    if let Some(page) = dashboard::page(&request) {
        return page.map(Either::Left);
    }
    match route(request.uri().path()) {
        Some(route) if request.method() == route.method => {
            let answer = called(admin, by, route, request).await;
            answer.unwrap_or_else(|refusal| refusal.map(Either::Left))
        }
        Some(route) => not_allowed(route.method).map(Either::Left),
        None => {
            let there = format!("the admin API has {}; its page is at /", beginnings());
            problem(StatusCode::NOT_FOUND, &there).map(Either::Left)
        }
    }
}

/// # Errors
/// What to answer where the body is none.
async fn called(
    admin: &Admin,
    by: &Caller,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Body>, Response<Full<Bytes>>> {
    let Route {
        call,
        names: [name, id],
        ..
    } = &route;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let query = &Query(&query);
    let answer = match call {
        Call::Health => health::answer(admin).await,
        Call::Readiness => health::readiness(admin).await,
        Call::Metrics => metrics::answer(admin).await,
        Call::Flows => reply(pending::flows(admin).await),
        Call::KeptSince => reply(pending::kept_since(admin, name, query).await),
        Call::Sample => reply(dashboard::sample(admin, name)),
        Call::Post => posted(admin, by, name, request).await?,
        Call::Decisions => reply(decisions::latest(admin, query).await),
        Call::Decision => reply(decisions::whole(admin, name, id).await),
        Call::Pending => reply(pending::pending(admin, query).await),
        Call::Why => reply(why::why(admin, name, id).await),
        Call::Oracles => reply(oracles::list(admin).await),
        Call::Rollback => {
            let Nothing {} = body(request).await?;
            reply(oracles::rollback(admin, by, name).await)
        }
        Call::Pin => reply(oracles::pin(admin, by, name, &body(request).await?).await),
        Call::Unpin => {
            let Nothing {} = body(request).await?;
            reply(oracles::unpin(admin, by, name).await)
        }
        Call::Component => match oracles::component(admin, name).await {
            Ok(bytes) => whole(StatusCode::OK, "application/wasm", bytes),
            Err(error) => refuse(&error),
        },
        Call::Dead => reply(dead::list(admin, query).await),
        Call::DeadLetter => reply(dead::show(admin, name, id).await),
        Call::Requeue => reply(dead::requeue(admin, by, &body(request).await?).await),
        Call::Rehearse => reply(rehearse::rehearse(admin, &body(request).await?).await),
        Call::Purge => reply(dead::purge(admin, by, &body(request).await?).await),
        Call::Query => reply(self::query::query(admin, &body(request).await?).await),
        Call::Erase => reply(erase::erase(admin, by, &body(request).await?).await),
        Call::Audit => reply(audit::matching(admin, query).await),
        Call::Stream => return Ok(admin.dashboard.stream().map(Either::Right)),
    };
    Ok(answer.map(Either::Left))
}

/// A body for the front end may be as large as its flow allows.
async fn posted(
    admin: &Admin,
    by: &Caller,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Response<Full<Bytes>>> {
    let flow = admin.flow(name).map_err(|error| refuse(&error))?;
    let (parts, body) = request.into_parts();
    let post = dashboard::Post {
        flow: &flow,
        headers: &parts.headers,
        body: bytes_of(body, flow.admit.max_body).await?,
    };
    Ok(reply(dashboard::post(admin, by, post).await))
}

/// The parameters of a query string. The values are names, ids and numbers.
pub(super) struct Query<'a>(&'a str);

impl Query<'_> {
    pub fn get(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.0.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
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

pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    Problem::of(status, detail).response()
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
