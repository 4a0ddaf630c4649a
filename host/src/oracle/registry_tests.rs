use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::backbone::StreamId;
use crate::flow::{BodyHash, Digest, Entry, FlowName, OracleLimits};
use crate::ledger::{
    Buried, Choice, DeadFilter, DeadLetter, Decided, DecidedBy, Error, Kept, Ledger, Stored,
};

const NAME: &str = "judge";

/// Keeps components and choices; the registry needs nothing else of a ledger.
#[derive(Default)]
struct Shelf {
    away: AtomicBool,
    components: Mutex<BTreeMap<Digest, Bytes>>,
    history: Mutex<Vec<Digest>>,
    choices: Mutex<BTreeMap<String, Choice>>,
}

impl Shelf {
    fn there(&self) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("away".to_owned()));
        }
        Ok(())
    }

    fn choice(&self) -> Option<Choice> {
        self.choices.lock().unwrap().get(NAME).cloned()
    }
}

#[async_trait]
impl Ledger for Shelf {
    async fn component_taken(&self, _: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        self.there()?;
        let bytes = Bytes::copy_from_slice(bytes);
        self.components.lock().unwrap().insert(digest, bytes);
        let mut history = self.history.lock().unwrap();
        history.retain(|known| *known != digest);
        history.insert(0, digest);
        Ok(())
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        self.there()?;
        Ok(self.components.lock().unwrap().get(&digest).cloned())
    }

    async fn component_history(&self, _: &str) -> Result<Vec<Digest>, Error> {
        self.there()?;
        Ok(self.history.lock().unwrap().clone())
    }

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error> {
        self.there()?;
        Ok(self.choices.lock().unwrap().clone().into_iter().collect())
    }

    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error> {
        self.there()?;
        let mut choices = self.choices.lock().unwrap();
        match choice {
            Some(choice) => choices.insert(name.to_owned(), choice.clone()),
            None => choices.remove(name),
        };
        Ok(())
    }

    async fn keep(&self, _: &DecidedBy, _: &[Decided]) -> Result<Kept, Error> {
        unimplemented!()
    }

    async fn kept_before(
        &self,
        _: &FlowName,
        _: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error> {
        unimplemented!()
    }

    async fn bury(&self, _: &[DeadLetter]) -> Result<Stored, Error> {
        unimplemented!()
    }

    async fn dead(&self, _: &DeadFilter) -> Result<Vec<Buried>, Error> {
        unimplemented!()
    }

    async fn remove_dead(&self, _: &Buried) -> Result<bool, Error> {
        unimplemented!()
    }

    async fn ping(&self) -> Result<(), Error> {
        unimplemented!()
    }
}

struct Host {
    dir: TempDir,
    shelf: Arc<Shelf>,
    registry: Arc<Registry>,
    _running: DropGuard,
}

async fn registry(dir: &Path, shelf: &Arc<Shelf>) -> (Arc<Registry>, DropGuard) {
    let shutdown = CancellationToken::new();
    let options = RegistryOptions {
        dir: dir.to_owned(),
        poll: Duration::from_millis(100),
        engine: Arc::new(Engine::new(&EngineOptions::default()).unwrap()),
        ledger: Arc::clone(shelf) as Arc<dyn Ledger>,
        names: vec![NAME.into()],
    };
    let registry = Registry::start(options, shutdown.clone()).await.unwrap();
    (registry, shutdown.drop_guard())
}

impl Host {
    async fn new() -> Self {
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
    async fn with(scores: &[f64]) -> Self {
        let host = Self::new().await;
        for score in scores {
            host.drop_file(&guests::constant(*score));
            host.until_scored(*score).await;
        }
        let stored = || host.shelf.history.lock().unwrap().len() == scores.len();
        until("all are stored", stored).await;
        host
    }

    fn drop_file(&self, bytes: &[u8]) {
        std::fs::write(self.dir.path().join(format!("{NAME}.wasm")), bytes).unwrap();
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.registry.current(NAME)?.digest())
    }

    fn status(&self) -> OracleStatus {
        self.registry.status().remove(0)
    }

    async fn until_scored(&self, score: f64) {
        until(&format!("score {score}"), || {
            self.digest() == Some(of(score))
        })
        .await;
    }

    async fn until_error(&self, part: &str) {
        let said = || {
            self.status()
                .last_error
                .is_some_and(|error| error.contains(part))
        };
        until(part, said).await;
    }

    fn fails(&self, entries: std::ops::Range<u64>) -> Condition {
        let failed: Vec<StreamId> = entries.map(|ms| StreamId { ms, seq: 0 }).collect();
        let oracle = self.registry.current(NAME).unwrap();
        let judged = Observation {
            calls: 1,
            failed: &failed,
            error: Some("trap: unreachable"),
            ..Observation::default()
        };
        self.registry.observe(NAME, &oracle, judged)
    }
}

fn of(score: f64) -> Digest {
    Digest::of(&guests::constant(score))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "it never came to: {what}");
}

async fn score(oracle: &Arc<Oracle>) -> f64 {
    let oracle = Arc::clone(oracle);
    let judged = tokio::task::spawn_blocking(move || {
        let entry = Entry {
            id: "a".into(),
            body: "{}".into(),
            received_at: 0,
            attributes: Vec::new(),
        };
        let limits = OracleLimits {
            memory: 64 << 20,
            timeout: Duration::from_millis(100),
        };
        oracle.judge(&[&entry], &Arc::default(), limits)
    });
    judged.await.unwrap().unwrap().remove(0).unwrap().score
}

#[tokio::test]
async fn a_dropped_file_is_taken_announced_and_stored() {
    let host = Host::new().await;
    assert_eq!(host.digest(), None);
    assert!(
        host.status()
            .last_error
            .is_some_and(|e| e.contains("no such file"))
    );
    let mut changes = host.registry.changes();
    changes.mark_unchanged();
    host.drop_file(&guests::constant(0.25));
    tokio::time::timeout(Duration::from_secs(20), changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(host.digest(), Some(of(0.25)));
    assert_eq!(host.status().last_error, None);
    assert_eq!(host.status().file_digest, Some(of(0.25)));
    until("it is stored", || {
        host.shelf
            .components
            .lock()
            .unwrap()
            .contains_key(&of(0.25))
    })
    .await;
}

#[tokio::test]
async fn what_lies_there_at_the_start_is_in_force_when_the_start_returns() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("judge.wasm"), guests::constant(0.25)).unwrap();
    let (registry, _running) = registry(dir.path(), &Arc::default()).await;
    assert_eq!(registry.current(NAME).unwrap().digest(), of(0.25));
}

#[tokio::test]
async fn a_batch_in_flight_finishes_on_the_oracle_it_began_with() {
    let host = Host::with(&[0.25]).await;
    let held = host.registry.current(NAME).unwrap();
    host.drop_file(&guests::constant(0.75));
    host.until_scored(0.75).await;
    assert_eq!(score(&held).await, 0.25);
    assert_eq!(score(&host.registry.current(NAME).unwrap()).await, 0.75);
    assert_eq!(host.status().previous, Some(of(0.25)));
}

#[tokio::test]
async fn whatever_does_not_load_keeps_the_old_one_in_force_and_is_shown() {
    let host = Host::with(&[0.25]).await;
    let good = guests::constant(0.75);
    for (bytes, said) in [
        (&good[..good.len() / 2], "cut short"),
        (b"not wasm at all", "not WebAssembly"),
        (&guests::of_another_version(), "expected floodgate:oracle/"),
        (&guests::traps_at_start(), "does not start"),
    ] {
        host.drop_file(bytes);
        host.until_error(said).await;
        assert_eq!(host.digest(), Some(of(0.25)));
        assert_eq!(host.status().file_digest, None);
    }
    host.drop_file(&good);
    host.until_scored(0.75).await;
    assert_eq!(host.status().last_error, None);
}

#[tokio::test]
async fn the_old_file_put_back_after_a_bad_one_ends_the_complaint() {
    let host = Host::with(&[0.25]).await;
    host.drop_file(b"not wasm at all");
    host.until_error("not WebAssembly").await;
    host.drop_file(&guests::constant(0.25));
    until("no complaint", || host.status().last_error.is_none()).await;
    assert_eq!(host.digest(), Some(of(0.25)));
}

#[tokio::test]
async fn a_file_beyond_64_mib_is_refused_by_its_size() {
    let host = Host::with(&[0.25]).await;
    let file = std::fs::File::create(host.dir.path().join("judge.wasm")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    host.until_error("67108865 bytes").await;
    assert_eq!(host.digest(), Some(of(0.25)));
}

#[tokio::test]
async fn a_removed_file_leaves_its_oracle_in_force_and_the_status_says_so() {
    let host = Host::with(&[0.25]).await;
    std::fs::remove_file(host.dir.path().join("judge.wasm")).unwrap();
    host.until_error("gone from the directory").await;
    assert_eq!(host.digest(), Some(of(0.25)));
    assert_eq!(host.status().file_digest, None);
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_still_looked_at() {
    let host = Host::with(&[0.25]).await;
    // Change notifications belong to the directory that was moved away.
    let away = tempfile::tempdir().unwrap();
    std::fs::rename(host.dir.path(), away.path().join("moved")).unwrap();
    std::fs::create_dir(host.dir.path()).unwrap();
    host.drop_file(&guests::constant(0.75));
    host.until_scored(0.75).await;
}

#[tokio::test]
async fn a_rollback_goes_one_digest_back_until_another_file_is_dropped() {
    let host = Host::with(&[0.1, 0.2, 0.3]).await;
    assert_eq!(host.registry.rollback(NAME).await.unwrap(), of(0.2));
    assert_eq!(host.digest(), Some(of(0.2)));
    assert_eq!(host.status().rolled_back, Some(of(0.3)));
    assert_eq!(host.registry.rollback(NAME).await.unwrap(), of(0.1));
    assert_eq!(host.digest(), Some(of(0.1)));
    let error = host.registry.rollback(NAME).await.unwrap_err();
    assert!(matches!(error, ChoiceError::NoPrevious { .. }), "{error}");
    host.drop_file(&guests::constant(0.4));
    host.until_scored(0.4).await;
    until("the choice is over", || host.shelf.choice().is_none()).await;
    assert_eq!(host.status().rolled_back, None);
}

#[tokio::test]
async fn a_rollback_outlives_a_restart() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.registry.rollback(NAME).await.unwrap();
    let (restarted, _running) = registry(host.dir.path(), &host.shelf).await;
    assert_eq!(restarted.current(NAME).unwrap().digest(), of(0.1));
}

#[tokio::test]
async fn a_pin_holds_whatever_is_dropped_and_ends_with_unpin() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.registry.pin(NAME, of(0.1)).await.unwrap();
    assert_eq!(host.digest(), Some(of(0.1)));
    host.drop_file(&guests::constant(0.3));
    until("the file is known", || {
        host.status().file_digest == Some(of(0.3))
    })
    .await;
    assert_eq!(host.digest(), Some(of(0.1)));
    assert!(host.status().pinned);
    host.registry.unpin(NAME).await.unwrap();
    assert_eq!(host.digest(), Some(of(0.3)));
}

#[tokio::test]
async fn a_choice_made_elsewhere_is_followed() {
    let host = Host::with(&[0.1, 0.2]).await;
    let choice = Choice::Pinned { digest: of(0.1) };
    host.shelf.choose(NAME, Some(&choice)).await.unwrap();
    host.until_scored(0.1).await;
    host.shelf.choose(NAME, None).await.unwrap();
    host.until_scored(0.2).await;
}

#[tokio::test]
async fn choosing_what_never_was_is_an_error_that_lists_what_was() {
    let host = Host::with(&[0.1]).await;
    let error = host
        .registry
        .pin(NAME, of(0.9))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&of(0.1).to_string()), "{error}");
    let error = host
        .registry
        .pin("jugde", of(0.1))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("they use: judge"), "{error}");
}

#[tokio::test]
async fn a_ledger_that_is_away_delays_no_swap_and_gets_the_component_later() {
    let host = Host::with(&[0.1]).await;
    host.shelf.away.store(true, Ordering::SeqCst);
    host.drop_file(&guests::constant(0.2));
    host.until_scored(0.2).await;
    let error = host.registry.rollback(NAME).await.unwrap_err();
    assert!(matches!(error, ChoiceError::Ledger(_)), "{error}");
    assert_eq!(host.digest(), Some(of(0.2)), "nothing changed");
    host.shelf.away.store(false, Ordering::SeqCst);
    until("it is stored", || {
        host.shelf.components.lock().unwrap().contains_key(&of(0.2))
    })
    .await;
}

#[tokio::test]
async fn an_oracle_that_fails_everything_gives_way_to_the_one_before() {
    let host = Host::with(&[0.1, 0.2]).await;
    assert_eq!(host.fails(0..1), Condition::Fine);
    assert_eq!(host.fails(1..2), Condition::Broken);
    assert_eq!(host.status().faults, 2);
    let blamed = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    assert_eq!(host.digest(), Some(of(0.1)));
    assert_eq!(
        host.status().faults,
        0,
        "the one before has a record of its own"
    );
    let again = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(
        again,
        Blamed::WentBackTo(of(0.1)),
        "another worker saw it, too"
    );
    until("it is written down", || {
        host.shelf.choice()
            == Some(Choice::RolledBack {
                to: of(0.1),
                rejected: of(0.2),
            })
    })
    .await;
}

#[tokio::test]
async fn going_back_twice_does_not_bring_the_first_broken_one_back() {
    let host = Host::with(&[0.1, 0.2, 0.3]).await;
    host.registry.blame(NAME, of(0.3), "it traps").await;
    let blamed = host.registry.blame(NAME, of(0.2), "it traps, too").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    until("it is written down", || {
        host.shelf.choice()
            == Some(Choice::RolledBack {
                to: of(0.1),
                rejected: of(0.3),
            })
    })
    .await;
    assert_eq!(host.digest(), Some(of(0.1)));
}

#[tokio::test]
async fn without_one_before_a_broken_oracle_stays_and_the_caller_hears_it() {
    let host = Host::with(&[0.1]).await;
    let blamed = host.registry.blame(NAME, of(0.1), "it traps").await;
    assert_eq!(blamed, Blamed::NoPrevious);
    assert!(
        host.status()
            .last_error
            .is_some_and(|error| error == "it traps")
    );
}

#[tokio::test]
async fn going_back_works_with_the_ledger_away_and_is_written_down_later() {
    let host = Host::with(&[0.1, 0.2]).await;
    host.shelf.away.store(true, Ordering::SeqCst);
    let blamed = host.registry.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    host.shelf.away.store(false, Ordering::SeqCst);
    until("it is written down", || host.shelf.choice().is_some()).await;
    assert_eq!(host.digest(), Some(of(0.1)));
}

#[tokio::test]
async fn after_a_restart_going_back_finds_the_one_before_in_the_ledger() {
    let host = Host::with(&[0.1, 0.2]).await;
    let (restarted, _running) = registry(host.dir.path(), &host.shelf).await;
    let blamed = restarted.blame(NAME, of(0.2), "it traps").await;
    assert_eq!(blamed, Blamed::WentBackTo(of(0.1)));
    assert_eq!(score(&restarted.current(NAME).unwrap()).await, 0.1);
}

#[tokio::test]
async fn a_missing_directory_is_an_error_that_names_it() {
    let options = RegistryOptions {
        dir: "/nowhere/at/all".into(),
        poll: Duration::from_millis(100),
        engine: Arc::new(Engine::new(&EngineOptions::default()).unwrap()),
        ledger: Arc::new(Shelf::default()),
        names: Vec::new(),
    };
    let error = match Registry::start(options, CancellationToken::new()).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
