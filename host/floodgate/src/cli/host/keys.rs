//! API keys from a file and from the environment, read again when the file changes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::settings::KeySettings;
use floodgate_flow::Flow;
use floodgate_flow::masked;
use floodgate_ingest::keys::KeyRing;
use floodgate_process::metrics::table::FILES_READ;
use floodgate_process::watch::{SETTLE, Stamp};

/// How often the file is looked at.
const POLL: Duration = Duration::from_secs(1);

/// # Errors
/// All lines that are wrong, by file and number.
pub(super) fn load(settings: &KeySettings) -> anyhow::Result<KeyRing> {
    let mut text = String::new();
    if let Some(path) = &settings.keys_file {
        text = std::fs::read_to_string(path).with_context(|| {
            let path = masked::path(path);
            format!("read key file (--keys-file, FLOODGATE_KEYS_FILE) {path}")
        })?;
        // So that each place is judged by itself.
        check("the key file", &text)?;
        text.push('\n');
    }
    let of_environment = settings.keys.as_deref().unwrap_or_default();
    check("FLOODGATE_KEYS", of_environment)?;
    text.push_str(of_environment);
    check("the key file and FLOODGATE_KEYS together", &text)
}

fn check(place: &str, text: &str) -> anyhow::Result<KeyRing> {
    KeyRing::parse(text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("\n  {p}")).collect();
        anyhow!("{place} has problems:{}", lines.concat())
    })
}

/// A flow that nobody may use is most likely a key file that was forgotten.
pub(super) fn warn_of_closed_flows<'f>(
    ring: &KeyRing,
    flows: impl IntoIterator<Item = &'f Arc<Flow>>,
) {
    for flow in flows {
        if flow.admit.keys && !ring.has_one_for(&flow.name) {
            warn!(flow = %flow.name, "flow wants an API key and there is none for it, everything is refused; floodgate keys new makes one");
        }
    }
}

/// Follows the file; a version that has problems changes nothing.
pub(super) async fn follow(
    settings: KeySettings,
    ring: Arc<ArcSwap<KeyRing>>,
    stop: CancellationToken,
) {
    let Some(path) = settings.keys_file.clone() else {
        return;
    };
    let [taken, refused] = ["taken", "refused"].map(|outcome| FILES_READ.of(["keys", outcome]));
    let stamp = || std::fs::metadata(&path).ok().map(|found| Stamp::of(&found));
    // Whatever was written since the start is taken with the first look.
    let mut seen = None;
    let mut polls = tokio::time::interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(polls.tick()).await.is_some() {
        let found = stamp();
        if found == seen {
            continue;
        }
        tokio::time::sleep(SETTLE).await;
        if stamp() != found {
            continue;
        }
        seen = found;
        match load(&settings) {
            Ok(keys) => {
                info!(keys = keys.len(), "api keys read");
                ring.store(Arc::new(keys));
                taken.increment(1);
            }
            Err(error) => {
                refused.increment(1);
                error!(
                    error = format!("{error:#}"),
                    "api keys not read, the keys stay as they are"
                );
            }
        }
    }
}
