use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::connection::Server;
use crate::backbone::{Error, MemoryUse};

/// How old a look at the memory may be.
const PERIOD: Duration = Duration::from_millis(250);

/// Whether Redis' memory is nearly used up, as of a moment ago.
#[derive(Default)]
pub(super) struct Memory {
    looked: Mutex<Option<Instant>>,
    scarce: AtomicBool,
}

impl Memory {
    pub async fn is_scarce(&self, server: &Server) -> Result<bool, Error> {
        if self.is_due() {
            let scarce = match look(server).await {
                // Hidden: what is left is to believe Redis when it is full.
                Err(Error::Refused { .. }) => false,
                looked => looked?.is_scarce(),
            };
            match (self.scarce.swap(scarce, Ordering::Relaxed), scarce) {
                (false, true) => {
                    error!("redis has used 80 % of its maxmemory, entries are refused")
                }
                (true, false) => info!("redis has memory again, entries are accepted"),
                _ => {}
            }
        }
        Ok(self.scarce.load(Ordering::Relaxed))
    }

    /// Redis itself said so, sooner than the next look.
    pub fn is_exhausted(&self) {
        self.scarce.store(true, Ordering::Relaxed);
    }

    /// True for one caller per period.
    fn is_due(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|at| at.elapsed() >= PERIOD);
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
