use std::io::Write;
use std::sync::Arc;

use super::host::{self, Ground, Started};
use crate::settings::ServeSettings;
use floodgate_archive_client::Archive;
use floodgate_backbone::Redis;
use floodgate_telemetry::Telemetry;

/// To Postgres, at most.
const CONNECTIONS: usize = 16;

pub(super) async fn run(settings: ServeSettings) -> anyhow::Result<()> {
    let telemetry = Telemetry::start()?;
    let served = serve(settings).await;
    telemetry.stop().await;
    served
}

async fn serve(settings: ServeSettings) -> anyhow::Result<()> {
    let backbone = Redis::new(settings.backbone.url()?)?;
    let ground = Ground {
        backbone: Arc::new(backbone.with_lease(settings.host.lease)),
        ledger: Arc::new(settings.ledger.postgres(CONNECTIONS)?),
        archive: Arc::new(Archive::named(&settings.host.archive)?),
    };
    host::run(settings.host, settings.role, ground, announce).await
}

/// On standard output, which whoever started this may have closed by now.
pub(super) fn announce(started: &Started) {
    let mut out = std::io::stdout();
    if let Some(address) = started.front_end {
        let _gone = writeln!(out, "listening on http://{address}");
    }
    let _gone = writeln!(out, "admin on http://{}", started.admin);
}
