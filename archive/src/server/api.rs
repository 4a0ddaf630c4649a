use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;

use super::Metrics;
use super::problem::{Body, in_parts, json, problem, refused, whole};
use crate::cold::{self, Store};
use crate::flows::{self, Column, Flows};
use crate::ledger::{self, Ledger};
use crate::moving::{self, Mover};
use crate::query::{Answer, Engine, Parameters, Question};

/// The longest statement and all of its values.
const MAX_BODY: usize = 256 * 1024;

/// How long the body of a call may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a question has where it says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// No question may hold its memory for longer.
const LONGEST: Duration = Duration::from_secs(600);

/// What is moved on a schedule is in no hurry, and the ledger has entries to keep.
const REST: u32 = 4;

/// How long an erasure waits for a pass to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the ledger and the cold tier have to say that they are there.
const PING: Duration = Duration::from_secs(5);

/// All that calls need.
pub struct Service {
    pub engine: Engine,
    pub ledger: Arc<dyn Ledger>,
    pub cold: Store,
    pub mover: Mover,
    /// The directory of the flow files.
    pub flows: PathBuf,
    pub metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    flow: String,
    sql: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    cache_ms: u64,
    #[serde(default)]
    explain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    flow: String,
    sql: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Erase {
    flow: String,
    id: String,
}

#[derive(Serialize)]
struct Answered<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    cached: bool,
}

struct Rows(Arc<Answer>);

impl AsRef<[u8]> for Rows {
    fn as_ref(&self) -> &[u8] {
        self.0.rows.get().as_bytes()
    }
}

impl Service {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().trim_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        match segments[..] {
            // The one for whoever looks; the other one for a host, which finds out
            // whether it is let in.
            ["healthz" | "readyz"] if get => self.health().await,
            ["metrics"] if get => {
                let text = self.metrics.render();
                whole(StatusCode::OK, "text/plain; version=0.0.4", text)
            }
            ["query"] if post => match body(request).await {
                Ok(query) => self.query(query).await,
                Err(refusal) => refusal,
            },
            ["plan"] if post => match body::<Plan>(request).await {
                Ok(plan) => self.plan(&plan).await,
                Err(refusal) => refusal,
            },
            ["run"] if post => match body(request).await {
                Ok(Nothing {}) => self.run().await,
                Err(refusal) => refusal,
            },
            ["erase"] if post => match body(request).await {
                Ok(erase) => self.erase(erase).await,
                Err(refusal) => refusal,
            },
            ["forget"] if post => match body(request).await {
                Ok(Nothing {}) => {
                    self.engine.forget();
                    json(StatusCode::OK, &json!({}))
                }
                Err(refusal) => refusal,
            },
            ["entries", flow, file, id] if get => match file.parse() {
                Ok(file) => self.entry(&decoded(flow), file, &decoded(id)).await,
                Err(_) => problem(StatusCode::NOT_FOUND, "a file has a number"),
            },
            ["healthz" | "readyz" | "metrics"]
            | ["query" | "plan" | "run" | "erase" | "forget"] => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "another method is answered here",
            ),
            _ => problem(StatusCode::NOT_FOUND, "nothing is here"),
        }
    }

    async fn health(&self) -> Response<Body> {
        let away = |detail: String| problem(StatusCode::SERVICE_UNAVAILABLE, &detail);
        let looked = async {
            self.ledger
                .ping()
                .await
                .map_err(|error| error.to_string())?;
            self.cold.ping().await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(PING, looked).await {
            Ok(Ok(())) => json(
                StatusCode::OK,
                &json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "ledger": self.ledger.kind(),
                    "cold": self.cold.url().as_str(),
                }),
            ),
            Ok(Err(why)) => away(why),
            Err(_) => away(format!("neither said that it is there within {PING:?}")),
        }
    }

    async fn query(&self, query: Query) -> Response<Body> {
        let timeout = query.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let question = Question {
            flow: query.flow,
            sql: query.sql,
            parameters: query.parameters,
            timeout: timeout.min(LONGEST),
            cache: Duration::from_millis(query.cache_ms),
            explain: query.explain,
        };
        match self.engine.answer(question).await {
            Ok((answer, cached)) => answered(answer, cached),
            Err(error) => refused(&error),
        }
    }

    async fn plan(&self, plan: &Plan) -> Response<Body> {
        match self
            .engine
            .check(&plan.flow, &plan.sql, &plan.parameters)
            .await
        {
            Ok(()) => json(StatusCode::OK, &json!({})),
            Err(error) => refused(&error),
        }
    }

    /// Goes on where the caller does not wait for its end.
    async fn run(&self) -> Response<Body> {
        let dir = self.flows.clone();
        let Flows { flows, broken } = match read(move || flows::load(&dir)).await {
            Ok(Ok(flows)) => flows,
            Ok(Err(error)) => return failed(&error),
            Err(refusal) => return refusal,
        };
        let mut mover = self.mover.clone();
        mover.limits.rest = REST;
        let pass = tokio::spawn(async move { mover.run(&flows, Timestamp::now()).await });
        match pass.await {
            Ok(Ok(mut report)) => {
                report.left_out(&broken);
                json(StatusCode::OK, &report)
            }
            Ok(Err(error)) => not_moved(&error),
            Err(error) => failed(&error),
        }
    }

    async fn erase(&self, erase: Erase) -> Response<Body> {
        let columns = match self.columns(&erase.flow).await {
            Ok(columns) => columns,
            Err(refusal) => return refusal,
        };
        let mover = self.mover.clone();
        let erased = tokio::spawn(async move {
            mover
                .erase(&erase.flow, &columns, &erase.id, PATIENCE)
                .await
        });
        match erased.await {
            Ok(Ok(files)) => {
                self.engine.forget();
                json(StatusCode::OK, &json!({ "files": files }))
            }
            Ok(Err(error)) => not_moved(&error),
            Err(error) => failed(&error),
        }
    }

    /// None of a flow that is gone, or whose file is broken: what it kept is
    /// there all the same, and is read without them.
    async fn columns(&self, flow: &str) -> Result<Vec<Column>, Response<Body>> {
        let (dir, name) = (self.flows.clone(), flow.to_owned());
        match read(move || flows::find(&dir, &name)).await? {
            Ok(flow) => Ok(flow.map(|flow| flow.columns).unwrap_or_default()),
            Err(error @ flows::Error::Directory { .. }) => Err(failed(&error)),
            Err(error) => {
                warn!(flow, %error, "an entry is erased without the columns of its flow");
                Ok(Vec::new())
            }
        }
    }

    async fn entry(&self, flow: &str, file: i64, id: &str) -> Response<Body> {
        match self.engine.entry(flow, file, id).await {
            Ok(Some(entry)) => json(StatusCode::OK, &entry),
            Ok(None) => problem(StatusCode::NOT_FOUND, "no file has this entry"),
            Err(error) => refused(&error),
        }
    }
}

/// The rows stay where they are: there may be 64 MiB of them.
fn answered(answer: Arc<Answer>, cached: bool) -> Response<Body> {
    let answered = Answered {
        answer: &answer,
        cached,
    };
    match serde_json::to_vec(&answered) {
        Ok(mut head) => {
            // In place of the brace that closes it.
            head.pop();
            head.extend_from_slice(b",\"rows\":");
            let rows = Bytes::from_owner(Rows(answer));
            let parts = [head.into(), rows, Bytes::from_static(b"}")];
            in_parts(StatusCode::OK, "application/json", parts)
        }
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn read<T: Send + 'static>(
    files: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response<Body>> {
    let read = tokio::task::spawn_blocking(files).await;
    read.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> Response<Body> {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

fn not_moved(error: &moving::Error) -> Response<Body> {
    use moving::Error::{Busy, Cold, Ledger, Left};
    let status = match error {
        Busy => StatusCode::CONFLICT,
        Ledger(ledger::Error::Away(_)) | Cold(cold::Error::Store { .. }) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Ledger(_) | Cold(_) | Left(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    problem(status, &error.to_string())
}

/// The body of a call, or the refusal of one that is none.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Body>> {
    let whole = Limited::new(request.into_body(), MAX_BODY).collect();
    let whole = match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let detail = format!("more than {MAX_BODY} bytes");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &detail));
        }
        Ok(Err(error)) => return Err(problem(StatusCode::BAD_REQUEST, &error.to_string())),
        Err(_) => {
            return Err(problem(
                StatusCode::REQUEST_TIMEOUT,
                "its body took too long",
            ));
        }
    };
    serde_json::from_slice(&whole)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
