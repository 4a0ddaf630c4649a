//! One process on a database file: no Redis, no Postgres.

mod archive;
mod key;
mod welcome;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::host::{self, Ground};
use crate::settings::{DevSettings, Role};
use floodgate_backbone as backbone;
use floodgate_embedded::{Database, OpenError};
use floodgate_ledger as ledger;
use floodgate_process::tasks::ARCHIVE_PROCESS;
use floodgate_telemetry::Telemetry;

use self::archive::Statistics;
use self::welcome::Welcome;

pub(super) async fn run(settings: DevSettings) -> anyhow::Result<()> {
    let telemetry = Telemetry::start()?;
    let served = serve(settings).await;
    telemetry.stop().await;
    served
}

async fn serve(settings: DevSettings) -> anyhow::Result<()> {
    let (dir, ephemeral) = (settings.data_dir, settings.ephemeral);
    let open = move || match ephemeral {
        true => Database::ephemeral(),
        false => Database::open(&dir),
    };
    let database: Result<Database, OpenError> = tokio::task::spawn_blocking(open).await?;
    let database = database?;
    let mut settings = settings.host;
    let key = key::offer(database.dir(), &mut settings.keys)?;
    let statistics = Statistics::find(&settings, database.dir());
    let archive = Arc::new(statistics.client(&settings)?);
    let backbone = backbone::Embedded::new(database.clone()).await?;
    let ground = Ground {
        backbone: Arc::new(backbone.with_lease(settings.lease)),
        ledger: Arc::new(ledger::Embedded::new(database.clone()).await?),
        archive: archive.clone(),
    };
    let stop = CancellationToken::new();
    let child = async {
        if let Statistics::Child(child) = &statistics {
            let keep_running = || child.keep_running(archive.clone(), stop.clone());
            ARCHIVE_PROCESS.run(keep_running).await;
        }
    };
    let welcome = Welcome {
        dir: database.dir().to_owned(),
        ephemeral,
        key,
        statistics: &statistics,
    };
    let tell = |started: &host::Started| welcome.tell(started);
    let serve = async {
        let served = host::run(settings, Role::All, ground, tell).await;
        // The file is there until nobody reads it any more.
        stop.cancel();
        served
    };
    let (served, ()) = tokio::join!(serve, child);
    served
}
