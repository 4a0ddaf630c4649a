//! Makes the ledger ready, and ends the start where it lets nobody in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use floodgate_flow::Flow;
use floodgate_ingest::Ingest;
use floodgate_ledger::{Error, Ledger, Migrated};
use floodgate_readiness::is_unusable;

/// How long a Postgres that lets this user not in is asked again: its password
/// may be changed just now, or the database be made.
const LET_IN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// Waits while Postgres refuses user, password or database, and says so once:
/// nothing else begins meanwhile that would fail for the same reason.
///
/// # Errors
/// When it still does after half a minute.
pub(super) async fn until_let_in(ledger: &dyn Ledger) -> anyhow::Result<()> {
    let end = Instant::now() + LET_IN;
    let mut said = false;
    while let Err(denied @ Error::Denied(_)) = ledger.ping().await {
        if Instant::now() >= end {
            return Err(denied).with_context(|| format!("not let in for {LET_IN:?}"));
        }
        if !said {
            error!(error = %denied, "ledger closed to this host, which ends unless that changes within {LET_IN:?}");
            said = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Has the front end take nothing while nothing can be stored in the ledger. One
/// that is away is no reason: what is taken waits for it. Begins once its tables
/// were made, or refused (`tried`): at a first start they are missing for a moment.
pub(super) async fn follow_usability(
    ingest: Arc<Ingest>,
    ledger: Arc<dyn Ledger>,
    tried: CancellationToken,
    stop: CancellationToken,
) {
    if stop.run_until_cancelled(tried.cancelled()).await.is_none() {
        return;
    }
    let mut was = false;
    loop {
        let unusable = is_unusable(&*ledger).await;
        if unusable && !was {
            error!(
                "nothing can be stored in the ledger, so nothing is taken; see floodgate migrate"
            );
        }
        if was && !unusable {
            info!("the ledger can be used, entries are taken");
        }
        was = unusable;
        ingest.ledger_is_unusable(unusable);
        if !pause(&stop).await {
            return;
        }
    }
}

/// A ledger that is away at start is waited for; until then decisions are not
/// stored and nothing is settled. Each names a flow file that the ledger has.
/// Cancels `tried` at the first answer that is no promise to do it later.
pub(super) async fn migrate_when_there(
    ledger: Arc<dyn Ledger>,
    flows: Arc<[Arc<Flow>]>,
    tried: CancellationToken,
    stop: CancellationToken,
) {
    let bring_up_to_date = async || {
        let migrated = ledger.migrate().await?;
        for flow in flows.iter() {
            ledger.accept_flow(&flow.name, &flow.source).await?;
        }
        Ok::<_, Error>(migrated)
    };
    let mut said = String::new();
    loop {
        match bring_up_to_date().await {
            Ok(migrated) => {
                tried.cancel();
                return tell(&migrated);
            }
            Err(error) => {
                if error.needs_a_person() {
                    tried.cancel();
                }
                let now = error.to_string();
                if now != said {
                    warn!(%error, "ledger not brought up to date, trying again");
                }
                said = now;
            }
        }
        if !pause(&stop).await {
            return;
        }
    }
}

/// Whether there is time for another try.
async fn pause(stop: &CancellationToken) -> bool {
    let paused = stop.run_until_cancelled(tokio::time::sleep(PAUSE));
    paused.await.is_some()
}

fn tell(migrated: &Migrated) {
    let Migrated {
        applied,
        schema,
        views_elsewhere,
    } = migrated;
    let schema = schema.as_deref();
    if !applied.is_empty() {
        info!(
            schema,
            applied = applied.join(", "),
            "ledger brought up to date"
        );
    }
    if !views_elsewhere.is_empty() {
        info!(
            schema,
            views = views_elsewhere.join(", "),
            "views for old clients are in the schema of the ledger only: in public their names are taken, or this role may make none"
        );
    }
}
