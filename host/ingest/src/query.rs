//! Statistics: a path that answers by SQL over all that the flow ever kept.
//! floodgate-archive finds the rows; here is who may ask, and for what.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode, Uri};
use tracing::{debug, error, warn};

use super::admit::Admission;
use super::gate::limited;
use super::meter::QueryMeter;
use super::{Refusal, Response, respond};
use floodgate_archive_client::{self as archive, Answer, Archive, Skipped};
use floodgate_flow::{Asked, Filled, Name, Query, Values};
use floodgate_http::Peer;
use floodgate_process::seldom::Seldom;

/// How many files were left out of the answer, because they cannot be read.
static FLOODGATE_INCOMPLETE: HeaderName = HeaderName::from_static("floodgate-incomplete");

// What anybody may set off by asking is told now and then.
static SKIPPED: Seldom = Seldom::new();
static FAILED: Seldom = Seldom::new();
static REFUSED: Seldom = Seldom::new();

/// Answers one `[[query]]` of a flow.
pub(super) struct Querying {
    /// Of the flow, whose keys and rate hold here, too.
    admission: Arc<Admission>,
    query: Arc<Query>,
    archive: Arc<Archive>,
    meter: QueryMeter,
}

impl Querying {
    pub fn new(admission: &Arc<Admission>, query: &Arc<Query>, archive: &Arc<Archive>) -> Self {
        Self {
            meter: QueryMeter::of(&admission.flow.name, &query.path),
            admission: Arc::clone(admission),
            query: Arc::clone(query),
            archive: Arc::clone(archive),
        }
    }

    pub async fn answer(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        request_id: &str,
        peer: &Peer,
    ) -> Result<Response, Refusal> {
        let began = Instant::now();
        let answer = self.answer_by_limits(headers, uri, request_id, peer).await;
        self.meter.answered(began.elapsed());
        match &answer {
            Ok(response) if response.status().is_success() => self.meter.ended("answered"),
            // It was counted where it was refused.
            Ok(_) => {}
            Err(refusal) => self.meter.ended(refusal.code()),
        }
        answer
    }

    async fn answer_by_limits(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        request_id: &str,
        peer: &Peer,
    ) -> Result<Response, Refusal> {
        let caller = self.admission.caller(headers)?;
        let owner = caller.as_ref().map(|caller| &*caller.owner);
        let allowance = self.admission.allowance(owner, peer).await?;
        let answer = pin!(self.ask(uri.query().unwrap_or_default()));
        let refused = |refusal: &Refusal| self.meter.ended(refusal.code());
        limited(allowance.as_ref(), request_id, answer, refused).await
    }

    async fn ask(&self, query: &str) -> Result<Response, Refusal> {
        let asked = self.query.ask(query).map_err(Refusal::BadParameters)?;
        let milliseconds = |time: std::time::Duration| time.as_millis() as u64;
        let sent = archive::Query {
            flow: self.admission.flow.name.as_str(),
            sql: &asked.sql,
            parameters: &asked.bound,
            timeout_ms: milliseconds(self.query.timeout),
            cache_ms: self.query.cache.map_or(0, milliseconds),
            explain: false,
        };
        let answer = self.archive.query(&sent).await;
        let answer = answer.map_err(|error| self.refusal(error))?;
        let found = Found {
            asked: &asked,
            rows: &objects(&answer),
        };
        let mut reply = Vec::with_capacity(found.rows.len() + 256);
        self.query.reply.render(&found, &mut reply);
        let mut response = respond(StatusCode::OK, reply);
        self.tell_how_good(response.headers_mut(), &answer.skipped);
        Ok(response)
    }

    /// An answer that is not whole is good for nobody else.
    fn tell_how_good(&self, headers: &mut HeaderMap, skipped: &[Skipped]) {
        let flow = &self.admission.flow;
        for Skipped { file, why } in skipped {
            let Some(times) = SKIPPED.now() else { break };
            warn!(flow = %flow.name, path = &*self.query.path, file, why, times, "file left out of an answer");
        }
        let (name, value) = match (skipped.len(), self.query.cache) {
            (0, None) => return,
            (0, Some(cache)) => {
                // Whoever has no key must not be answered from a cache between.
                let kept = if flow.admit.keys { "private, " } else { "" };
                let value = format!("{kept}max-age={}", cache.as_secs());
                (&CACHE_CONTROL, value)
            }
            (files, _) => (&FLOODGATE_INCOMPLETE, format!("{files} files")),
        };
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name.clone(), value);
        }
    }

    /// Addresses and SQL are for the log, and not for clients.
    fn refusal(&self, error: archive::Error) -> Refusal {
        let (flow, path) = (&self.admission.flow.name, &*self.query.path);
        match error {
            archive::Error::NotConfigured => {
                debug!(%flow, path, "query without an archive");
                Refusal::NoArchive
            }
            archive::Error::Away { .. } | archive::Error::NotLetIn { .. } => {
                if let Some(times) = FAILED.now() {
                    warn!(%flow, path, %error, times, "query not answered");
                }
                Refusal::ArchiveAway
            }
            archive::Error::Refused { status, detail } => match status.as_u16() {
                413 => Refusal::AnswerTooLarge(detail),
                504 => Refusal::QueryTimeout(self.query.timeout),
                507 => Refusal::QueryMemory(detail),
                status @ (400 | 422) => {
                    if let Some(times) = REFUSED.now() {
                        error!(%flow, path, status, detail, times, "query refused by floodgate-archive");
                    }
                    Refusal::QueryRefused
                }
                // It does not know the flow, say, or what it stands on is away:
                // another SQL would be answered no better.
                status => {
                    if let Some(times) = FAILED.now() {
                        warn!(%flow, path, status, detail, times, "query not answered");
                    }
                    Refusal::ArchiveAway
                }
            },
        }
    }
}

/// What a reply is made of.
struct Found<'a> {
    asked: &'a Asked,
    rows: &'a str,
}

impl Values for Found<'_> {
    fn value(&self, name: Name) -> Filled<'_> {
        match name {
            Name::Rows => Filled::Written(self.rows),
            _ => Filled::Null,
        }
    }

    fn parameter(&self, name: &str) -> Filled<'_> {
        let value = self.asked.shown.get(name);
        value.map_or(Filled::Null, Filled::Json)
    }
}

/// `[{"column":value,...},...]`, in the order of the columns.
fn objects(answer: &Answer) -> String {
    let columns = answer.columns.iter();
    let names: Vec<String> = columns
        .map(|column| serde_json::Value::from(&*column.name).to_string())
        .collect();
    let mut json = String::from("[");
    for (index, row) in answer.rows.iter().enumerate() {
        json.push_str(if index == 0 { "{" } else { ",{" });
        for (column, (name, value)) in names.iter().zip(row).enumerate() {
            if column > 0 {
                json.push(',');
            }
            json.push_str(name);
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
    }
    json.push(']');
    json
}
