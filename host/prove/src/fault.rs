//! What is done to the stage, and undone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::time::sleep;

use super::load::Load;
use super::stage::Stage;
use super::{SETTLED, breaking, hostile};
use floodgate_backbone::LEASE;

/// Nobody's request or entry waits for longer because of what another client
/// or a mistake in a file does.
pub(super) const HELD: Duration = Duration::from_secs(60);

/// What is done to a running Floodgate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to a worker, which is started again
    KillWorker,
    /// SIGKILL to the api, which is started again
    KillApi,
    /// SIGKILL to Redis, which is started again with its data
    KillRedis,
    /// SIGKILL to Postgres and its sessions, which is started again with its data
    KillPostgres,
    /// SIGSTOP to a worker for longer than its lease
    StopWorker,
    /// Answers of Redis are lost and then all connections to it
    CutRedis,
    /// Answers of Postgres are lost and then all connections to it
    CutPostgres,
    /// The oracle traps on some entries
    TrapOracle,
    /// Other oracles are dropped
    SwapOracle,
    /// Redis is started again and its consumer groups are gone
    EmptyRedis,
    /// Redis has no memory left
    FullRedis,
    /// A replica takes over from Redis, whose connections stay open
    FailoverRedis,
    /// A client sends bursts of entries that no oracle can judge, some of them
    /// right after a swap
    Poison,
    /// A client sends requests on hundreds of connections and reads no answer
    SlowReaders,
    /// A client sends heads that do not end, to the admin address, too
    HalfHeads,
    /// A client sends bodies that do not end, over HTTP/1.1 and HTTP/2
    EndlessBodies,
    /// A client sends a batch of tens of thousands of entries at once
    GiantBatch,
    /// A client sends new ids until it has used up what may be remembered
    IdFlood,
    /// Somebody mistypes a setting of an oracle and corrects it
    SettingsTypo,
    /// A lane of a worker panics over an entry
    PanicLane,
}

/// What a fault leaves to be looked for.
pub(super) struct Done {
    /// What was done to whom, for people.
    pub what: String,
    /// A version of the oracles of which one, or a later one, has to be seen
    /// at work.
    pub version: Option<usize>,
    /// Whether somebody who came while it lasted was not let in for longer
    /// than [`HELD`].
    pub shut_out: bool,
}

impl Done {
    pub fn of(what: impl Into<String>) -> anyhow::Result<Self> {
        Ok(Self {
            what: what.into(),
            version: None,
            shut_out: false,
        })
    }
}

impl Fault {
    /// Whether a client or a person who makes mistakes can do it. Others go on
    /// then: nothing of theirs is held for longer than [`HELD`].
    pub fn is_hostile(self) -> bool {
        match self {
            Self::KillWorker
            | Self::KillApi
            | Self::KillRedis
            | Self::KillPostgres
            | Self::StopWorker
            | Self::CutRedis
            | Self::CutPostgres
            | Self::TrapOracle
            | Self::SwapOracle
            | Self::EmptyRedis
            | Self::FullRedis
            | Self::FailoverRedis => false,
            Self::Poison
            | Self::SlowReaders
            | Self::HalfHeads
            | Self::EndlessBodies
            | Self::GiantBatch
            | Self::IdFlood
            | Self::SettingsTypo
            | Self::PanicLane => true,
        }
    }

    /// Whether other faults are injected while this one lasts.
    pub fn is_long(self) -> bool {
        self == Self::StopWorker
    }

    /// How long it lasts, at most.
    pub fn lasts(self) -> Duration {
        match self {
            Self::StopWorker => LEASE + Duration::from_secs(6),
            _ => Duration::from_secs(5),
        }
    }

    /// How long it may take until all is well again.
    pub(super) fn held_at_most(self) -> Duration {
        if self.is_hostile() { HELD } else { SETTLED }
    }

    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Does it and undoes it. The same `seed` makes the same choices.
    pub(super) async fn inject(
        self,
        stage: &Stage,
        load: &Load,
        seed: u64,
    ) -> anyhow::Result<Done> {
        let mut chance = StdRng::seed_from_u64(seed);
        let away = Duration::from_millis(chance.random_range(0..1_500));
        let deaf = Duration::from_millis(chance.random_range(20..500));
        let first = chance.random_range(0..stage.workers.len());
        match self {
            Self::KillWorker => breaking::kill_worker(stage, first, away).await,
            Self::StopWorker => breaking::stop_worker(stage, first, away).await,
            Self::KillApi => breaking::kill_api(stage, away).await,
            Self::KillRedis => breaking::kill_redis(stage, away).await,
            Self::KillPostgres => breaking::kill_postgres(stage, away).await,
            Self::CutRedis => {
                stage.redis_wire.cut(deaf, away).await;
                Done::of(format!("deaf for {deaf:.1?}, cut for {away:.1?}"))
            }
            Self::CutPostgres => {
                stage.postgres_wire.cut(deaf, away).await;
                Done::of(format!("deaf for {deaf:.1?}, cut for {away:.1?}"))
            }
            Self::TrapOracle => {
                let lasts = Duration::from_secs(1) + away;
                load.trapping.store(true, Ordering::Relaxed);
                sleep(lasts).await;
                load.trapping.store(false, Ordering::Relaxed);
                Done::of(format!("entries that trap for {lasts:.1?}"))
            }
            Self::SwapOracle => breaking::swap_oracle(stage),
            Self::EmptyRedis => breaking::empty_redis(stage, away).await,
            Self::FullRedis => breaking::full_redis(stage, Duration::from_secs(1) + away).await,
            Self::FailoverRedis => breaking::fail_over_redis(stage).await,
            Self::Poison => hostile::poison(stage, load, &mut chance).await,
            Self::SlowReaders => hostile::slow_readers(stage, load).await,
            Self::HalfHeads => hostile::half_heads(stage, load).await,
            Self::EndlessBodies => hostile::endless_bodies(stage, load).await,
            Self::GiantBatch => hostile::giant_batch(stage, load).await,
            Self::IdFlood => hostile::id_flood(stage, load).await,
            Self::SettingsTypo => hostile::settings_typo(stage, away).await,
            Self::PanicLane => hostile::panic_lane(stage, load).await,
        }
    }
}
