use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use tracing::error;

use super::connection::Server;
use super::{GROUP, Keys, SAFETY};
use crate::backbone::Error;
use crate::ledger::Stored;

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/settle.lua")));
static TRIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/trim.lua")));

/// Entries per script: a longer one stalls everybody.
const GROUP_SIZE: usize = 256;

#[derive(Clone, Copy)]
pub(super) enum As {
    Decided { remember: Duration },
    Dead,
}

pub(super) async fn settle(
    server: &Server,
    keys: &Keys,
    stored: &Stored,
    how: As,
) -> Result<(), Error> {
    let (state, known_for) = match how {
        As::Decided { remember } => ("s", remember),
        As::Dead => ("d", SAFETY),
    };
    for group in stored.entries().chunks(GROUP_SIZE) {
        let mut call = SETTLE.prepare_invoke();
        call.key(&keys.stream)
            .key(&keys.open)
            .key(&keys.faults)
            .key(&keys.due);
        call.arg(GROUP).arg(state).arg(known_for.as_millis() as u64);
        for (stream_id, id) in group {
            call.key(keys.id(id)).arg(stream_id.to_string());
        }
        let _still_open: u64 = server.run(&call, keys).await?;
    }
    Ok(())
}

pub(super) async fn trim(server: &Server, keys: &Keys, retain: Duration) -> Result<(), Error> {
    let mut call = TRIM.prepare_invoke();
    call.key(&keys.stream)
        .key(&keys.floor)
        .key(&keys.open)
        .key(&keys.lost);
    call.arg(GROUP).arg(retain.as_millis() as u64);
    let lost: u64 = server.run(&call, keys).await?;
    if lost > 0 {
        error!(
            stream = keys.stream,
            lost, "entries lost: trimmed before anybody read them"
        );
    }
    Ok(())
}
