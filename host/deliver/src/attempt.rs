//! One attempt to deliver one decision.

use std::time::Duration;

use hyper::StatusCode;
use tracing::warn;

use super::client::{HttpClient, Unsent};
use floodgate_flow::masked;
use floodgate_http::client::NoAnswer;
use floodgate_ledger::{Error, LeasedDelivery, Outbox, Route, Undelivered};
use floodgate_process::boot_time::BootTime;

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
    /// No request can name it.
    Undeliverable {
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
    /// The question whether it is there was not answered with yes or no:
    /// nothing was posted, and it uses up nothing.
    NotAsked,
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
    pub const ALL: [Self; 4] = [
        Self::NotConnected,
        Self::NotAsked,
        Self::Refused,
        Self::Unknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not-connected",
            Self::NotAsked => "not-asked",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl Failure {
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Says what becomes of the delivery. While the downstream is left alone
    /// (`away`) nothing uses up an attempt, and the circuit breaker decides
    /// when it is tried again.
    pub fn undelivered(self, route: &Route, leased: &LeasedDelivery, away: bool) -> Undelivered {
        let downstream = &route.downstream;
        let retry = &downstream.retry;
        let attempt = !away && matches!(self.kind, FailureKind::Refused | FailureKind::Unknown);
        let unanswered = !away && self.kind == FailureKind::NotAsked;
        let pause = match attempt || unanswered {
            true => retry.backoff(leased.attempts.saturating_add(leased.unanswered + 1)),
            false => retry.backoff(1),
        };
        let uncertain = self.kind == FailureKind::Unknown;
        Undelivered {
            error: format!("{}: {}", downstream.name, self.error),
            attempt,
            unanswered,
            uncertain,
            again_after: match uncertain {
                true => pause.max(downstream.quiet),
                false => pause,
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
        let downstream = &self.route.downstream;
        if let Err(error) = downstream.takes(&self.leased.id) {
            let error = format!("{}: {error}", downstream.name);
            return Ok(Outcome::Undeliverable { error });
        }
        match self.ask().await {
            Some(Ok(true)) => return Ok(Outcome::Delivered),
            Some(Ok(false)) | None => {}
            Some(Err(ended)) => return Ok(ended),
        }
        if self.leased.attempts >= downstream.retry.attempts {
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

    /// Whether it is there; `None` where nobody can be asked. Whatever the
    /// answer is but yes or no, it says nothing of the entry.
    async fn ask(&self) -> Option<Result<bool, Outcome>> {
        let downstream = &self.route.downstream;
        let url = downstream.exists.as_ref()?.of(&self.leased.id);
        Some(match self.http.get(&url, downstream.timeout).await {
            Ok(StatusCode::OK) => Ok(true),
            Ok(StatusCode::NOT_FOUND) => Ok(false),
            Ok(status) => Err(Outcome::Failed(Failure {
                error: answered("GET", &url, status),
                kind: FailureKind::NotAsked,
            })),
            Err(unsent) => Err(unanswered("GET", &url, &unsent, FailureKind::NotAsked)),
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
            Ok(status) => Outcome::Failed(Failure {
                error: answered("POST", &url, status),
                kind: match is_of_a_gateway(status) {
                    true => FailureKind::Unknown,
                    false => FailureKind::Refused,
                },
            }),
            Err(unsent) => unanswered("POST", &url, &unsent, FailureKind::Unknown),
        }
    }
}

/// What stands before a service may answer while the service goes on writing.
fn is_of_a_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn answered(method: &str, url: &str, status: StatusCode) -> String {
    let followed = match status.is_redirection() {
        true => ", redirects are not followed",
        false => "",
    };
    let url = masked::url(url);
    format!("{method} {url} answered {}{followed}", status.as_u16())
}

/// `sent`: what it is where the request may have arrived.
fn unanswered(method: &str, url: &str, unsent: &Unsent, sent: FailureKind) -> Outcome {
    let error = format!("{method} {}: {unsent}", masked::url(url));
    let kind = match unsent {
        Unsent::Impossible(_) => return Outcome::Undeliverable { error },
        Unsent::NoAnswer(NoAnswer::NotConnected(_)) => FailureKind::NotConnected,
        Unsent::NoAnswer(_) => sent,
    };
    Outcome::Failed(Failure { error, kind })
}

/// A lease outlasts the longest attempt: asking, posting, and writing it down.
pub(super) fn lease(timeout: Duration) -> Duration {
    timeout * 2 + Duration::from_secs(5)
}
