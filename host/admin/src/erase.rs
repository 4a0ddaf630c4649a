use serde_json::json;
use tracing::warn;

use super::audit::{Told, audited};
use super::guard::Caller;
use super::pending::timestamp;
use super::types::{Erase, Erased};
use super::{Admin, Error};
use floodgate_archive_client::{self as archive, FindError, find};
use floodgate_backbone::Trace;
use floodgate_flow::{Flow, FlowName, Partition, StreamId};
use floodgate_ledger::{self as ledger, DeadFilter};

impl Told for Erased {}

/// Removes the body of an entry from wherever it is: from the log first, where
/// it is refused while the entry is open, then from the ledger, then from the
/// cold tier. Done half-way it can be asked for again.
pub(super) async fn erase(admin: &Admin, by: &Caller, what: &Erase) -> Result<Erased, Error> {
    let target = json!({ "flow": what.flow, "id": what.id });
    audited(admin, by, "erase", target, async |_| {
        erase_everywhere(admin, what).await
    })
    .await
}

async fn erase_everywhere(admin: &Admin, what: &Erase) -> Result<Erased, Error> {
    let Erase { flow, id } = what;
    let (partition, id) = place(admin, flow, id).await?;
    let id = &id;
    let Known { entries, unseen } = stream_ids(admin, &partition, id).await?;
    let copies = erase_in_log(admin, &partition, id, &entries).await?;
    let of_ledger = admin.ledger.erase(&partition.flow, id).await?;
    let mut erased = Erased {
        flow: flow.clone(),
        id: id.clone(),
        copies,
        decision: of_ledger.decision,
        dead_letters: of_ledger.dead_letters,
        deliveries: of_ledger.deliveries,
        controls: of_ledger.controls,
        files: Vec::new(),
        erased_at: of_ledger.erased_at.and_then(timestamp),
        left: None,
    };
    if let Some(file) = of_ledger.file {
        let rewritten = admin.archive.erase(flow, id).await;
        let left = || format!("it is in cold file {file} still");
        erased.files = rewritten
            .map_err(|cause| half(left(), &erased, cause))?
            .files;
    } else if of_ledger == ledger::Erased::default() && copies == 0 {
        must_be_known(admin, &partition, id).await?;
    } else if erased.erased_at.is_some() {
        erased.left = forget(admin, flow).await;
    }
    if unseen.is_some() {
        // The archive did not say by which id the log has it, and answers by now.
        let Known { entries, unseen } = stream_ids(admin, &partition, id).await?;
        if let Some(cause) = unseen {
            let left = "the stream may have a copy still".to_owned();
            return Err(half(left, &erased, cause));
        }
        erased.copies += erase_in_log(admin, &partition, id, &entries).await?;
    }
    Ok(erased)
}

/// Answers of the archive get old by themselves: one that is away is no reason
/// to fail. What is left then.
async fn forget(admin: &Admin, flow: &str) -> Option<String> {
    if !admin.archive.is_configured() {
        return None;
    }
    let error = admin.archive.forget().await.err()?;
    warn!(flow, %error, "answers that may quote an erased entry are not forgotten");
    Some(format!(
        "answers that floodgate-archive keeps may quote it for as long as the cache of their \
         [[query]] says, or until it is erased again: {error}"
    ))
}

fn half(left: String, erased: &Erased, cause: archive::Error) -> Error {
    let so_far = erased.touched().join(", ");
    Error::HalfErased {
        left,
        so_far,
        cause,
    }
}

async fn erase_in_log(
    admin: &Admin,
    partition: &Partition,
    id: &str,
    entries: &[StreamId],
) -> Result<u64, Error> {
    let copies = admin.backbone.erase(partition, id, entries).await?;
    copies.ok_or_else(|| {
        let flow = &partition.flow;
        Error::Conflict(format!(
            "flow {flow} is not done with {id}: erase it once it is settled; floodgate why {flow} \
             {id} says what it waits for"
        ))
    })
}

/// The partition of an entry, and its id as the flow normalises it. Also of a
/// flow whose file was removed since.
async fn place(admin: &Admin, flow: &str, id: &str) -> Result<(Partition, String), Error> {
    let place = |flow: &Flow| {
        let id = flow.admit.normal_id(id).into_owned();
        (flow.stream.partition_of(&id), id)
    };
    let (index, id) = match admin.flow(flow) {
        Ok(flow) => place(&flow),
        Err(unknown) => {
            let accepted = admin.ledger.accepted_flows().await?;
            let source = accepted.into_iter().find(|(name, _)| name == flow);
            let (name, source) = source.ok_or(unknown)?;
            // One that this version does not understand any more had one
            // partition, as far as anybody knows.
            Flow::of_source(&name, &source).map_or((0, id.to_owned()), |flow| place(&flow))
        }
    };
    let flow = FlowName::new(flow);
    Ok((Partition { flow, index }, id))
}

/// By which ids the log may have an entry: it forgets those of its own.
struct Known {
    entries: Vec<StreamId>,
    /// Why that of an entry that was moved is not among them.
    unseen: Option<archive::Error>,
}

async fn stream_ids(admin: &Admin, partition: &Partition, id: &str) -> Result<Known, Error> {
    let found = find(&*admin.ledger, &admin.archive, &partition.flow, id).await;
    let (found, unseen) = match found {
        Ok(found) => (found, None),
        Err(FindError::Ledger(error)) => return Err(error.into()),
        Err(FindError::Archive(error)) => (None, Some(error)),
    };
    let decided = found.and_then(|found| found.decision.stream_id.parse().ok());
    let mut filter = DeadFilter {
        flow: Some(partition.flow.to_string()),
        id: Some(id.to_owned()),
        ..DeadFilter::default()
    };
    let mut dead = Vec::new();
    loop {
        let page = filter.next_page(&*admin.ledger).await?;
        if page.is_empty() {
            break;
        }
        let letters = page.into_iter().map(|buried| buried.letter);
        let of_partition = letters.filter(|letter| letter.partition == partition.index);
        dead.extend(of_partition.map(|letter| letter.stream_id));
    }
    let entries = decided.into_iter().chain(dead).collect();
    Ok(Known { entries, unseen })
}

/// Nothing was there to erase, which is fine where it was not kept.
async fn must_be_known(admin: &Admin, partition: &Partition, id: &str) -> Result<(), Error> {
    match admin.backbone.trace(partition, id).await? {
        Trace::Unknown => Err(Error::NotFound(format!(
            "no entry {id} of flow {} is known: nothing was erased",
            partition.flow
        ))),
        _ => Ok(()),
    }
}
