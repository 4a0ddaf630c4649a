use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Admin, api};
use floodgate_archive_client as archive;
use floodgate_backbone::Backbone;
use floodgate_ledger::Ledger;
use floodgate_process::fresh::within;

/// With its remedy: the archive itself answers all who ask whether it is well.
const OTHER_TOKEN: &str = "wants another token, see --archive-token-file";

/// Whether the parts that Floodgate stands on answer.
#[derive(Debug)]
pub struct Health {
    pub redis: Result<(), String>,
    pub postgres: Result<(), String>,
}

pub async fn health(backbone: &dyn Backbone, ledger: &dyn Ledger) -> Health {
    let (redis, postgres) = tokio::join!(within(backbone.ping()), within(ledger.ping()));
    Health {
        redis: redis.map_err(|error| error.to_string()),
        postgres: postgres.map_err(|error| error.to_string()),
    }
}

/// `ok`, `away`, `not configured` or [`OTHER_TOKEN`], where a flow has something
/// for it to do. Nothing that is taken or decided waits for it, so all is well
/// without it.
async fn archive_of(admin: &Admin) -> Option<&'static str> {
    if !admin.flows.borrow().all().any(|flow| flow.needs_archive()) {
        return None;
    }
    match admin.archive.ping().await {
        Ok(()) => Some("ok"),
        Err(archive::Error::NotConfigured) => Some("not configured"),
        Err(archive::Error::NotLetIn { .. }) => Some(OTHER_TOKEN),
        Err(archive::Error::Away { .. } | archive::Error::Refused { .. }) => Some("away"),
    }
}

impl Health {
    pub fn is_ok(&self) -> bool {
        self.redis.is_ok() && self.postgres.is_ok()
    }

    fn members(&self) -> Map<String, Value> {
        let word = |part: &Result<(), String>| if part.is_ok() { "ok" } else { "error" };
        let mut map = Map::new();
        let status = if self.is_ok() { "ok" } else { "degraded" };
        map.insert("status".into(), json!(status));
        map.insert("redis".into(), json!(word(&self.redis)));
        map.insert("postgres".into(), json!(word(&self.postgres)));
        map
    }

    pub fn status(&self) -> StatusCode {
        if self.is_ok() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// `{"status":"ok","redis":"ok","postgres":"ok"}`; which address is away is in
/// the log and not in the answer, which anybody may ask for.
impl Serialize for Health {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::Object(self.members()).serialize(serializer)
    }
}

pub(super) async fn answer(admin: &Admin) -> Response<Full<Bytes>> {
    let (health, archive) =
        tokio::join!(health(&*admin.backbone, &*admin.ledger), archive_of(admin));
    let mut members = health.members();
    if let Some(archive) = archive {
        members.insert("archive".into(), json!(archive));
    }
    api::respond(health.status(), "application/json", &members)
}

pub(super) async fn readiness(admin: &Admin) -> Response<Full<Bytes>> {
    let report = admin.readiness.report().await;
    api::respond(report.status(), "application/json", &report)
}
