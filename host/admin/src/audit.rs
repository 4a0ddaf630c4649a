//! Every change is written down before it begins, and once more when it has
//! ended. What cannot be written down is not begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::api::Query;
use super::guard::Caller;
use super::pending::{max, number, time, timestamp};
use super::types::{Audited, DeadDone};
use super::{Admin, Error};
use floodgate_ledger::{AuditFilter, Change, DeadLetter, Ledger};

/// How many ids of dead letters one row names.
const MOST_IDS: u64 = 1000;

/// Bytes of ids of dead letters that one row names: clients choose the ids.
const MOST_BYTES: usize = 64 << 10;

/// The number of rows that one query asks the ledger for.
const PAGE: u32 = 100;

/// About how many bytes of rows one answer has. The caller asks for the rest with `before`.
const LARGEST_ANSWER: usize = 8 << 20;

/// A change that goes on. Dropped before it has ended, as when its caller
/// hangs up, it is written down as cut off.
struct Ongoing {
    ledger: Arc<dyn Ledger>,
    row: i64,
    change: Change,
    progress: Progress,
    told: bool,
}

/// How far a change of dead letters has come, also where it fails half-way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub done: DeadDone,
    /// The first of those that it was done to, by flow.
    ids: BTreeMap<String, Vec<String>>,
    bytes: usize,
}

impl Progress {
    pub fn did(&mut self, letter: &DeadLetter) {
        self.bytes = self.bytes.saturating_add(letter.id.len());
        if self.done.done < MOST_IDS && self.bytes <= MOST_BYTES {
            let ids = self.ids.entry(letter.flow.to_string()).or_default();
            ids.push(letter.id.to_string());
        }
        self.done.done += 1;
    }

    pub fn skipped(&mut self) {
        self.done.skipped += 1;
    }

    pub fn was_erased(&mut self) {
        self.done.skipped += 1;
        self.done.erased += 1;
    }
}

/// What the audit log tells of a change that was made, instead of all that its
/// caller is answered.
pub(super) trait Told: Serialize {
    fn told(&self) -> Map<String, Value> {
        members(self)
    }
}

/// Makes a change, between the two times that it is written down.
///
/// # Errors
/// Of the change; and where the ledger does not take it down: then nothing was changed.
pub(super) async fn audited<T: Told>(
    admin: &Admin,
    by: &Caller,
    action: &str,
    target: Value,
    change: impl AsyncFnOnce(&mut Progress) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut ongoing = begin(admin, by, action, target).await?;
    let done = change(&mut ongoing.progress).await;
    ongoing.ended(done).await
}

async fn begin(admin: &Admin, by: &Caller, action: &str, target: Value) -> Result<Ongoing, Error> {
    let change = Change {
        who: by.who.to_owned(),
        person: by.person.clone(),
        peer: by.peer.to_string(),
        action: action.to_owned(),
        flows: touched(admin, &target),
        target,
        request_id: Some(by.request_id.to_string()),
    };
    Ok(Ongoing {
        ledger: admin.ledger.clone(),
        row: admin.ledger.change_begins(&change).await?,
        change,
        progress: Progress::default(),
        told: false,
    })
}

/// Returns the flow that a target names, or those that use the oracle that it names.
fn touched(admin: &Admin, target: &Value) -> Vec<String> {
    if let Some(flow) = target["flow"].as_str() {
        return vec![flow.to_owned()];
    }
    let Some(oracle) = target["oracle"].as_str() else {
        return Vec::new();
    };
    let flows = admin.flows.borrow();
    let using = flows.all().filter(|flow| {
        let mut oracles = flow.oracles.iter();
        oracles.any(|usage| &*usage.component == oracle)
    });
    let names: BTreeSet<String> = using.map(|flow| flow.name.to_string()).collect();
    names.into_iter().collect()
}

impl Ongoing {
    /// Writes down what became of it, and hands it on. A change stays made
    /// where the ledger goes away just then: its row has no outcome for good.
    async fn ended<T: Told>(mut self, done: Result<T, Error>) -> Result<T, Error> {
        let outcome = match &done {
            Ok(answer) => answer.told(),
            Err(error) => self.failed(&error.to_string()),
        };
        // Written down by a task of its own, the caller may hang up meanwhile.
        let _panicked = self.tell(outcome).await;
        done
    }

    fn failed(&self, error: &str) -> Map<String, Value> {
        let DeadDone { done, skipped, .. } = self.progress.done;
        let mut outcome = match done + skipped {
            0 => Map::new(),
            _ => members(&self.progress.done),
        };
        outcome.insert("error".to_owned(), error.into());
        outcome
    }

    fn tell(&mut self, mut outcome: Map<String, Value>) -> JoinHandle<()> {
        self.told = true;
        self.log(&outcome);
        if !self.progress.ids.is_empty() {
            outcome.insert("ids".to_owned(), json!(self.progress.ids));
        }
        let (ledger, row) = (self.ledger.clone(), self.row);
        tokio::spawn(async move {
            if let Err(error) = ledger.change_ended(row, &Value::Object(outcome)).await {
                error!(target: "audit", row, %error, "outcome of a change not written down");
            }
        })
    }

    /// Without ids: there may be a thousand.
    fn log(&self, outcome: &Map<String, Value>) {
        let Change {
            who,
            person,
            peer,
            action,
            target,
            request_id,
            ..
        } = &self.change;
        let outcome = json!(outcome);
        match outcome.get("error") {
            None => {
                info!(target: "audit", who, person, peer, action, what = %target, request_id, %outcome, "change made");
            }
            Some(_) => {
                warn!(target: "audit", who, person, peer, action, what = %target, request_id, %outcome, "change not made, or not all of it");
            }
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if !self.told {
            let outcome = self.failed("cut off: the caller hung up, or the host was stopped");
            self.tell(outcome);
        }
    }
}

/// Those of an answer in JSON, which is an object.
pub(super) fn members(answer: &(impl Serialize + ?Sized)) -> Map<String, Value> {
    match serde_json::to_value(answer) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Changes that match, newest first; where they are large, fewer than were asked
/// for, and at least one.
pub(super) async fn matching(admin: &Admin, query: &Query<'_>) -> Result<Vec<Audited>, Error> {
    let mut left = max(query)?;
    let mut filter = AuditFilter {
        since: time(query, "since")?,
        until: time(query, "until")?,
        flow: query.get("flow"),
        actions: actions(query)?,
        before: number(query, "before")?,
        limit: 0,
    };
    let mut all = Vec::new();
    let mut bytes = 0;
    while left > 0 && bytes < LARGEST_ANSWER {
        filter.limit = left.min(PAGE);
        let page = admin.ledger.audit(&filter).await?;
        filter.before = page.last().map(|row| row.row);
        left -= page.len() as u32;
        if page.len() < filter.limit as usize {
            left = 0;
        }
        for row in page {
            let (ended_at, outcome) = row.ended.unzip();
            let row = Audited {
                seq: row.row,
                at: timestamp(row.at),
                who: row.change.who,
                person: row.change.person,
                peer: row.change.peer,
                action: row.change.action,
                target: row.change.target,
                flows: row.change.flows,
                request_id: row.change.request_id,
                ended_at: ended_at.and_then(timestamp),
                outcome,
            };
            bytes += row.target.to_string().len();
            bytes += row
                .outcome
                .as_ref()
                .map_or(0, |told| told.to_string().len());
            all.push(row);
        }
    }
    Ok(all)
}

/// Those of `?kind=pin,unpin`.
fn actions(query: &Query<'_>) -> Result<Vec<String>, Error> {
    let Some(kinds) = query.get("kind") else {
        return Ok(Vec::new());
    };
    let kinds: Vec<String> = kinds.split(',').map(str::to_owned).collect();
    match kinds.iter().all(|kind| Change::ACTIONS.contains(&&**kind)) {
        true => Ok(kinds),
        false => Err(Error::Invalid(format!(
            "kind takes some of {}",
            Change::ACTIONS.join(",")
        ))),
    }
}
