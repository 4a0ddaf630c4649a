use std::sync::LazyLock;

use bytes::Bytes;
use redis::Script;

use super::append::owner_of;
use super::connection::Server;
use super::script::script;
use super::{GROUP, Keys, inspect};
use crate::{Error, Fate, OpenEntry, Trace};
use floodgate_flow::{Partition, StreamId};

static TRACE: LazyLock<Script> = LazyLock::new(|| script!("trace"));

static FATE: LazyLock<Script> = LazyLock::new(|| script!("fate"));

/// Where counting what is ahead ends: a longer script stalls everybody.
const FAR: u64 = 100_000;

pub(super) async fn trace(
    server: &Server,
    partition: &Partition,
    keys: &Keys,
    id: &str,
) -> Result<Trace, Error> {
    let mut call = TRACE.prepare_invoke();
    call.key(&keys.stream).key(keys.id(id)).arg(GROUP).arg(FAR);
    let found: Option<(String, String, u64)> = server.run(&call, keys).await?;
    let Some((stream_id, state, ahead)) = found else {
        return Ok(Trace::Unknown);
    };
    let stream_id: StreamId = stream_id
        .parse()
        .map_err(|_| server.unexpected("trace", &stream_id))?;
    Ok(match state.as_str() {
        "dead" => Trace::Dead { stream_id },
        "waiting" => Trace::Waiting { stream_id, ahead },
        "pending" => match inspect::pending_entry(server, partition, keys, stream_id).await? {
            Some(pending) => Trace::Held(Box::new(pending)),
            // Settled between the two looks.
            None => Trace::Settled { stream_id },
        },
        _ => Trace::Settled { stream_id },
    })
}

pub(super) async fn fate(server: &Server, keys: &Keys, id: &str) -> Result<Fate, Error> {
    let mut call = FATE.prepare_invoke();
    call.key(&keys.stream).key(keys.id(id)).arg(GROUP);
    let found: Option<(String, String, String, Vec<u8>)> = server.run(&call, keys).await?;
    let Some((stream_id, owner, state, rest)) = found else {
        return Ok(Fate::Unknown);
    };
    let stream_id: StreamId = stream_id
        .parse()
        .map_err(|_| server.unexpected("fate", &stream_id))?;
    let owner = owner_of(&owner);
    let rest = Some(rest).filter(|rest| !rest.is_empty());
    let open = |body: Option<Vec<u8>>| OpenEntry {
        stream_id,
        owner,
        body: body.map(Bytes::from),
    };
    Ok(match state.as_str() {
        "dead" => Fate::Dead { stream_id, owner },
        "waiting" => Fate::Waiting(open(rest)),
        "processing" => Fate::Processing(open(rest)),
        _ => Fate::Settled {
            stream_id,
            owner,
            outcome: rest.and_then(|outcome| String::from_utf8(outcome).ok()),
        },
    })
}
