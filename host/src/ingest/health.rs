use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::Response;

/// Asks the services behind the front end how they are. Answers within a
/// second or two, whatever they do.
pub type Health = Arc<dyn Fn() -> BoxFuture<'static, HealthReport> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Ok,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthReport {
    pub redis: Part,
    pub postgres: Part,
}

impl HealthReport {
    /// 200, or 503 where a part is away.
    pub(super) fn response(self) -> Response {
        #[derive(Serialize)]
        struct Page {
            status: &'static str,
            redis: Part,
            postgres: Part,
        }
        let (redis, postgres) = (self.redis, self.postgres);
        let (status, code) = match (redis, postgres) {
            (Part::Ok, Part::Ok) => ("ok", StatusCode::OK),
            _ => ("degraded", StatusCode::SERVICE_UNAVAILABLE),
        };
        let page = Page {
            status,
            redis,
            postgres,
        };
        let page = serde_json::to_vec(&page).unwrap_or_default();
        let mut response = Response::new(Bytes::from(page).into());
        *response.status_mut() = code;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
