use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::engine::Engine;
use super::loader::Loader;
use super::notebook::{self, Note};
use super::seat::Seat;
use super::standing::Standing;
use floodgate_flow::{Digest, Flow, FlowName, OracleUse};
use floodgate_ledger::Ledger;
use floodgate_process::tasks::{LEDGER_WRITER, ORACLE_CHOICES, ORACLE_FILES, ORACLE_TRIALS};
use floodgate_process::watch::stirs;
use floodgate_report::OracleStatus;

/// An interval of nothing is none.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
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
    /// The flows to judge for; files that none of them uses are left alone.
    pub flows: Vec<Arc<Flow>>,
    /// This process, in the audit log.
    pub host: Arc<str>,
}

/// Which oracle is in force under each name, and which one judges for each
/// flow. The first changes when a file is dropped and when a person chooses;
/// the second, too, when a trial finds an oracle broken under a flow's own
/// settings. Whoever holds an [`Oracle`] finishes with it.
pub struct Registry {
    pub(super) dir: PathBuf,
    pub(super) loader: Loader,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) seats: ArcSwap<Seats>,
    standings: ArcSwap<Vec<Arc<Standing>>>,
    pub(super) host: Arc<str>,
    /// Of each flow the last definition that was not taken, and why.
    pub(super) refused: Mutex<BTreeMap<FlowName, (Digest, String)>>,
    changes: watch::Sender<u64>,
    notes: mpsc::UnboundedSender<Note>,
    pub(super) poll: Duration,
    /// Changes when something in the directory did.
    pub(super) stirred: watch::Receiver<()>,
    shutdown: CancellationToken,
}

pub(super) type Seats = BTreeMap<Arc<str>, Arc<Seat>>;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("oracle directory {dir}: {error}; create it, or name another one with --oracles")]
    Directory { dir: PathBuf, error: std::io::Error },
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
            standings: ArcSwap::default(),
            host: options.host,
            refused: Mutex::default(),
            changes: watch::Sender::new(0),
            notes,
            poll: options.poll.max(SHORTEST_POLL),
            stirred,
            shutdown: shutdown.clone(),
        });
        let writing =
            notebook::write_down(unwritten, Arc::clone(&registry.ledger), shutdown.clone());
        tokio::spawn(LEDGER_WRITER.run(writing));
        registry.use_flows(&options.flows).await;
        let following = Arc::clone(&registry);
        tokio::spawn(async move {
            let _watcher = watcher;
            let followed = ORACLE_CHOICES.run(|| following.follow_choices());
            let tried = ORACLE_TRIALS.run(|| following.try_again());
            let followed = async { tokio::join!(followed, tried) };
            shutdown.run_until_cancelled(followed).await;
        });
        Ok(registry)
    }

    /// Judges for these flows from now on, and for no others: looks for their
    /// components, and tries those that are there. What is there is in force
    /// when this returns, but for what takes long to compile or to be tried.
    pub async fn use_flows(self: &Arc<Self>, flows: impl IntoIterator<Item = &Arc<Flow>>) {
        let before = self.standings.load_full();
        let uses = flows.into_iter().flat_map(|flow| {
            let uses = flow.oracles.iter();
            uses.map(move |usage| (flow, usage))
        });
        let mut new = Vec::new();
        let standings = uses.map(|(flow, usage)| {
            let mut known = before.iter();
            let known = known.find(|known| known.is_of(usage) && known.flow.is_same_as(flow));
            known.cloned().unwrap_or_else(|| {
                let standing = Arc::new(Standing::new(flow, usage));
                new.push(Arc::clone(&standing));
                standing
            })
        });
        let standings: Arc<Vec<Arc<Standing>>> = Arc::new(standings.collect());
        let is_gone = |known: &&Arc<Standing>| !standings.iter().any(|now| Arc::ptr_eq(known, now));
        let gone: Vec<_> = before.iter().filter(is_gone).cloned().collect();
        self.standings.store(Arc::clone(&standings));
        for standing in gone {
            if let Some(held) = standing.release() {
                standing.measure();
                self.released(&standing.flow, &held, "the flow file changed");
            }
        }
        let names = standings.iter().map(|standing| &standing.usage.component);
        self.use_components(names.cloned().collect::<BTreeSet<_>>())
            .await;
        for standing in &new {
            if let Some(seat) = self.seat_of(&standing.usage.component)
                && seat.refuses_file()
            {
                seat.look_again().await;
            }
        }
        // What takes long to be tried delays no other flow. Whatever breaks it
        // meanwhile waits for the end of that trial.
        let trying = Arc::clone(self);
        let tried = tokio::spawn(async move {
            trying.try_in_force(&new).await;
            trying.changed();
        });
        tokio::time::timeout(FIRST_LOOKS, tried).await.ok();
        self.changed();
    }

    /// Looks for these components, too. Those that are there are in force when
    /// this returns, but for those that take long to compile: nobody waits for
    /// them but the flows that use them.
    async fn use_components(self: &Arc<Self>, names: impl IntoIterator<Item = Arc<str>>) {
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
        if !matches!(choices, Ok(Ok(_))) {
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

    pub(super) fn seat_of(&self, name: &str) -> Option<Arc<Seat>> {
        self.seats.load().get(name).cloned()
    }

    /// Changes with every swap.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn status(&self) -> Vec<OracleStatus> {
        let seats = self.seats.load();
        let status = |seat: &Arc<Seat>| {
            let mut status = seat.status();
            let standings = self.standings_of(&seat.name);
            let shown = standings
                .iter()
                .map(|standing| standing.shown(status.digest));
            status.in_flows = shown.collect();
            status
        };
        seats.values().map(status).collect()
    }

    pub(super) fn standing(&self, flow: &FlowName, usage: &OracleUse) -> Option<Arc<Standing>> {
        let standings = self.standings.load();
        let mut of_flow = standings.iter().filter(|known| known.flow.name == *flow);
        of_flow.find(|known| known.is_of(usage)).cloned()
    }

    pub(super) fn standings(&self) -> Vec<Arc<Standing>> {
        self.standings.load().to_vec()
    }

    pub(super) fn standings_of(&self, component: &str) -> Vec<Arc<Standing>> {
        let mut standings = self.standings();
        standings.retain(|standing| *standing.usage.component == *component);
        standings
    }

    /// Tells whoever waits for an oracle that another one may judge now.
    pub(super) fn changed(&self) {
        for standing in self.standings.load().iter() {
            standing.measure();
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn note(&self, note: Note) {
        // Only fails after shutdown, when nobody writes any more.
        self.notes.send(note).ok();
    }
}
