//! Where decisions and dead letters are kept.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod controls;
mod embedded;
mod erasure;
mod measured;
mod outbox;
mod postgres;
mod proof;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use floodgate_flow::{
    Attributes, BodyHash, Decision, Digest, Downstream, Entry, EntryFault, FlowName, Landmark,
    Outcome, Partition, StreamId,
};

pub use self::audit::{AuditFilter, AuditLog, Audited, Change, Event};
pub use self::controls::{AN_HOUR, Control, SampledControls, Sender, hour};
pub use self::embedded::Embedded;
pub use self::erasure::Erased;
pub use self::measured::Measured;
pub use self::outbox::{
    DeliveryCounts, DeliveryState, KeptDelivery, LeasedDelivery, Outbox, Route, Undelivered,
};
pub use self::postgres::{Postgres, SCHEMA};
pub use self::proof::{Kept, Stored};

/// One decided entry on its way into the ledger.
#[derive(Clone, Debug)]
pub struct Decided {
    pub stream_id: StreamId,
    pub entry: Entry,
    /// When it happened, in Unix milliseconds: between the years 1 and 9999.
    pub at: i64,
    pub decision: Decision,
    /// Whether the flow keeps it; what is not kept is proven as it is.
    pub keep: bool,
}

impl Decided {
    /// Computed when it is asked for: most decisions are not kept, and of those
    /// nobody asks.
    pub fn body_hash(&self) -> BodyHash {
        BodyHash::of(&self.entry.body)
    }
}

/// What the rows of one batch have in common.
#[derive(Clone, Debug)]
pub struct DecidedBy {
    pub flow: FlowName,
    pub flow_digest: Digest,
    pub settings_digest: Option<Digest>,
    /// Whom the decisions are handed to.
    pub deliver: Vec<Arc<Downstream>>,
}

/// An entry given up on, with everything needed to understand and requeue it.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub flow: FlowName,
    pub partition: u16,
    pub stream_id: StreamId,
    /// The entry's id; made from the stream id where the entry had none.
    pub id: Arc<str>,
    pub body: Bytes,
    pub attributes: Attributes,
    pub fault: EntryFault,
    pub attempts: u32,
    pub deliveries: u32,
    /// Unix milliseconds.
    pub received_at: u64,
    /// Unix milliseconds.
    pub first_at: u64,
    /// Unix milliseconds.
    pub last_at: u64,
}

/// A guest may write a NUL into its error; Postgres has no text with one, and
/// many a tool takes it for the end.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A dead letter as it is kept.
#[derive(Clone, Debug)]
pub struct Buried {
    /// Without its body: see [`Ledger::dead_body`].
    pub letter: DeadLetter,
    /// Raised each time any entry dies; a requeue names the one it saw.
    pub generation: i64,
    /// Its body is gone, and nobody can requeue it.
    pub erased: bool,
}

/// A decision as it is kept, for a person to read.
#[derive(Clone, Debug)]
pub struct KeptDecision {
    pub listed: ListedDecision,
    pub stream_id: String,
    pub body: String,
    pub body_hash: BodyHash,
    pub threshold: f64,
    /// Of the flow file that it was decided by.
    pub flow_digest: Digest,
    /// Unix milliseconds; since then `body` is the JSON `null`, and output and
    /// attributes are none.
    pub erased_at: Option<u64>,
}

/// A decision as it is kept, without its body and, where several are asked for,
/// without its output: a list has many of them.
#[derive(Clone, Debug)]
pub struct ListedDecision {
    pub flow: FlowName,
    pub id: Arc<str>,
    /// Unix milliseconds.
    pub received_at: u64,
    pub attributes: Attributes,
    pub outcome: Outcome,
}

/// Which dead letters are asked for. What is `None` lets all pass.
#[derive(Clone, Debug)]
pub struct DeadFilter {
    pub flow: Option<String>,
    /// [`floodgate_flow::FaultKind::as_str`]
    pub fault: Option<String>,
    pub id: Option<String>,
    /// The entry's id, or its stream id.
    pub id_or_stream_id: Option<String>,
    /// The digest of the oracle it died in, or its beginning.
    pub digest: Option<String>,
    /// Died since (Unix milliseconds).
    pub since: Option<u64>,
    /// Only those of an earlier generation: the last one of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl DeadFilter {
    /// Letters that are asked for at a time, where all are wanted.
    pub const PAGE: u32 = 500;

    /// Returns the letters behind those that it returned before, and none at the
    /// end. What dies meanwhile is in front of them, and not asked for.
    ///
    /// # Errors
    /// As [`Ledger::dead`]; the same page may be asked for again.
    pub async fn next_page(&mut self, ledger: &dyn Ledger) -> Result<Vec<Buried>, Error> {
        let page = ledger.dead(self).await?;
        if let Some(last) = page.last() {
            self.before = Some(last.generation);
        }
        Ok(page)
    }
}

impl Default for DeadFilter {
    fn default() -> Self {
        Self {
            flow: None,
            fault: None,
            id: None,
            id_or_stream_id: None,
            digest: None,
            since: None,
            before: None,
            limit: Self::PAGE,
        }
    }
}

/// What a migration did, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The names of what was applied.
    pub applied: Vec<String>,
    /// Where the tables lie; `None`: in a file.
    pub schema: Option<String>,
    /// Views for old clients that are there only, and not in `public`: somebody
    /// else has their names there, or this role may make none.
    pub views_elsewhere: Vec<String>,
}

/// Which digest of an oracle is in force, apart from what lies in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Choice {
    /// This one, whatever is dropped.
    Pinned { digest: Digest },
    /// `to` instead of `rejected`, until another file is dropped.
    RolledBack { to: Digest, rejected: Digest },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Away, restarting, read only, out of connections or in a serialisation
    /// conflict (SQLSTATE 08, 25006, 40, 53, 57): the same call may succeed later.
    #[error("the ledger did not do it, the same call may succeed later: {0}")]
    Unavailable(String),
    /// The server lets this user not in, or has no such database (SQLSTATE 28,
    /// 3D000): at a start a mistake, later perhaps a password that is changed.
    #[error(
        "Postgres does not let this user in: {0}; see DATABASE_URL, or POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB"
    )]
    Denied(String),
    /// The data itself was refused (SQLSTATE 22, 23 or 54): it never will.
    #[error("the ledger refused the data: {0}")]
    Data(String),
    /// Neither: a missing table, a denied permission. A person has to look.
    #[error("the ledger refused: {0}")]
    Other(String),
}

impl Error {
    /// Whether nothing will be stored until a person has looked.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Other(_))
    }
}

/// What the way of an entry needs of a place to keep things. Every call may
/// be repeated: decisions are unique by (flow, id), dead letters by (flow,
/// partition, stream id).
#[async_trait]
pub trait Ledger: Outbox + AuditLog + SampledControls {
    /// Applies the migrations that this ledger lacks: either all of them, or none.
    async fn migrate(&self) -> Result<Migrated, Error>;

    /// Stores what is to be kept, in one transaction, and proves the batch.
    /// A decision stored before with the same body proves its entry too, and
    /// stays as it is. Storing removes a dead letter of the entry.
    ///
    /// # Errors
    /// [`Error::Data`] where any row is refused: nothing was stored then.
    async fn keep(&self, by: &DecidedBy, batch: &[Decided]) -> Result<Kept, Error>;

    /// Which of these entries were decided before; those in neither part of
    /// the answer were not.
    async fn kept_before(
        &self,
        flow: &FlowName,
        entries: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error>;

    async fn decision(&self, flow: &FlowName, id: &str) -> Result<Option<KeptDecision>, Error>;

    /// The number of the cold file that a decision was moved to, where it was.
    /// What was moved counts as kept: its id and its body prove or conflict.
    async fn moved(&self, flow: &FlowName, id: &str) -> Result<Option<i64>, Error>;

    /// Removes the body, the output and the attributes of a decision, the bodies
    /// of its dead letters, ends its deliveries that wait, and removes it from the
    /// controls. That it was decided, and the hash of its body, stay. May be
    /// repeated.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while the archiver may be reading the body.
    async fn erase(&self, flow: &FlowName, id: &str) -> Result<Erased, Error>;

    /// The last `max` decisions of a flow or of all, newest first.
    async fn latest(&self, flow: Option<&FlowName>, max: u32)
    -> Result<Vec<ListedDecision>, Error>;

    /// The last `max` decisions of all flows that are high, newest first.
    async fn latest_high(&self, max: u32) -> Result<Vec<ListedDecision>, Error>;

    /// How many decisions are kept of entries received since (Unix ms).
    async fn kept_since(&self, flow: &FlowName, since: u64) -> Result<u64, Error>;

    /// The first of `count` ids that count up and that nobody else gets.
    async fn next_ids(&self, flow: &FlowName, count: u32) -> Result<u64, Error>;

    /// Stores dead letters, where no decision exists.
    async fn bury(&self, letters: &[DeadLetter]) -> Result<Stored, Error>;

    /// Dead letters without their bodies, newest first, at most `filter.limit`
    /// of them; `filter.before` asks for the next ones.
    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<Buried>, Error>;

    /// The body of a dead letter, if it still has that generation.
    async fn dead_body(&self, buried: &Buried) -> Result<Option<Bytes>, Error>;

    /// Removes dead letters that still have their generation; returns the
    /// generations that it removed.
    async fn remove_dead(&self, letters: &[Buried]) -> Result<Vec<i64>, Error>;

    /// Keeps a component that was taken, and notes that `name` is this one from now on.
    async fn component_taken(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error>;

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error>;

    /// Digests that `name` had, newest first, each once.
    async fn component_history(&self, name: &str) -> Result<Vec<Digest>, Error>;

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error>;

    /// `None`: what lies in the directory counts again.
    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error>;

    /// Notes what a partition looks like now; returns what was noted before.
    async fn note_landmark(
        &self,
        partition: &Partition,
        landmark: &Landmark,
    ) -> Result<Option<Landmark>, Error>;

    /// Notes a flow file as it is used now, and keeps it by its digest.
    async fn accept_flow(&self, flow: &FlowName, source: &str) -> Result<(), Error>;

    /// A flow file that was accepted once, by its digest.
    async fn definition(&self, digest: Digest) -> Result<Option<String>, Error>;

    /// Every flow that was ever accepted: (name, its file as last accepted).
    async fn accepted_flows(&self) -> Result<Vec<(String, String)>, Error>;

    async fn ping(&self) -> Result<(), Error>;
}
