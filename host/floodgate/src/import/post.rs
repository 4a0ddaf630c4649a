//! Lines on their way, until each is taken or told to be bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::bad::BadLines;
use super::{Line, Progress};
use floodgate_flow::masked;
use floodgate_flow::{Digest, Flow, Inadmissible};
use floodgate_http::client::Client;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries where nobody says how long to wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries without an answer, after there had been one.
const TRIES: u32 = 120;
const LARGEST_ANSWER: usize = 16 << 20;

/// The front end that is posted to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Such as `http://127.0.0.1:8000`.
    pub url: String,
    /// An API key.
    pub key: Option<String>,
}

pub(super) struct Poster {
    target: Target,
    flow: Arc<Flow>,
    http: Client,
    bad: Arc<BadLines>,
    progress: Arc<Progress>,
    /// What tells this file from others, where ids are generated.
    file: Option<Digest>,
    stop: CancellationToken,
    answered: AtomicBool,
}

/// What the front end says of a request that it does not take.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    index: Option<usize>,
    #[serde(default)]
    pointer: String,
    message: String,
}

impl Poster {
    pub fn new(
        target: Target,
        flow: Arc<Flow>,
        bad: Arc<BadLines>,
        progress: Arc<Progress>,
        file: Option<Digest>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            target,
            flow,
            http: Client::default(),
            bad,
            progress,
            file,
            stop,
            answered: AtomicBool::new(false),
        }
    }

    /// Posts these lines until they are taken, or bad.
    ///
    /// # Errors
    /// When nobody answers, or the front end does not let this client in.
    pub async fn post(&self, lines: Vec<Line>) -> anyhow::Result<()> {
        let mut left = vec![lines];
        let mut silent = 0;
        while let Some(lines) = left.pop() {
            let (status, headers, answer) = match self.send(&lines).await {
                Ok(answer) => answer,
                Err(error) => {
                    silent += 1;
                    if silent >= TRIES || !self.answered.load(Ordering::Relaxed) {
                        let url = masked::url(&self.target.url);
                        return Err(error).with_context(|| {
                            format!("no Floodgate answers at {url}; start one or name it with --url, then run it again")
                        });
                    }
                    left.push(lines);
                    self.pause(PAUSE).await?;
                    continue;
                }
            };
            silent = 0;
            self.answered.store(true, Ordering::Relaxed);
            let problem: Problem = serde_json::from_slice(&answer).unwrap_or_default();
            match status {
                status if status.is_success() => self.taken(&lines, &headers),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    left.push(lines);
                    self.pause(retry_after(&headers)).await?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    bail!("{}; name a key with --key", problem.detail)
                }
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => bail!(
                    "{} has no flow at {}: {}",
                    masked::url(&self.target.url),
                    self.flow.admit.path,
                    problem.detail
                ),
                status if status.is_client_error() => left.extend(self.sort_out(lines, &problem)?),
                status => bail!(
                    "{} answered {status}: {}",
                    masked::url(&self.target.url),
                    problem.detail
                ),
            }
        }
        Ok(())
    }

    /// # Errors
    /// When it is to stop: whoever waits has not been taken.
    async fn pause(&self, pause: Duration) -> anyhow::Result<()> {
        let paused = self.stop.run_until_cancelled(tokio::time::sleep(pause));
        paused
            .await
            .context("stopped while waiting for the front end")
    }

    async fn send(&self, lines: &[Line]) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let url = format!(
            "{}{}",
            self.target.url.trim_end_matches('/'),
            self.flow.admit.path
        );
        let mut request = Request::post(&url).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.target.key {
            request = request.header("x-api-key", key);
        }
        if let (Some(file), Some(line)) = (self.file, lines.first()) {
            request = request.header("idempotency-key", idempotency_key(file, line));
        }
        let request = request
            .body(Full::new(self.body(lines)))
            .context("--url or --key is not one")?;
        let answer = self.http.call(request, TIMEOUT, LARGEST_ANSWER).await?;
        let (parts, body) = answer.into_parts();
        Ok((parts.status, parts.headers, body))
    }

    fn body(&self, lines: &[Line]) -> Bytes {
        match lines {
            [line] if !self.flow.admit.batch => line.json.clone(),
            lines => {
                let size: usize = lines.iter().map(|line| line.json.len() + 1).sum();
                let mut body = Vec::with_capacity(size + 2);
                body.push(b'[');
                for (index, line) in lines.iter().enumerate() {
                    if index > 0 {
                        body.push(b',');
                    }
                    body.extend_from_slice(&line.json);
                }
                body.push(b']');
                body.into()
            }
        }
    }

    fn taken(&self, lines: &[Line], headers: &HeaderMap) {
        let count = lines.len() as u64;
        self.progress.taken.fetch_add(count, Ordering::Relaxed);
        if headers.contains_key("idempotent-replayed") {
            self.progress
                .already_there
                .fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Writes down the lines that are bad; returns what is to be sent again
    /// without them. Where nothing says which, halves tell.
    fn sort_out(&self, mut lines: Vec<Line>, problem: &Problem) -> anyhow::Result<Vec<Vec<Line>>> {
        if let [line] = &lines[..] {
            let first = problem.errors.first();
            let reason = first.map_or(problem.detail.clone(), ItemError::to_string);
            self.bad_line(line, &reason)?;
            return Ok(Vec::new());
        }
        let named: Vec<_> = problem
            .errors
            .iter()
            .filter_map(|error| Some((error.index?, error.to_string())))
            .collect();
        if named.is_empty() {
            let half = lines.split_off(lines.len() / 2);
            return Ok(vec![half, lines]);
        }
        let mut left = Vec::with_capacity(lines.len());
        for (index, line) in lines.into_iter().enumerate() {
            match named.iter().find(|(bad, _)| *bad == index) {
                Some((_, reason)) => self.bad_line(&line, reason)?,
                None => left.push(line),
            }
        }
        Ok(Some(left)
            .filter(|left| !left.is_empty())
            .into_iter()
            .collect())
    }

    fn bad_line(&self, line: &Line, reason: &str) -> anyhow::Result<()> {
        self.progress.bad.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(&line.json);
        self.bad.write(line.number, reason, &text)
    }
}

impl std::fmt::Display for ItemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.pointer, self.message),
        }
    }
}

/// The same line of the same file is the same request.
fn idempotency_key(file: Digest, line: &Line) -> String {
    format!("import-{file}-{}", line.number)
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|after| after.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}

/// What is wrong with a line, for a person.
pub(super) fn reason(inadmissible: &Inadmissible) -> String {
    match inadmissible {
        Inadmissible::Invalid(violations) => {
            let told = violations.iter().map(|violation| {
                let (pointer, message) = (&violation.pointer, &violation.message);
                match pointer.is_empty() {
                    true => message.clone(),
                    false => format!("{pointer}: {message}"),
                }
            });
            told.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
