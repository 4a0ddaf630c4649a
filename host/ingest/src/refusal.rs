use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use tracing::debug;

use super::Response;
use super::idempotency::UNGUESSABLE;
use floodgate_flow::{BadParameter, NotJson, Violation};
use floodgate_http::Exhausted;
use floodgate_http::origin::NoHost;
use floodgate_http::problem::Problem;

/// Why a request is not answered with what it asked for. Its text is for the
/// client: it says whether sending again is safe, and never quotes a body.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the body is {0}; nothing was queued")]
    NotJson(#[from] NotJson),
    #[error("item {index} of the batch is {error}; nothing was queued")]
    ItemNotJson { index: usize, error: NotJson },
    #[error("an Idempotency-Key has 1 to 256 visible ASCII characters; nothing was queued")]
    BadIdempotencyKey,
    #[error(
        "without an API key an Idempotency-Key has at least {UNGUESSABLE} characters that nobody \
         guesses, such as a random UUID; nothing was queued"
    )]
    GuessableIdempotencyKey,
    #[error(transparent)]
    NoHost(#[from] NoHost),
    #[error(
        "a web page of another origin sent this; nothing was done. --cors-origin says which pages \
         may use this Floodgate"
    )]
    ForeignOrigin,
    #[error("the body ended before it was complete; nothing was queued, sending it again is safe")]
    BodyBroken,
    // Statistics are asked for by the same keys and at the same rate.
    #[error("this flow wants an API key in X-API-Key; nothing was done")]
    NoKey,
    #[error("this API key is not known; nothing was done")]
    WrongKey,
    #[error("this API key is for other flows; nothing was done")]
    KeyOfOtherFlows,
    #[error("more came than the flow takes; nothing was done, sending it again is safe")]
    RateLimited { retry_after: Duration },
    #[error(
        "Forwarded and X-Forwarded-For name different clients; the proxy has to remove the one \
         that it does not write"
    )]
    AmbiguousClient,
    #[error("nothing is served at this path")]
    NotFound,
    /// In the words of the flow file.
    #[error("{0}")]
    Untracked(Arc<str>),
    #[error("the query has no parameter {0}")]
    NoParameter(Arc<str>),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    #[error("the body did not arrive within {0:?}; nothing was queued, sending it again is safe")]
    BodyTimeout(Duration),
    #[error("an entry with this id was sent before with another body; the first one stands")]
    Conflict,
    #[error("the body is larger than {0}; nothing was queued")]
    TooLarge(ByteSize),
    #[error("a body is application/json, or a type that ends in +json; nothing was queued")]
    UnsupportedMediaType,
    #[error("a body is sent without Content-Encoding; nothing was queued")]
    UnsupportedEncoding,
    #[error("the body does not satisfy the schema; nothing was queued")]
    Invalid {
        /// 400 to 499, as the flow file says.
        status: u16,
        violations: Vec<Violation>,
    },
    /// Found while appending; the items that are not named were queued.
    #[error(
        "some items were not queued{}; the others were, and sending the batch again is safe",
        beyond(*.unnamed)
    )]
    Items {
        of: Box<Refusal>,
        violations: Vec<Violation>,
        /// How many more there are.
        unnamed: usize,
    },
    #[error("the flow waits for its oracle {0}; nothing was queued, sending it again is safe")]
    Waiting(String),
    #[error(
        "nothing can be stored in the ledger until somebody mends it; nothing was queued, sending it again is safe"
    )]
    LedgerUnusable,
    #[error(
        "the flow is held, because its oracle cannot judge at present; nothing was queued, sending it again is safe"
    )]
    Held,
    #[error("the backlog is full; nothing was queued, sending it again is safe")]
    BacklogFull { retry_after: Duration },
    #[error("the backbone's memory is nearly full; nothing was queued, sending it again is safe")]
    MemoryScarce,
    #[error(
        "the flow remembers as many ids as it may; nothing was queued, sending it again is safe"
    )]
    RememberFull,
    #[error("more is arriving than this process holds at a time; sending it again is safe")]
    Overloaded,
    #[error(
        "the ledger did not answer, which gives out the ids; nothing was queued, sending it again is safe"
    )]
    LedgerAway,
    #[error("the backbone did not answer; ask again")]
    BackboneSilent,
    #[error("the ledger did not answer; ask again")]
    LedgerSilent,
    #[error("the backbone did not answer; sending it again is safe")]
    BackboneAway,
    #[error("the parameters are not those that this path takes")]
    BadParameters(Vec<BadParameter>),
    /// Statistics, or an entry that left the ledger.
    #[error(
        "this comes from floodgate-archive, and this Floodgate knows of none: start \
         floodgate-archive serve, and name it with --archive-url (FLOODGATE_ARCHIVE_URL)"
    )]
    NoArchive,
    #[error(
        "statistics come from floodgate-archive, which does not answer, or not as it should: \
         start floodgate-archive serve, or see in the log of this host what is wrong, and ask again"
    )]
    ArchiveAway,
    #[error(
        "the entry left the ledger, and floodgate-archive, which keeps it, did not answer; ask again"
    )]
    ArchiveSilent,
    #[error("the query did not end within {0:?}; ask for less")]
    QueryTimeout(Duration),
    /// In the words of the archive.
    #[error("the query took more memory than there is for it; ask for less: {0}")]
    QueryMemory(String),
    /// In the words of the archive.
    #[error("there is more to answer than fits; ask for less: {0}")]
    AnswerTooLarge(String),
    /// The flow file is to blame.
    #[error("floodgate-archive refused the SQL of this path; the log of this host says why")]
    QueryRefused,
}

fn beyond(unnamed: usize) -> String {
    match unnamed {
        0 => String::new(),
        more => format!(", {more} more than are named here"),
    }
}

impl From<Exhausted> for Refusal {
    fn from(Exhausted: Exhausted) -> Self {
        Self::Overloaded
    }
}

/// What is wrong with a body, or with parameters.
#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'r> {
    Body(&'r [Violation]),
    Parameters(&'r [BadParameter]),
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotJson(_)
            | Self::ItemNotJson { .. }
            | Self::BadIdempotencyKey
            | Self::GuessableIdempotencyKey
            | Self::NoParameter(_)
            | Self::NoHost(_)
            | Self::AmbiguousClient
            | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::Untracked(_) => StatusCode::NOT_FOUND,
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::KeyOfOtherFlows | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Invalid { status, .. } => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::Items { of, .. } => of.status(),
            Self::BadParameters(_) | Self::AnswerTooLarge(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QueryTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::QueryRefused => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoArchive
            | Self::ArchiveAway
            | Self::ArchiveSilent
            | Self::QueryMemory(_)
            | Self::Waiting(_)
            | Self::LedgerUnusable
            | Self::Held
            | Self::BacklogFull { .. }
            | Self::LedgerAway
            | Self::BackboneSilent
            | Self::LedgerSilent
            | Self::MemoryScarce
            | Self::RememberFull
            | Self::Overloaded
            | Self::BackboneAway => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What clients may compare.
    pub(super) fn code(&self) -> &'static str {
        self.kind().0
    }

    /// The code, and the title people read.
    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotJson(_) | Self::ItemNotJson { .. } => ("not-json", "Not JSON"),
            Self::NoKey | Self::WrongKey => ("unauthorized", "API key needed"),
            Self::KeyOfOtherFlows => ("forbidden", "API key of other flows"),
            Self::RateLimited { .. } => ("rate-limited", "Too many requests"),
            Self::BadIdempotencyKey => ("bad-idempotency-key", "Not an Idempotency-Key"),
            Self::GuessableIdempotencyKey => {
                ("guessable-idempotency-key", "Idempotency-Key too short")
            }
            Self::NoHost(_) => ("no-host", "No Host header"),
            Self::ForeignOrigin => ("foreign-origin", "Page of another origin"),
            Self::BodyBroken => ("body-broken", "Body broken off"),
            Self::Untracked(_) => ("unknown", "Not known"),
            Self::AmbiguousClient => ("ambiguous-client", "Two clients named"),
            Self::NoParameter(_) => ("no-parameter", "Parameter missing"),
            Self::NotFound => ("not-found", "Not found"),
            Self::MethodNotAllowed(_) => ("method-not-allowed", "Method not allowed"),
            Self::BodyTimeout(_) => ("body-timeout", "Body too slow"),
            Self::Conflict => ("conflict", "Same id, another body"),
            Self::TooLarge(_) => ("too-large", "Body too large"),
            Self::UnsupportedMediaType => ("unsupported-media-type", "Unsupported media type"),
            Self::UnsupportedEncoding => ("unsupported-encoding", "Unsupported encoding"),
            Self::Invalid { .. } => ("invalid", "Body does not satisfy the schema"),
            Self::Items { of, .. } => of.kind(),
            Self::Waiting(_) => ("waiting", "Flow waits for its oracle"),
            Self::LedgerUnusable => ("ledger-unusable", "Ledger cannot be used"),
            Self::Held => ("held", "Flow is held"),
            Self::BacklogFull { .. } => ("backlog-full", "Backlog full"),
            Self::MemoryScarce => ("memory-scarce", "Backbone nearly full"),
            Self::RememberFull => ("remember-full", "Too many ids remembered"),
            Self::Overloaded => ("overloaded", "Too much at once"),
            Self::LedgerAway | Self::LedgerSilent => ("ledger-away", "Ledger away"),
            Self::BackboneAway | Self::BackboneSilent => ("backbone-away", "Backbone away"),
            Self::BadParameters(_) => ("invalid-parameter", "Parameters not understood"),
            Self::NoArchive => ("no-archive", "No archive"),
            Self::ArchiveAway | Self::ArchiveSilent => ("archive-away", "Archive away"),
            Self::QueryTimeout(_) => ("query-timeout", "Query too slow"),
            Self::QueryMemory(_) => ("query-memory", "Query too large"),
            Self::AnswerTooLarge(_) => ("answer-too-large", "Answer too large"),
            Self::QueryRefused => ("query-refused", "Query refused"),
        }
    }

    pub(super) fn title(&self) -> &'static str {
        self.kind().1
    }

    /// The `type` of its problem document.
    pub(super) fn urn(&self) -> String {
        format!("urn:floodgate:problem:{}", self.code())
    }

    pub(super) fn asks_for_a_key(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BacklogFull { retry_after } | Self::RateLimited { retry_after } => {
                Some(*retry_after)
            }
            Self::Overloaded
            | Self::LedgerAway
            | Self::LedgerSilent
            | Self::BackboneSilent
            | Self::BackboneAway => Some(Duration::from_secs(1)),
            Self::Items { of, .. } => of.retry_after(),
            Self::ArchiveAway | Self::ArchiveSilent => Some(Duration::from_secs(5)),
            // A person has to do something first.
            Self::Waiting(_)
            | Self::Held
            | Self::LedgerUnusable
            | Self::MemoryScarce
            | Self::RememberFull => Some(Duration::from_secs(30)),
            _ => None,
        }
    }

    /// The response; the log has it at level debug, because anybody may have
    /// as many requests refused as they like.
    pub(super) fn answer(&self, request_id: &str) -> Response {
        let status = self.status().as_u16();
        debug!(request_id, status, error = %self, "request refused");
        self.response()
    }

    fn response(&self) -> Response {
        let (kind, detail) = (self.urn(), self.to_string());
        let problem = Problem::named(&kind, self.title(), self.status(), &detail);
        let mut response: Response = match self {
            Self::Invalid { violations, .. } | Self::Items { violations, .. }
                if !violations.is_empty() =>
            {
                problem.with_errors(Errors::Body(violations)).response()
            }
            Self::BadParameters(parameters) if !parameters.is_empty() => problem
                .with_errors(Errors::Parameters(parameters))
                .response(),
            _ => problem.response(),
        };
        let headers = response.headers_mut();
        if let Self::MethodNotAllowed(allow) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.asks_for_a_key() {
            // No scheme is registered for a header of its own.
            let scheme = HeaderValue::from_static("ApiKey header=\"X-API-Key\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(after) = self.retry_after() {
            let seconds = after.as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
