use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tracing::{info, warn};

use super::connection::{Server, is_no_group};
use super::parse::Fields;
use super::pool::MAX_AGE;
use super::{GROUP, Keys, leave, parse};
use crate::{Delivery, Error, Reader};
use floodgate_flow::StreamId;

/// How long a read waits for the first entry: as long as a stop may have to
/// wait for the reader, since a read is never abandoned.
const BLOCK: Duration = Duration::from_secs(1);

/// Reads a partition in a consumer's name over a connection of its own.
pub(super) struct StreamReader {
    server: Server,
    keys: Keys,
    worker: String,
    connection: Option<(Instant, MultiplexedConnection)>,
    /// After a reconnect: the own pending entry up to which was read again.
    /// The answer to the last read may have been lost on the way.
    reread: Option<StreamId>,
    connected_before: bool,
}

impl StreamReader {
    pub fn new(server: Server, keys: Keys, worker: &str) -> Self {
        Self {
            server,
            keys,
            worker: worker.to_owned(),
            connection: None,
            reread: None,
            connected_before: false,
        }
    }

    async fn connect(&mut self) -> Result<MultiplexedConnection, Error> {
        let aged = match &self.connection {
            Some((since, connection)) if since.elapsed() < MAX_AGE => {
                return Ok(connection.clone());
            }
            connection => connection.is_some(),
        };
        let connection = self.server.blocking_connection(BLOCK).await?;
        // Of one that only grew old every answer was read.
        if self.connected_before && !aged {
            info!(
                stream = self.keys.stream,
                "reconnected to redis, reading own pending again"
            );
            self.reread = Some(StreamId { ms: 0, seq: 0 });
        }
        self.connected_before = true;
        self.connection = Some((Instant::now(), connection.clone()));
        Ok(connection)
    }

    async fn read_from(
        &mut self,
        from: &str,
        max: usize,
    ) -> Result<Vec<(StreamId, Fields)>, Error> {
        let mut connection = self.connect().await?;
        let reply: Result<Value, _> = redis::cmd("XREADGROUP")
            .arg("GROUP")
            .arg(GROUP)
            .arg(&self.worker)
            .arg("COUNT")
            .arg(max)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64)
            .arg("STREAMS")
            .arg(&self.keys.stream)
            .arg(from)
            .query_async(&mut connection)
            .await;
        match reply {
            Ok(reply) => parse::stream_entries(reply).ok_or_else(|| {
                // What it delivered is read again.
                self.connection = None;
                self.server.unexpected("XREADGROUP", "not stream entries")
            }),
            Err(error) if is_no_group(&error) => {
                warn!(
                    stream = self.keys.stream,
                    "consumer group gone, creating it anew"
                );
                leave::recreate_group(&self.server, &self.keys).await?;
                Ok(Vec::new())
            }
            Err(error) => {
                self.connection = None;
                Err(self.server.error(error))
            }
        }
    }
}

#[async_trait]
impl Reader for StreamReader {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        self.connect().await?;
        if let Some(from) = self.reread {
            let again = self.read_from(&from.to_string(), max).await?;
            self.reread = again.last().map(|(id, _)| *id);
            if !again.is_empty() {
                return Ok(deliveries(again, true));
            }
        }
        Ok(deliveries(self.read_from(">", max).await?, false))
    }
}

/// Without what was trimmed while it was pending: there is nothing to judge,
/// and `claim` counts it as lost when its lease has run out.
fn deliveries(entries: Vec<(StreamId, Fields)>, redelivered: bool) -> Vec<Delivery> {
    entries
        .into_iter()
        .filter(|(_, fields)| fields.is_some())
        .map(|(stream_id, fields)| Delivery {
            stream_id,
            payload: parse::payload(stream_id, fields),
            redelivered,
            deliveries: if redelivered { 2 } else { 1 },
            attempts: 0,
        })
        .collect()
}
