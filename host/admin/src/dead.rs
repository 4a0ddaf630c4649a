use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::api::Query;
use super::audit::{Progress, Told, audited};
use super::decisions::request_id;
use super::guard::Caller;
use super::pending::{time, timestamp};
use super::types::{Dead, DeadDone, WhichDead};
use super::{Admin, Error};
use floodgate_backbone::Requeue;
use floodgate_flow::masked;
use floodgate_flow::{BodyHash, FaultKind, Partition};
use floodgate_ledger::{Buried, DeadFilter};

const DEFAULT_LIMIT: u32 = 100;
const LARGEST_LIMIT: u32 = 10_000;
/// Dead letters per second: what died together should not come back together.
const DEFAULT_RATE: u32 = 500;
/// More is as good as none.
const MAX_RATE: u32 = 1_000_000;

/// Without bodies, newest first.
pub(super) async fn list(admin: &Admin, query: &Query<'_>) -> Result<Vec<Dead>, Error> {
    let limit = match query.get("limit") {
        None => DEFAULT_LIMIT,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=LARGEST_LIMIT).contains(limit))
            .ok_or_else(|| Error::Invalid(format!("limit takes 1 to {LARGEST_LIMIT}")))?,
    };
    let filter = DeadFilter {
        flow: query.get("flow"),
        fault: query.get("fault"),
        id: query.get("id"),
        digest: query
            .get("digest")
            .map(|digest| digest.to_ascii_lowercase()),
        since: time(query, "since")?,
        limit,
        ..DeadFilter::default()
    };
    let buried = admin.ledger.dead(&filter).await?;
    Ok(buried
        .into_iter()
        .map(|buried| dead(buried, None))
        .collect())
}

/// By stream id, or by the entry's own id, with its body.
pub(super) async fn show(admin: &Admin, flow: &str, which: &str) -> Result<Dead, Error> {
    let filter = DeadFilter {
        flow: Some(flow.to_owned()),
        id_or_stream_id: Some(which.to_owned()),
        limit: 1,
        ..DeadFilter::default()
    };
    let found = admin.ledger.dead(&filter).await?.pop();
    let none = || Error::NotFound(format!("no dead letter {which} in flow {flow}"));
    let buried = found.ok_or_else(none)?;
    let body = admin.ledger.dead_body(&buried).await?.ok_or_else(none)?;
    Ok(dead(buried, Some(&body)))
}

pub(super) async fn requeue(
    admin: &Admin,
    by: &Caller,
    which: &WhichDead,
) -> Result<DeadDone, Error> {
    audited(admin, by, "requeue", target(which), async |progress| {
        append_again(admin, which, progress).await?;
        match progress.done {
            DeadDone {
                erased, done: 0, ..
            } if erased > 0 => Err(nothing_to_requeue(erased)),
            done => Ok(done),
        }
    })
    .await
}

impl Told for DeadDone {}

fn nothing_to_requeue(erased: u64) -> Error {
    let which = match erased {
        1 => "its body was".to_owned(),
        _ => format!("the bodies of {erased} were"),
    };
    Error::Conflict(format!(
        "{which} erased: there is nothing to requeue, only floodgate dead purge"
    ))
}

/// Appends them once more, first, and removes the rows after: whoever asks
/// twice, or crashes between, requeues nothing twice.
async fn append_again(
    admin: &Admin,
    which: &WhichDead,
    progress: &mut Progress,
) -> Result<(), Error> {
    let rate = which.rate.unwrap_or(DEFAULT_RATE).clamp(1, MAX_RATE);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut matching = Matching::new(which, u32::MAX)?;
    loop {
        let page = matching.page(admin).await?;
        if page.is_empty() {
            return Ok(());
        }
        for buried in page {
            pace.tick().await;
            append_one_again(admin, buried, progress).await?;
        }
    }
}

async fn append_one_again(
    admin: &Admin,
    buried: Buried,
    progress: &mut Progress,
) -> Result<(), Error> {
    let letter = &buried.letter;
    if buried.erased {
        progress.was_erased();
        return Ok(());
    }
    if letter.fault.kind == FaultKind::Delivery {
        match admin.ledger.redeliver(&buried).await? {
            true => progress.did(letter),
            false => progress.skipped(),
        }
        return Ok(());
    }
    // One body at a time: a million letters of 64 KB are no memory.
    let Some(body) = admin.ledger.dead_body(&buried).await? else {
        progress.skipped();
        return Ok(());
    };
    let partition = Partition {
        flow: letter.flow.clone(),
        index: letter.partition,
    };
    let again = Requeue {
        id: letter.id.clone(),
        body_hash: BodyHash::of(&body),
        body,
        attributes: letter.attributes.clone(),
        stream_id: letter.stream_id,
    };
    if admin.backbone.requeue(&partition, &again).await? {
        progress.did(letter);
        admin.ledger.remove_dead(&[buried]).await?;
    } else {
        progress.skipped();
    }
    Ok(())
}

pub(super) async fn purge(
    admin: &Admin,
    by: &Caller,
    which: &WhichDead,
) -> Result<DeadDone, Error> {
    audited(admin, by, "purge", target(which), async |progress| {
        remove(admin, which, progress).await?;
        Ok(progress.done)
    })
    .await
}

async fn remove(admin: &Admin, which: &WhichDead, progress: &mut Progress) -> Result<(), Error> {
    let mut matching = Matching::new(which, u32::MAX)?;
    loop {
        let page = matching.page(admin).await?;
        if page.is_empty() {
            return Ok(());
        }
        let removed = admin.ledger.remove_dead(&page).await?;
        let removed: HashSet<i64> = removed.into_iter().collect();
        for buried in &page {
            match removed.contains(&buried.generation) {
                true => progress.did(&buried.letter),
                false => progress.skipped(),
            }
        }
    }
}

/// What was said of them, for the audit log.
fn target(which: &WhichDead) -> Value {
    let mut target = serde_json::to_value(which).unwrap_or_default();
    if let Value::Object(said) = &mut target {
        said.retain(|_, value| !value.is_null());
    }
    target
}

/// The dead letters that a call means, page by page, without their bodies.
pub(super) struct Matching {
    filter: DeadFilter,
    left: u32,
}

impl Matching {
    /// `most` of them, where the call does not say how many.
    pub fn new(which: &WhichDead, most: u32) -> Result<Self, Error> {
        Ok(Self {
            filter: filter(which)?,
            left: which.limit.unwrap_or(most),
        })
    }

    /// Nothing: there are no more.
    pub async fn page(&mut self, admin: &Admin) -> Result<Vec<Buried>, Error> {
        self.filter.limit = self.left.min(DeadFilter::PAGE);
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let page = self.filter.next_page(&*admin.ledger).await?;
        self.left = self.left.saturating_sub(page.len() as u32);
        Ok(page)
    }
}

/// # Errors
/// Where nothing was said: nobody empties the list by a slip.
fn filter(which: &WhichDead) -> Result<DeadFilter, Error> {
    let WhichDead {
        flow,
        fault,
        id,
        digest,
        since,
        rate: _,
        limit: _,
    } = which;
    if [flow, fault, id, digest].iter().all(|said| said.is_none()) && since.is_none() {
        return Err(Error::Invalid(
            "say which: a flow, a fault, an id, a digest or a time since".to_owned(),
        ));
    }
    Ok(DeadFilter {
        flow: flow.clone(),
        fault: fault.clone(),
        id: id.clone(),
        digest: digest.as_ref().map(|digest| digest.to_ascii_lowercase()),
        since: since.map(|since| u64::try_from(since.as_millisecond()).unwrap_or(0)),
        ..DeadFilter::default()
    })
}

/// `body` where it was asked for.
pub(super) fn dead(Buried { letter, erased, .. }: Buried, body: Option<&[u8]>) -> Dead {
    let (oracle, digest) = match letter.fault.oracle {
        Some((oracle, digest)) => (Some(oracle), Some(digest.to_string())),
        None => (None, None),
    };
    Dead {
        flow: letter.flow.to_string(),
        partition: letter.partition,
        stream_id: letter.stream_id.to_string(),
        id: letter.id.to_string(),
        fault: letter.fault.kind.as_str().to_owned(),
        error: masked::text(&letter.fault.error),
        oracle,
        digest,
        attempts: letter.attempts,
        deliveries: letter.deliveries,
        received_at: timestamp(letter.received_at),
        first_at: timestamp(letter.first_at),
        last_at: timestamp(letter.last_at),
        request_id: request_id(&letter.attributes),
        erased,
        body: body.map(|body| String::from_utf8_lossy(body).into_owned()),
    }
}
