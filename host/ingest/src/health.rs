use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::StatusCode;
use serde::Serialize;

use super::{Response, respond};

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
    /// Reports of each part only whether it answers, because errors are not meant for
    /// clients.
    pub fn of(redis: bool, postgres: bool) -> Self {
        let part = |answers| if answers { Part::Ok } else { Part::Error };
        Self {
            redis: part(redis),
            postgres: part(postgres),
        }
    }

    pub(super) fn is_ok(self) -> bool {
        (self.redis, self.postgres) == (Part::Ok, Part::Ok)
    }

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
        respond(code, serde_json::to_vec(&page).unwrap_or_default())
    }
}
