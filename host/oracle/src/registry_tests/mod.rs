mod choosing;
mod shelf;
mod taking;
mod trying;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::shelf::Shelf;
use super::*;
use crate::component::Oracle;
use floodgate_flow::{Digest, Entry, Flow, OracleLimits};
use floodgate_ledger::{Change, Choice, Control, Ledger};
use floodgate_report::OracleStatus;

pub(super) const NAME: &str = "judge";

pub(super) struct Host {
    pub(super) dir: TempDir,
    pub(super) shelf: Arc<Shelf>,
    pub(super) registry: Arc<Registry>,
    _running: DropGuard,
}

/// Returns a flow that the component `judge` judges, with the lines `oracle` in its
/// `[[oracle]]` table. The flow has one control entry, whose id is `control`:
/// `floodgate_test_components::misbehaving` does what the first letter of an id says.
pub(super) fn flow_of(name: &str, oracle: &str, control: &str) -> Arc<Flow> {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: String, text: String| std::fs::write(dir.path().join(file), text).unwrap();
    write(
        format!("{name}.schema.json"),
        format!(r#"{{"type": "object", "examples": [{{"id": "{control}"}}]}}"#),
    );
    write(
        format!("{name}.toml"),
        format!(
            "[admit]\npath = \"/{name}\"\nschema = \"{name}.schema.json\"\nid = {{ field = \"/id\" }}\n\
             [[oracle]]\ncomponent = \"{NAME}\"\n{oracle}\n[keep]\nwhen = \"always\"\n"
        ),
    );
    Arc::new(Flow::load_dir(dir.path()).unwrap().remove(0))
}

pub(super) async fn registry(dir: &Path, shelf: &Arc<Shelf>) -> (Arc<Registry>, DropGuard) {
    let shutdown = CancellationToken::new();
    let options = RegistryOptions {
        dir: dir.to_owned(),
        poll: Duration::from_millis(100),
        engine: Arc::new(Engine::new(&EngineOptions::default()).unwrap()),
        ledger: Arc::clone(shelf) as Arc<dyn Ledger>,
        flows: vec![flow_of("probe", "", "a")],
        host: "here".into(),
    };
    let registry = Registry::start(options, shutdown.clone()).await.unwrap();
    (registry, shutdown.drop_guard())
}

impl Host {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Arc::default();
        let (registry, running) = registry(dir.path(), &shelf).await;
        Self {
            dir,
            shelf,
            registry,
            _running: running,
        }
    }

    /// A host that has had these, one after the other.
    pub(super) async fn with(scores: &[f64]) -> Self {
        let host = Self::new().await;
        for score in scores {
            host.drop_file(&floodgate_test_components::constant(*score));
            host.until_scored(*score).await;
        }
        let stored = || host.shelf.history.lock().unwrap().len() == scores.len();
        until("all are stored", stored).await;
        host
    }

    /// A person's choice, by way of the ledger.
    pub(super) async fn choose(&self, choice: Option<Choice>) {
        self.shelf.choose(NAME, choice.as_ref()).await.unwrap();
    }

    pub(super) async fn roll_back(&self) {
        let choice = self.status().rollback;
        assert!(choice.is_some(), "there is one to go back to");
        self.choose(choice).await;
    }

    pub(super) fn drop_file(&self, bytes: &[u8]) {
        std::fs::write(self.dir.path().join(format!("{NAME}.wasm")), bytes).unwrap();
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        Some(self.registry.current(NAME)?.digest())
    }

    pub(super) fn status(&self) -> OracleStatus {
        self.registry.status().remove(0)
    }

    pub(super) async fn until_scored(&self, score: f64) {
        until(&format!("score {score}"), || {
            self.digest() == Some(of(score))
        })
        .await;
    }

    pub(super) async fn until_error(&self, part: &str) {
        let said = || {
            self.status()
                .last_error
                .is_some_and(|error| error.contains(part))
        };
        until(part, said).await;
    }
}

pub(super) fn of(score: f64) -> Digest {
    Digest::of(&floodgate_test_components::constant(score))
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "it never came to: {what}");
}

pub(super) async fn score(oracle: &Arc<Oracle>) -> f64 {
    let oracle = Arc::clone(oracle);
    let judged = tokio::task::spawn_blocking(move || {
        let entry = Entry {
            id: "a".into(),
            body: "{}".into(),
            received_at: 0,
            attributes: Arc::default(),
        };
        let limits = OracleLimits {
            memory: 64 << 20,
            timeout: Duration::from_millis(100),
        };
        oracle.judge(&[&entry], &Arc::default(), limits)
    });
    judged.await.unwrap().unwrap().remove(0).unwrap().score
}

impl Registry {
    /// Returns the oracle that is in force under `name`.
    fn current(&self, name: &str) -> Option<Arc<Oracle>> {
        self.seat_of(name)?.current()
    }
}
