//! One process on a database file: no Redis, no Postgres.

mod key;
mod welcome;

use std::sync::Arc;

use super::host::{self, Ground};
use crate::archive::Archive;
use crate::backbone;
use crate::embedded::{Database, OpenError};
use crate::ledger;
use crate::settings::{DevSettings, Role};
use crate::telemetry::Telemetry;

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
    let welcome = Welcome {
        dir: database.dir().to_owned(),
        ephemeral,
        key,
    };
    let ground = Ground {
        backbone: Arc::new(backbone::Embedded::new(database.clone()).await?),
        ledger: Arc::new(ledger::Embedded::new(database).await?),
        archive: Arc::new(Archive::named(&settings.archive)?),
    };
    let tell = |started: &host::Started| welcome.tell(started);
    host::run(settings, Role::All, ground, tell).await
}
