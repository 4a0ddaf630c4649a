use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::connection::Server;
use crate::{Error, MemoryUse, Remember, RememberMemory};
use floodgate_flow::{FlowName, Partition, RememberFull};

/// How old a look at the memory may be.
const PERIOD: Duration = Duration::from_millis(250);

/// How old a look at `maxmemory` may be, which an operator changes now and then.
const LIMIT_PERIOD: Duration = Duration::from_secs(5);

/// Whether Redis' memory is nearly used up, as of a moment ago, and who may use
/// how much of it.
#[derive(Default)]
pub(super) struct Memory {
    looked: Mutex<Option<Instant>>,
    scarce: AtomicBool,
    /// `maxmemory`; 0: there is none, or it is hidden.
    limit: AtomicU64,
    /// The flows that share it, with their partitions.
    flows: Mutex<HashMap<FlowName, u16>>,
}

/// For how long something is remembered, and up to how many bytes.
#[derive(Clone, Copy)]
pub(super) struct Remembered {
    pub known_for: Duration,
    most: Option<u64>,
    full: RememberFull,
}

impl Remembered {
    /// Returns the bytes from whose half on the time becomes shorter; 0: never.
    pub fn shorter_beyond(&self) -> u64 {
        match self.full {
            RememberFull::Shorter => self.most.unwrap_or(0),
            RememberFull::Refuse => 0,
        }
    }

    /// Returns the bytes beyond which nothing more is remembered; 0: never.
    pub fn refused_beyond(&self) -> u64 {
        match self.full {
            RememberFull::Shorter => 0,
            RememberFull::Refuse => self.most.unwrap_or(0),
        }
    }
}

impl Memory {
    pub async fn is_scarce(&self, server: &Server) -> Result<bool, Error> {
        if self.is_due(PERIOD) {
            self.look(server).await?;
        }
        Ok(self.scarce.load(Ordering::Relaxed))
    }

    async fn look(&self, server: &Server) -> Result<(), Error> {
        let memory = match look(server).await {
            // Hidden: what is left is to believe Redis when it is full.
            Err(Error::Refused { .. }) => None,
            looked => Some(looked?),
        };
        let limit = memory.and_then(|memory| memory.limit);
        self.limit.store(limit.unwrap_or(0), Ordering::Relaxed);
        let scarce = memory.is_some_and(MemoryUse::is_scarce);
        match (self.scarce.swap(scarce, Ordering::Relaxed), scarce) {
            (false, true) => {
                error!("redis has used 80 % of its maxmemory, entries are refused")
            }
            (true, false) => info!("redis has memory again, entries are accepted"),
            _ => {}
        }
        Ok(())
    }

    /// Redis itself said so, sooner than the next look.
    pub fn is_exhausted(&self) {
        self.scarce.store(true, Ordering::Relaxed);
    }

    /// Notes who shares the memory.
    pub fn share(&self, flow: &FlowName, partitions: u16) {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows.insert(flow.clone(), partitions);
    }

    /// Returns how many bytes a partition may remember: what its flow says, else
    /// its share of half of the memory that admission may use.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn limit(
        &self,
        server: &Server,
        partition: &Partition,
        memory: RememberMemory,
    ) -> Result<Option<u64>, Error> {
        if memory.bytes.is_some() {
            return Ok(memory.bytes);
        }
        if self.is_due(LIMIT_PERIOD) {
            self.look(server).await?;
        }
        let limit = Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0);
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = flows.get(&partition.flow).copied().unwrap_or(1).max(1);
        let shares = flows.len().max(1) as u64 * u64::from(partitions);
        Ok(limit.map(|limit| (MemoryUse::admissible(limit) / 2 / shares).max(1)))
    }

    /// # Errors
    /// When Redis is away.
    pub async fn remembered(
        &self,
        server: &Server,
        partition: &Partition,
        Remember { known_for, memory }: Remember,
    ) -> Result<Remembered, Error> {
        Ok(Remembered {
            known_for,
            most: self.limit(server, partition, memory).await?,
            full: memory.full,
        })
    }

    /// True for one caller per period.
    fn is_due(&self, period: Duration) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|at| at.elapsed() >= period);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }
}

/// How much there is and how much is used right now.
///
/// # Errors
/// [`Error::Refused`] where Redis hides it.
pub(super) async fn look(server: &Server) -> Result<MemoryUse, Error> {
    let mut connection = server.connection().await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    let number = |name: &str| info.get::<u64>(name).unwrap_or(0);
    Ok(MemoryUse {
        used: number("used_memory"),
        limit: Some(number("maxmemory")).filter(|limit| *limit > 0),
    })
}
