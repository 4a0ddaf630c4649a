use std::sync::LazyLock;
use std::time::Duration;

use redis::streams::StreamInfoConsumersReply;
use redis::{Script, Value};

use super::connection::{Server, is_no_group};
use super::pool::Connection;
use super::script::script;
use super::{GROUP, Keys, RETRY, parse};
use crate::{ByDeliveries, Depth, Error, FaultRecord, Pending};
use floodgate_flow::{Landmark, Partition, StreamId};

/// XPENDING's own row: stream id, consumer, idle ms, deliveries.
type Row = (String, String, u64, u32);

/// What else is known of a pending entry: id, fault record, next attempt.
type Details = (Option<Vec<u8>>, Option<String>, Option<f64>);

/// Entries that one call of the script looks at: others wait for its end.
const AT_ONCE: usize = 128;

static DEPTH: LazyLock<Script> = LazyLock::new(|| script!("depth"));
static PENDING_IDS: LazyLock<Script> = LazyLock::new(|| script!("pending_ids"));

pub(super) async fn pending(
    server: &Server,
    partition: &Partition,
    keys: &Keys,
    max: usize,
) -> Result<Vec<Pending>, Error> {
    range(server, partition, keys, ("-", "+"), max).await
}

pub(super) async fn pending_entry(
    server: &Server,
    partition: &Partition,
    keys: &Keys,
    stream_id: StreamId,
) -> Result<Option<Pending>, Error> {
    let id = stream_id.to_string();
    let found = range(server, partition, keys, (&id, &id), 1).await?;
    Ok(found.into_iter().next())
}

async fn range(
    server: &Server,
    partition: &Partition,
    keys: &Keys,
    (from, to): (&str, &str),
    max: usize,
) -> Result<Vec<Pending>, Error> {
    let mut connection = server.connection().await?;
    let rows = rows(server, &mut connection, keys, (from, to), max).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut details = Vec::new();
    for some in rows.chunks(AT_ONCE) {
        let mut call = PENDING_IDS.key(&keys.stream);
        call.key(&keys.faults).key(&keys.due);
        for (stream_id, ..) in some {
            call.arg(stream_id);
        }
        let known: Vec<Value> = call
            .invoke_async(&mut *connection)
            .await
            .map_err(|source| server.error(source))?;
        details.extend(known);
    }
    let mut details = details.into_iter();
    let mut next = || -> Result<Details, Error> {
        let mut one = || details.next().unwrap_or(Value::Nil);
        redis::from_redis_value(Value::Array(vec![one(), one(), one()]))
            .map_err(|error| server.unexpected("pending", error))
    };
    rows.into_iter()
        .map(|row| pending_of(server, partition, row, next()?))
        .collect()
}

async fn rows(
    server: &Server,
    connection: &mut Connection,
    keys: &Keys,
    (from, to): (&str, &str),
    max: usize,
) -> Result<Vec<Row>, Error> {
    match redis::cmd("XPENDING")
        .arg(&keys.stream)
        .arg(GROUP)
        .arg(from)
        .arg(to)
        .arg(max)
        .query_async(&mut **connection)
        .await
    {
        Err(error) if is_no_group(&error) => Ok(Vec::new()),
        rows => rows.map_err(|source| server.error(source)),
    }
}

/// Returns the names of the group's consumers; none where the group is gone.
pub(super) async fn consumers(server: &Server, keys: &Keys) -> Result<Vec<String>, Error> {
    let mut connection = server.connection().await?;
    let consumers: Result<StreamInfoConsumersReply, _> = redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg(&keys.stream)
        .arg(GROUP)
        .query_async(&mut *connection)
        .await;
    let consumers = match consumers {
        Err(error) if is_no_group(&error) => return Ok(Vec::new()),
        consumers => consumers.map_err(|source| server.error(source))?.consumers,
    };
    Ok(consumers.into_iter().map(|found| found.name).collect())
}

pub(super) async fn by_deliveries(
    server: &Server,
    keys: &Keys,
    max: usize,
) -> Result<ByDeliveries, Error> {
    let mut connection = server.connection().await?;
    let mut counts = ByDeliveries::default();
    for (.., deliveries) in rows(server, &mut connection, keys, ("-", "+"), max).await? {
        counts[deliveries.clamp(1, counts.len() as u32) as usize - 1] += 1;
    }
    Ok(counts)
}

fn pending_of(
    server: &Server,
    partition: &Partition,
    (stream_id, owner, idle, deliveries): Row,
    (id, record, due): Details,
) -> Result<Pending, Error> {
    let stream_id: StreamId = stream_id
        .parse()
        .map_err(|_| server.unexpected("XPENDING", &stream_id))?;
    Ok(Pending {
        partition: partition.index,
        stream_id,
        id: id.as_deref().and_then(parse::id).map(str::to_owned),
        next_attempt: due.filter(|_| owner == RETRY).map(|ms| ms as u64),
        owner,
        idle: Duration::from_millis(idle),
        deliveries,
        faults: record.as_deref().and_then(parse::fault_record),
    })
}

pub(super) async fn faults(
    server: &Server,
    keys: &Keys,
    stream_id: StreamId,
) -> Result<Option<FaultRecord>, Error> {
    let mut connection = server.connection().await?;
    let record: Option<String> = redis::cmd("HGET")
        .arg(&keys.faults)
        .arg(stream_id.to_string())
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    Ok(record.as_deref().and_then(parse::fault_record))
}

pub(super) async fn depth(server: &Server, keys: &Keys) -> Result<Depth, Error> {
    let mut connection = server.connection().await?;
    let found: (i64, u64, u64, u64, i64, i64, u64, i64, i64) = DEPTH
        .key(&keys.stream)
        .key(&keys.open)
        .key(&keys.due)
        .key(&keys.lost)
        .key(&keys.decided)
        .key(&keys.dead)
        .key(&keys.remembered)
        .arg(GROUP)
        .invoke_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    let (open, pending, retrying, lost, waiting_age, pending_age, decided, dead, remembered) =
        found;
    let age = |ms: i64| u64::try_from(ms).ok().map(Duration::from_millis);
    Ok(Depth {
        decided,
        dead: u64::try_from(dead).unwrap_or(0),
        remembered: u64::try_from(remembered).unwrap_or(0),
        open: u64::try_from(open).unwrap_or(0),
        pending,
        retrying,
        lost,
        oldest_waiting: age(waiting_age),
        oldest_pending: age(pending_age),
    })
}

pub(super) async fn landmark(server: &Server, keys: &Keys) -> Result<Option<Landmark>, Error> {
    let mut connection = server.connection().await?;
    let (born, open): (Option<String>, Option<i64>) = redis::pipe()
        .get(&keys.born)
        .get(&keys.open)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    Ok(born.map(|born| Landmark {
        born,
        open: open.unwrap_or(0).max(0) as u64,
    }))
}
