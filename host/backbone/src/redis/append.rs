use std::sync::LazyLock;

use redis::Script;

use super::Keys;
use super::connection::Server;
use super::memory::{Memory, Remembered};
use super::script::{Call, Invoke, script};
use crate::{AppendLimits, Appended, Error, NewEntry, OwnerHash, Requeue};
use floodgate_flow::{BodyHash, KEY, OWNER, Partition, RememberFull, TRACEPARENT};

/// About what an entry adds to the command besides its body, in bytes: its id,
/// the key of that, two hashes, its request's id.
const PER_ENTRY: usize = 200;

static APPEND: LazyLock<Script> = LazyLock::new(|| script!("append"));
static CLAIM_KEY: LazyLock<Script> = LazyLock::new(|| script!("claim_key"));
static REQUEUE: LazyLock<Script> = LazyLock::new(|| script!("requeue"));

pub(super) async fn append(
    server: &Server,
    memory: &Memory,
    partition: &Partition,
    limits: AppendLimits,
    group: &[NewEntry],
) -> Result<Vec<Appended>, Error> {
    let keys = &Keys::of(partition);
    // What is known is answered as ever, and nothing new has room.
    let none = Room {
        entries: 0,
        remembered: 0,
        refused: Appended::MemoryScarce,
    };
    if memory.is_scarce(server).await? {
        return append_with(server, keys, none, group).await;
    }
    let remembered = memory.limit(server, partition, limits.memory).await?;
    let room = Room {
        entries: limits.max_backlog,
        remembered: match limits.memory.full {
            RememberFull::Refuse => remembered.unwrap_or(0),
            RememberFull::Shorter => 0,
        },
        refused: Appended::BacklogFull,
    };
    match append_with(server, keys, room, group).await {
        Err(Error::Full { .. }) => {
            memory.is_exhausted();
            append_with(server, keys, none, group).await
        }
        appended => appended,
    }
}

/// What an append may fill.
#[derive(Clone, Copy)]
struct Room {
    /// So many may be open afterwards.
    entries: u64,
    /// Nothing new is taken while remembered ids have more bytes than this; 0:
    /// they may have any number.
    remembered: u64,
    /// What becomes of an entry beyond `entries`.
    refused: Appended,
}

async fn append_with(
    server: &Server,
    keys: &Keys,
    room: Room,
    group: &[NewEntry],
) -> Result<Vec<Appended>, Error> {
    // All entries of a group have as many fields, so that the script needs no
    // branch: a flow asks all clients for a key, or none.
    let keyed = group.iter().any(|entry| entry.origin.key.is_some());
    let traced = group.iter().any(|entry| entry.origin.traceparent.is_some());
    let owned = group.iter().any(|entry| entry.origin.owner.is_some());
    let width = 5 + 2 * [keyed, owned, traced]
        .map(usize::from)
        .iter()
        .sum::<usize>();
    let bytes: usize = group.iter().map(|entry| PER_ENTRY + entry.body.len()).sum();
    let args = 7 + (1 + width) * group.len();
    let mut call = Call::of(&APPEND, 4 + group.len(), args, bytes);
    call.arg(&keys.stream)
        .arg(&keys.open)
        .arg(&keys.remembered)
        .arg(&keys.minutes);
    for entry in group {
        call.arg(keys.id(&entry.id));
    }
    call.arg(room.entries).arg(room.remembered).arg(width);
    for entry in group {
        let origin = &entry.origin;
        call.arg(&entry.body_hash.0[..])
            .arg(owner_to_text(origin.owner_hash()))
            .arg(&*entry.id)
            .arg(&entry.body[..])
            .arg(&*origin.request_id);
        if keyed {
            call.arg(KEY).arg(origin.key.as_deref().unwrap_or_default());
        }
        if owned {
            call.arg(OWNER)
                .arg(origin.owner.as_deref().unwrap_or_default());
        }
        if traced {
            let traceparent = origin.traceparent.as_deref();
            call.arg(TRACEPARENT).arg(traceparent.unwrap_or_default());
        }
    }
    let mut connection = server.connection().await?;
    let outcome: String = call
        .invoke(&mut connection)
        .await
        .map_err(|source| server.error(source))?;
    let appended: Option<Vec<_>> = outcome
        .split_ascii_whitespace()
        .map(|outcome| outcome_of(outcome, room.refused))
        .collect();
    match appended {
        Some(appended) if appended.len() == group.len() => Ok(appended),
        _ => Err(server.unexpected("append", outcome)),
    }
}

/// As an id key has it: empty where the entry has no owner.
fn owner_to_text(owner: Option<OwnerHash>) -> String {
    owner.map_or_else(String::new, |owner| hex::encode(owner.0))
}

/// The inverse of [`owner_to_text`]. What is no owner of ours is none.
pub(super) fn owner_of(text: &str) -> Option<OwnerHash> {
    let mut hash = [0; 8];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(OwnerHash(hash))
}

/// A letter, for what is in the stream its id behind it, and for what was there
/// before its owner behind that.
fn outcome_of(outcome: &str, refused: Appended) -> Option<Appended> {
    let (letter, stream_id) = outcome.split_at_checked(1)?;
    match letter {
        "n" => stream_id.parse().ok().map(Appended::New),
        "r" => {
            let (stream_id, owner) = stream_id.split_once('/')?;
            Some(Appended::Replayed {
                stream_id: stream_id.parse().ok()?,
                owner: owner_of(owner),
            })
        }
        "c" => Some(Appended::Conflict),
        "f" => Some(refused),
        "m" => Some(Appended::RememberFull),
        _ => None,
    }
}

pub(super) async fn claim_key(
    server: &Server,
    keys: &Keys,
    key: &str,
    body_hash: BodyHash,
    id: &str,
    remembered: Remembered,
) -> Result<Option<String>, Error> {
    let mut call = CLAIM_KEY.prepare_invoke();
    call.key(keys.idempotency(key))
        .key(&keys.remembered)
        .key(&keys.minutes);
    call.arg(&body_hash.0[..])
        .arg(id)
        .arg(remembered.known_for.as_millis() as u64)
        .arg(remembered.refused_beyond())
        .arg(remembered.shorter_beyond());
    server.run(&call, keys).await
}

pub(super) async fn requeue(server: &Server, keys: &Keys, dead: &Requeue) -> Result<bool, Error> {
    let mut call = REQUEUE.prepare_invoke();
    call.key(&keys.stream)
        .key(&keys.open)
        .key(keys.id(&dead.id))
        .key(&keys.dead);
    call.arg(dead.stream_id.to_string())
        .arg(&dead.body_hash.0[..])
        .arg(owner_to_text(dead.owner_hash()))
        .arg(&*dead.id)
        .arg(&dead.body[..]);
    for (name, value) in dead.attributes.iter() {
        call.arg(name).arg(value);
    }
    server.run(&call, keys).await
}
