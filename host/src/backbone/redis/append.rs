use std::sync::LazyLock;

use redis::Script;

use super::connection::Server;
use super::{Keys, SAFETY};
use crate::backbone::{AppendLimits, Appended, Error, NewEntry, Requeue};

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/append.lua")));
static REQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/requeue.lua")));

pub(super) async fn append(
    server: &Server,
    keys: &Keys,
    limits: AppendLimits,
    group: &[NewEntry],
) -> Result<Vec<Appended>, Error> {
    let mut call = APPEND.prepare_invoke();
    call.key(&keys.stream).key(&keys.open);
    call.arg(limits.max_backlog).arg(SAFETY.as_millis() as u64);
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
    let appended: Option<Vec<_>> = outcome.iter().copied().map(outcome_of).collect();
    match appended {
        Some(appended) if appended.len() == group.len() => Ok(appended),
        _ => Err(server.unexpected("append", outcome)),
    }
}

fn outcome_of(letter: u8) -> Option<Appended> {
    match letter {
        b'n' => Some(Appended::New),
        b'r' => Some(Appended::Replayed),
        b'c' => Some(Appended::Conflict),
        b'f' => Some(Appended::BacklogFull),
        _ => None,
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
