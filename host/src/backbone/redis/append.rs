use std::sync::LazyLock;

use redis::Script;

use super::connection::Server;
use super::memory::Memory;
use super::{Keys, SAFETY};
use crate::backbone::{AppendLimits, Appended, Error, NewEntry, Requeue};

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/append.lua")));
static REQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/requeue.lua")));

pub(super) async fn append(
    server: &Server,
    memory: &Memory,
    keys: &Keys,
    limits: AppendLimits,
    group: &[NewEntry],
) -> Result<Vec<Appended>, Error> {
    // What is known is answered as ever, and nothing new has room.
    if memory.is_scarce(server).await? {
        return append_with(server, keys, 0, Appended::MemoryScarce, group).await;
    }
    let room = limits.max_backlog;
    match append_with(server, keys, room, Appended::BacklogFull, group).await {
        Err(Error::Refused { source, .. }) if source.code() == Some("OOM") => {
            memory.is_exhausted();
            append_with(server, keys, 0, Appended::MemoryScarce, group).await
        }
        appended => appended,
    }
}

/// At most `room` entries are open afterwards; the others are `refused`.
async fn append_with(
    server: &Server,
    keys: &Keys,
    room: u64,
    refused: Appended,
    group: &[NewEntry],
) -> Result<Vec<Appended>, Error> {
    let mut call = APPEND.prepare_invoke();
    call.key(&keys.stream).key(&keys.open);
    call.arg(room).arg(SAFETY.as_millis() as u64);
    for entry in group {
        call.key(keys.id(&entry.id));
        call.arg(&entry.body_hash.0[..])
            .arg(&*entry.id)
            .arg(&entry.body[..]);
    }
    let mut connection = server.connection().await?;
    let outcome: Vec<u8> = call
        .invoke_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    let outcome_of = |letter: &u8| match *letter {
        b'n' => Some(Appended::New),
        b'r' => Some(Appended::Replayed),
        b'c' => Some(Appended::Conflict),
        b'f' => Some(refused),
        _ => None,
    };
    let appended: Option<Vec<_>> = outcome.iter().map(outcome_of).collect();
    match appended {
        Some(appended) if appended.len() == group.len() => Ok(appended),
        _ => Err(server.unexpected("append", outcome)),
    }
}

pub(super) async fn requeue(server: &Server, keys: &Keys, dead: &Requeue) -> Result<bool, Error> {
    let mut call = REQUEUE.prepare_invoke();
    call.key(&keys.stream)
        .key(&keys.open)
        .key(keys.id(&dead.id));
    call.arg(dead.stream_id.to_string())
        .arg(&dead.body_hash.0[..])
        .arg(&*dead.id)
        .arg(&dead.body[..])
        .arg(SAFETY.as_millis() as u64);
    server.run(&call, keys).await
}
