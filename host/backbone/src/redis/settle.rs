use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use tracing::error;

use super::connection::Server;
use super::memory::Remembered;
use super::script::{Call, script};
use super::{GROUP, Keys};
use crate::{Error, Outcomes};
use floodgate_flow::Partition;
use floodgate_ledger::Stored;
use floodgate_process::metrics::table::ENTRIES_LOST;

static SETTLE: LazyLock<Script> = LazyLock::new(|| script!("settle"));
static TRIM: LazyLock<Script> = LazyLock::new(|| script!("trim"));

/// Entries per script: a longer one stalls everybody.
const GROUP_SIZE: usize = 256;

/// About what an entry adds to the command, in bytes: the key of its id, its
/// stream id.
const PER_ENTRY: usize = 100;

#[derive(Clone, Copy)]
pub(super) enum As<'o> {
    Decided { outcomes: &'o Outcomes },
    Dead,
}

pub(super) async fn settle(
    server: &Server,
    keys: &Keys,
    stored: &Stored,
    remembered: Remembered,
    how: As<'_>,
) -> Result<(), Error> {
    let (state, outcomes) = match how {
        As::Decided { outcomes } => ("s", Some(outcomes)),
        As::Dead => ("d", None),
    };
    let outcome = |stream_id| outcomes?.get(stream_id);
    for group in stored.entries().chunks(GROUP_SIZE) {
        let (number_of_keys, args) = (7 + group.len(), 11 + 3 * group.len());
        let mut call = Call::of(&SETTLE, number_of_keys, args, PER_ENTRY * group.len());
        call.arg(&keys.stream)
            .arg(&keys.open)
            .arg(&keys.faults)
            .arg(&keys.due)
            .arg(match how {
                As::Decided { .. } => &keys.decided,
                As::Dead => &keys.dead,
            })
            .arg(&keys.remembered)
            .arg(&keys.minutes);
        for (_, id) in group {
            call.arg(keys.id(id));
        }
        call.arg(GROUP)
            .arg(state)
            .arg(remembered.known_for.as_millis() as u64)
            .arg(remembered.shorter_beyond());
        for (stream_id, _) in group {
            call.arg(stream_id.to_string());
        }
        // Most flows remember no outcomes, and so send none.
        if group.iter().any(|(id, _)| outcome(id).is_some()) {
            for (stream_id, _) in group {
                call.arg(outcome(stream_id).map_or("", String::as_str));
            }
        }
        let _still_open: u64 = server.run(&call, keys).await?;
    }
    Ok(())
}

pub(super) async fn trim(
    server: &Server,
    partition: &Partition,
    retain: Duration,
) -> Result<(), Error> {
    let keys = &Keys::of(partition);
    let mut call = TRIM.prepare_invoke();
    call.key(&keys.stream)
        .key(&keys.floor)
        .key(&keys.open)
        .key(&keys.lost)
        .key(&keys.remembered)
        .key(&keys.minutes);
    call.arg(GROUP).arg(retain.as_millis() as u64);
    let lost: u64 = server.run(&call, keys).await?;
    if lost > 0 {
        ENTRIES_LOST.of([partition.flow.as_str()]).increment(lost);
        error!(
            stream = keys.stream,
            lost, "entries lost: trimmed before anybody read them"
        );
    }
    Ok(())
}
