//! Redis, Postgres and PgBouncer of one's own, started from the programs that are
//! installed. Nothing of them outlives the process that started them.

mod pgbouncer;
mod postgres;
mod process;
mod redis;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

pub use self::pgbouncer::PgBouncer;
pub use self::postgres::{Postgres, look_into};
pub use self::process::{Supervised, User, free_port, supervised};
pub use self::redis::Redis;

const START: Duration = Duration::from_secs(30);

/// The patience with a server that was just started.
struct Starting<'s> {
    name: &'static str,
    log: &'s Path,
    end: Instant,
}

impl<'s> Starting<'s> {
    fn new(name: &'static str, log: &'s Path) -> Self {
        Self {
            name,
            log,
            end: Instant::now() + START,
        }
    }

    /// To be called when it does not answer yet.
    async fn wait(&self, server: &mut Supervised) -> anyhow::Result<()> {
        let Self { name, log, end } = self;
        if let Some(status) = server.exited()? {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            bail!("{name} ended at start, {status}: {}", log.trim());
        }
        if Instant::now() > *end {
            bail!(
                "{name} does not answer after {START:?}: see {}",
                log.display()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    }
}
