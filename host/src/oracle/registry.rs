use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::component::{LoadError, Oracle};
use super::engine::Engine;
use super::health::Condition;
use super::loader::Loader;
use super::notebook::{self, Note};
use super::seat::{Seat, Seated};
use super::status::{Observation, OracleStatus};
use super::watch::{self as files, Dropped, Look};
use crate::flow::Digest;
use crate::ledger::{self, Ledger};
use crate::tasks::{LEDGER_WRITER, ORACLE_CHOICES, ORACLE_FILES};
use crate::watch::stirs;

/// An interval of nothing is none.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
/// How often choices made elsewhere are looked for.
const CHOICES: Duration = Duration::from_secs(1);
/// How long the first look waits for the ledger.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the first looks are waited for: long for a component of the usual
/// size, short for a flow that has one already.
const FIRST_LOOKS: Duration = Duration::from_secs(5);

pub struct RegistryOptions {
    /// Where `<name>.wasm` is looked for.
    pub dir: PathBuf,
    /// How often the directory is looked at even if nothing is heard of it:
    /// some file systems tell nothing.
    pub poll: Duration,
    pub engine: Arc<Engine>,
    pub ledger: Arc<dyn Ledger>,
    /// The components that flows use; other files are left alone.
    pub names: Vec<Arc<str>>,
}

/// Which oracle is in force under each name. It changes when a file is
/// dropped, when a person chooses, and when an oracle turns out broken;
/// whoever holds an [`Oracle`] finishes with it.
pub struct Registry {
    dir: PathBuf,
    loader: Loader,
    ledger: Arc<dyn Ledger>,
    seats: ArcSwap<Seats>,
    changes: watch::Sender<u64>,
    notes: mpsc::UnboundedSender<Note>,
    poll: Duration,
    /// Changes when something in the directory did.
    stirred: watch::Receiver<()>,
    shutdown: CancellationToken,
}

type Seats = BTreeMap<Arc<str>, Arc<Seat>>;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("oracle directory {dir}: {error}; create it, or name another one with --oracles")]
    Directory { dir: PathBuf, error: std::io::Error },
}

/// What the host did about an oracle that fails everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blamed {
    WentBackTo(Digest),
    /// Nothing else to run: the flow has to wait for another file.
    NoPrevious,
}

impl Registry {
    /// Looks at the directory and at the ledger's choices once, then keeps
    /// looking until shutdown.
    ///
    /// # Errors
    /// Where the directory cannot be read. An oracle that is missing or does
    /// not load is no error: its status says so, and its flows wait.
    pub async fn start(
        options: RegistryOptions,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, RegistryError> {
        if let Err(error) = std::fs::read_dir(&options.dir) {
            let dir = options.dir;
            return Err(RegistryError::Directory { dir, error });
        }
        let (notes, unwritten) = mpsc::unbounded_channel();
        // Watching starts before the first look, so that nothing falls between.
        let (watcher, stirred) = stirs(&options.dir);
        let registry = Arc::new(Self {
            dir: options.dir,
            loader: Loader {
                engine: options.engine,
                ledger: Arc::clone(&options.ledger),
            },
            ledger: options.ledger,
            seats: ArcSwap::default(),
            changes: watch::Sender::new(0),
            notes,
            poll: options.poll.max(SHORTEST_POLL),
            stirred,
            shutdown: shutdown.clone(),
        });
        let writing =
            notebook::write_down(unwritten, Arc::clone(&registry.ledger), shutdown.clone());
        tokio::spawn(LEDGER_WRITER.run(writing));
        registry.use_components(options.names).await;
        let following = Arc::clone(&registry);
        tokio::spawn(async move {
            let _watcher = watcher;
            let followed = ORACLE_CHOICES.run(|| following.follow_choices());
            shutdown.run_until_cancelled(followed).await;
        });
        Ok(registry)
    }

    /// From now on looks for these components, too. Those that are there are
    /// in force when this returns, but for those that take long to compile:
    /// nobody waits for them but the flows that use them.
    pub async fn use_components(self: &Arc<Self>, names: impl IntoIterator<Item = Arc<str>>) {
        let mut seats = Seats::clone(&self.seats.load());
        let new: Vec<Arc<str>> = names
            .into_iter()
            .filter(|name| match seats.entry(Arc::clone(name)) {
                Entry::Occupied(_) => false,
                Entry::Vacant(vacant) => {
                    vacant.insert(Arc::new(Seat::new(Arc::clone(name))));
                    true
                }
            })
            .collect();
        if new.is_empty() {
            return;
        }
        self.seats.store(Arc::new(seats));
        let choices = tokio::time::timeout(PATIENCE, self.read_ledger()).await;
        if !matches!(choices, Ok(Ok(()))) {
            warn!("ledger did not answer, oracles start as if nothing was pinned or rolled back");
        }
        let first_looks = new.into_iter().map(|name| {
            let attending = Arc::clone(self);
            let looked = CancellationToken::new();
            let first_look = looked.clone().cancelled_owned();
            tokio::spawn(async move {
                let attended = ORACLE_FILES.run(|| attending.attend(&name, &looked));
                attending.shutdown.run_until_cancelled(attended).await;
            });
            first_look
        });
        let looked = self.shutdown.run_until_cancelled(join_all(first_looks));
        tokio::time::timeout(FIRST_LOOKS, looked).await.ok();
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn seat_of(&self, name: &str) -> Option<Arc<Seat>> {
        self.seats.load().get(name).cloned()
    }

    /// The oracle in force; `None` while there is none.
    pub fn current(&self, name: &str) -> Option<Arc<Oracle>> {
        self.seat_of(name)?.current()
    }

    /// Changes with every swap.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn status(&self) -> Vec<OracleStatus> {
        let seats = self.seats.load();
        seats.values().map(|seat| seat.status()).collect()
    }

    /// Notes what became of a batch, and says whether the oracle is to blame.
    pub fn observe(&self, name: &str, oracle: &Arc<Oracle>, judged: Observation<'_>) -> Condition {
        match self.seat_of(name) {
            Some(seat) => seat.observe(oracle.digest(), judged),
            None => Condition::Fine,
        }
    }

    /// Takes a broken oracle out of force and goes back to the newest digest
    /// before it that loads. May be called by several workers at once.
    pub async fn blame(&self, name: &str, broken: Digest, error: &str) -> Blamed {
        let Some(seat) = &self.seat_of(name) else {
            return Blamed::NoPrevious;
        };
        if let Some(current) = seat.current().filter(|current| current.digest() != broken) {
            return Blamed::WentBackTo(current.digest());
        }
        // Not in the log: a guest that refuses an entry may quote its body.
        seat.found_broken(broken, error);
        if seat.pinned() {
            error!(
                name,
                digest = format!("{broken:.12}"),
                "oracle is broken and pinned: unpin it or pin another one"
            );
            return Blamed::NoPrevious;
        }
        let Some(to) = self.first_that_loads(seat, broken).await else {
            error!(
                name,
                digest = format!("{broken:.12}"),
                "oracle is broken and there is none to go back to: drop another file"
            );
            return Blamed::NoPrevious;
        };
        if seat.go_back(to, broken) {
            error!(
                name,
                digest = format!("{broken:.12}"),
                to = format!("{to:.12}"),
                "oracle is broken, going back"
            );
            self.note(Note::Chosen {
                seat: Arc::clone(seat),
            });
            self.seat(seat);
        }
        match seat.current() {
            Some(current) if current.digest() != broken => Blamed::WentBackTo(current.digest()),
            _ => Blamed::NoPrevious,
        }
    }

    async fn first_that_loads(&self, seat: &Arc<Seat>, broken: Digest) -> Option<Digest> {
        let before = seat.before(broken);
        if let Some(digest) = before.iter().find(|digest| seat.kept(**digest).is_some()) {
            return Some(*digest);
        }
        self.read_history(seat).await.ok();
        for digest in seat.before(broken) {
            match self.loader.fetched(seat, digest).await {
                Ok(()) => return Some(digest),
                Err(error) => {
                    warn!(name = &*seat.name, digest = format!("{digest:.12}"), %error, "cannot go back to it")
                }
            }
        }
        None
    }

    /// Looks at one file, for ever. `looked` is told of the first time.
    async fn attend(&self, name: &Arc<str>, looked: &CancellationToken) {
        let Some(seat) = self.seat_of(name) else {
            return;
        };
        self.look(&seat).await;
        looked.cancel();
        let mut stirred = self.stirred.clone();
        let mut polls = tokio::time::interval(self.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = polls.tick() => {}
                Ok(()) = stirred.changed() => {}
                () = seat.missing.notified() => {
                    self.fill(&seat).await;
                    continue;
                }
            }
            self.look(&seat).await;
        }
    }

    /// Looks at the ledger, for ever.
    async fn follow_choices(&self) {
        let mut polls = tokio::time::interval(CHOICES);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            polls.tick().await;
            // Whoever writes to the ledger says that it is away.
            self.read_ledger().await.ok();
            for seat in self.seats.load_full().values() {
                // Whoever attends to it loads it: others do not wait for that.
                if self.seat(seat).is_some() {
                    seat.missing.notify_one();
                }
            }
        }
    }

    /// Looks at one file, and takes it if it is new and loads.
    async fn look(&self, seat: &Arc<Seat>) {
        let name = &seat.name;
        let path = self.dir.join(format!("{name}.wasm"));
        let mut seen = seat.seen.lock().await;
        if seat.is_to_be_tried_again() {
            *seen = None;
        }
        match files::look(&path, &mut seen).await {
            Look::Same => return,
            Look::Gone => seat.file_gone(),
            Look::TooLarge(size) => {
                seat.file_refused(
                    None,
                    format!("{name}.wasm: {}", LoadError::TooLarge { size }),
                    None,
                );
            }
            Look::Unreadable(error) => {
                seat.file_refused(None, format!("{}: {error}", path.display()), None);
            }
            Look::Settled(dropped) => self.take(seat, dropped).await,
        }
        self.fill(seat).await;
    }

    async fn take(&self, seat: &Arc<Seat>, dropped: Dropped) {
        let Dropped { digest, bytes, at } = dropped;
        if seat.file_is(digest) {
            return;
        }
        let oracle = match seat.kept(digest) {
            Some(kept) => kept,
            None => match self.loader.load(seat, bytes.clone(), at).await {
                Ok(oracle) => oracle,
                Err(error) => {
                    let name = &seat.name;
                    let said = format!("{name}.wasm ({digest:.12}): {error}");
                    seat.file_refused(Some(digest), said, error.again_in());
                    return;
                }
            },
        };
        self.note(Note::Taken {
            name: Arc::clone(&seat.name),
            digest,
            bytes,
        });
        if seat.file_taken(oracle) {
            self.note(Note::Chosen {
                seat: Arc::clone(seat),
            });
        }
    }

    /// Brings into force what should be, from the ledger if need be.
    async fn fill(&self, seat: &Arc<Seat>) {
        if let Some(missing) = self.seat(seat) {
            match self.loader.fetched(seat, missing).await {
                Ok(()) => _ = self.seat(seat),
                Err(error) => seat.fetch_failed(&error),
            }
        }
    }

    /// Brings into force what should be, and returns what is missing for it.
    fn seat(&self, seat: &Seat) -> Option<Digest> {
        match seat.seat() {
            Seated::Unchanged => None,
            Seated::Missing(digest) => Some(digest),
            Seated::Swapped => {
                self.changes.send_modify(|changes| *changes += 1);
                None
            }
        }
    }

    async fn read_history(&self, seat: &Seat) -> Result<(), ledger::Error> {
        seat.history_read(&self.ledger.component_history(&seat.name).await?);
        Ok(())
    }

    /// Follows choices made elsewhere. An error changes nothing: what is
    /// known stays.
    async fn read_ledger(&self) -> Result<(), ledger::Error> {
        let seats = self.seats.load_full();
        let tokens: Vec<_> = (seats.values())
            .filter_map(|seat| Some((seat, seat.choice_token()?)))
            .collect();
        let choices = self.ledger.choices().await?;
        for (seat, token) in tokens {
            let choice = choices.iter().find(|(name, _)| **name == *seat.name);
            seat.choice_read(token, choice.map(|(_, choice)| choice.clone()));
            if !seat.history_is_known() {
                self.read_history(seat).await?;
            }
        }
        Ok(())
    }

    fn note(&self, note: Note) {
        // Only fails after shutdown, when nobody writes any more.
        self.notes.send(note).ok();
    }
}
