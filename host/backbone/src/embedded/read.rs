use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::rows::{last_read, payload, stream_id};
use super::{Embedded, partition};
use crate::{Delivery, Error, Reader};
use floodgate_embedded::now;
use floodgate_flow::Partition;

/// How long a read waits for the first entry.
const BLOCK: Duration = Duration::from_secs(1);

/// Reads a partition in a worker's name.
pub(super) struct LogReader {
    backbone: Embedded,
    partition: Partition,
    worker: String,
    arrivals: watch::Receiver<()>,
}

impl LogReader {
    pub fn new(backbone: Embedded, partition: Partition, worker: &str) -> Self {
        Self {
            arrivals: backbone.arrivals(&partition),
            backbone,
            partition,
            worker: worker.to_owned(),
        }
    }

    async fn next(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let (partition, worker) = (self.partition.clone(), self.worker.clone());
        self.backbone
            .write(move |db| next(db, &partition, &worker, max))
            .await
    }
}

#[async_trait]
impl Reader for LogReader {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        self.arrivals.mark_unchanged();
        let read = self.next(max).await?;
        if !read.is_empty() {
            return Ok(read);
        }
        match tokio::time::timeout(BLOCK, self.arrivals.changed()).await {
            Ok(_) => self.next(max).await,
            Err(_) => Ok(Vec::new()),
        }
    }
}

/// The entries behind the last that was handed out; the worker holds them.
fn next(
    db: &Connection,
    partition: &Partition,
    worker: &str,
    max: usize,
) -> rusqlite::Result<Vec<Delivery>> {
    let partition = partition::number(db, partition)?;
    let mut unread = db.prepare_cached(
        "SELECT position, ms, id, body, attributes FROM log
         WHERE partition = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    let from = params![partition, last_read(db, partition)?, max];
    let read = unread.query_map(from, |row| {
        Ok(Delivery {
            stream_id: stream_id(row)?,
            payload: payload(row)?,
            redelivered: false,
            deliveries: 1,
            attempts: 0,
        })
    })?;
    let read: Vec<Delivery> = read.collect::<Result<_, _>>()?;
    let Some(last) = read.last() else {
        return Ok(read);
    };
    let now = now();
    let mut hold = db.prepare_cached(
        "INSERT INTO pending (position, partition, owner, since, deliveries)
         VALUES (?1, ?2, ?3, ?4, 1)",
    )?;
    for delivery in &read {
        hold.execute(params![delivery.stream_id.seq, partition, worker, now])?;
    }
    db.prepare_cached("UPDATE partitions SET read = ?2 WHERE number = ?1")?
        .execute(params![partition, last.stream_id.seq])?;
    Ok(read)
}
