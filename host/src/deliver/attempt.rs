//! One attempt to deliver one decision.

use std::time::Duration;

use hyper::StatusCode;
use tracing::warn;

use super::client::{HttpClient, NoAnswer};
use crate::boot_time::BootTime;
use crate::ledger::{Error, LeasedDelivery, Outbox, Route, Undelivered};

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there.
    Delivered,
    /// Somebody else has it by now.
    Lost,
    Failed(Failure),
    /// Its attempts are used up and the downstream says that it is not there.
    GivenUp {
        error: String,
    },
}

#[derive(Debug)]
pub(super) struct Failure {
    error: String,
    kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Nothing was sent: it uses up nothing.
    NotConnected,
    /// The downstream said no.
    Refused,
    /// The downstream may still be about to write it.
    Unknown,
}

pub(super) struct Attempt<'a> {
    pub route: &'a Route,
    pub http: &'a HttpClient,
    pub outbox: &'a dyn Outbox,
    pub leased: &'a LeasedDelivery,
    /// From when on others may take it up.
    pub lease_ends: BootTime,
}

impl FailureKind {
    pub const ALL: [Self; 3] = [Self::NotConnected, Self::Refused, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not-connected",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl Failure {
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// That the downstream cannot be reached, or does not answer.
    pub fn is_away(&self) -> bool {
        self.kind != FailureKind::Refused
    }

    pub fn undelivered(self, route: &Route, attempts: u32) -> Undelivered {
        let downstream = &route.downstream;
        let attempt = self.kind != FailureKind::NotConnected;
        let used = attempts + u32::from(attempt);
        let backoff = downstream.retry.backoff(used.max(1));
        let uncertain = self.kind == FailureKind::Unknown;
        Undelivered {
            error: format!("{}: {}", downstream.name, self.error),
            attempt,
            uncertain,
            again_after: match uncertain {
                true => backoff.max(downstream.quiet),
                false => backoff,
            },
        }
    }
}

impl Attempt<'_> {
    /// Asks, and posts only what the downstream says that it has not.
    ///
    /// # Errors
    /// When the outbox does not answer: then nothing was posted since.
    pub async fn make(&self) -> Result<Outcome, Error> {
        let used_up = self.leased.attempts >= self.route.downstream.retry.attempts;
        match self.ask().await {
            Some(Ok(true)) => return Ok(Outcome::Delivered),
            Some(Ok(false)) | None => {}
            Some(Err(failure)) if used_up && failure.kind != FailureKind::NotConnected => {
                return Ok(self.given_up());
            }
            Some(Err(failure)) => return Ok(Outcome::Failed(failure)),
        }
        if used_up {
            return Ok(self.given_up());
        }
        if !self.outbox.begin_post(self.route, &self.leased.id).await? || !self.has_time() {
            return Ok(Outcome::Lost);
        }
        Ok(self.post().await)
    }

    /// The process may have stood still since the lease was taken.
    fn has_time(&self) -> bool {
        let posted = BootTime::now().plus(self.route.downstream.timeout);
        let in_time = posted < self.lease_ends;
        if !in_time {
            warn!(flow = %self.route.flow, downstream = %self.route.downstream.name, "lease nearly over, leaving a delivery to others");
        }
        in_time
    }

    fn given_up(&self) -> Outcome {
        let error = self.leased.error.clone();
        Outcome::GivenUp {
            error: error.unwrap_or_else(|| "attempts used up".to_owned()),
        }
    }

    /// Whether it is there; `None` where nobody can be asked.
    async fn ask(&self) -> Option<Result<bool, Failure>> {
        let downstream = &self.route.downstream;
        let url = downstream.exists.as_ref()?.of(&self.leased.id);
        Some(match self.http.get(&url, downstream.timeout).await {
            Ok(StatusCode::OK) => Ok(true),
            Ok(StatusCode::NOT_FOUND) => Ok(false),
            Ok(status) => Err(answered("GET", &url, status)),
            Err(no_answer) => Err(unanswered("GET", &url, &no_answer)),
        })
    }

    async fn post(&self) -> Outcome {
        let downstream = &self.route.downstream;
        let url = downstream.url.of(&self.leased.id);
        let body = self.leased.body.clone();
        let answer = self
            .http
            .post(&url, &self.leased.id, body, downstream.timeout);
        match answer.await {
            Ok(status) if status.is_success() => Outcome::Delivered,
            Ok(status) => Outcome::Failed(answered("POST", &url, status)),
            Err(no_answer) => Outcome::Failed(unanswered("POST", &url, &no_answer)),
        }
    }
}

/// What stands before a service may answer while the service goes on writing.
fn answered(method: &str, url: &str, status: StatusCode) -> Failure {
    let by_a_gateway = matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    let followed = match status.is_redirection() {
        true => ", redirects are not followed",
        false => "",
    };
    Failure {
        error: format!("{method} {url} answered {}{followed}", status.as_u16()),
        kind: match by_a_gateway {
            true => FailureKind::Unknown,
            false => FailureKind::Refused,
        },
    }
}

fn unanswered(method: &str, url: &str, no_answer: &NoAnswer) -> Failure {
    Failure {
        error: format!("{method} {url}: {no_answer}"),
        kind: match no_answer {
            NoAnswer::NotConnected(_) => FailureKind::NotConnected,
            NoAnswer::Timeout(_) | NoAnswer::Broken(_) => FailureKind::Unknown,
        },
    }
}

/// A lease outlasts the longest attempt: asking, posting, and writing it down.
pub(super) fn lease(timeout: Duration) -> Duration {
    timeout * 2 + Duration::from_secs(5)
}
