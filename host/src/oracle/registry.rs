use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::component::{LoadError, Oracle};
use super::engine::Engine;
use super::loader::Loader;
use super::notebook::{self, Note};
use super::seat::{Seat, Seated};
use super::standing::Standing;
use super::status::OracleStatus;
use super::watch::{self as files, Dropped, Look};
use crate::flow::{Digest, Flow, FlowName, OracleUse};
use crate::ledger::{self, Ledger};
use crate::tasks::{LEDGER_WRITER, ORACLE_CHOICES, ORACLE_FILES, ORACLE_TRIALS};
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
    dir: PathBuf,
    pub(super) loader: Loader,
    pub(super) ledger: Arc<dyn Ledger>,
    seats: ArcSwap<Seats>,
    standings: ArcSwap<Vec<Arc<Standing>>>,
    pub(super) host: Arc<str>,
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
    /// when this returns, but for what takes long to compile.
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
        self.try_in_force(&new).await;
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
            let chosen = self.read_ledger().await.unwrap_or_default();
            for seat in self.seats.load_full().values() {
                // Whoever attends to it loads it: others do not wait for that.
                if self.seat(seat).await.is_some() {
                    seat.missing.notify_one();
                }
                if chosen.contains(&seat.name) {
                    self.try_in_force(&self.standings_of(&seat.name)).await;
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
            // Dropped again on purpose: it gets another chance.
            seat.happened();
            self.try_in_force(&self.standings_of(&seat.name)).await;
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
        if let Err((flow, why)) = self.try_file(seat, &oracle).await
            && seat.current().is_some()
        {
            let (name, flow, how) = (&seat.name, &flow.name, why.how_and_why());
            let error = format!("{name}.wasm ({digest:.12}): in flow {flow} {how}");
            seat.file_refused(Some(digest), error, None);
            seat.failed_a_trial(why.error);
            let target = json!({ "oracle": &**name, "digest": digest, "flow": flow.as_str() });
            let outcome = json!({ "error": format!("not taken: {how}") });
            self.note(Note::event(&self.host, "file", "swap", target, outcome));
            return;
        }
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
        if let Some(missing) = self.seat(seat).await {
            match self.loader.fetched(seat, missing).await {
                Ok(()) => _ = self.seat(seat).await,
                Err(error) => seat.fetch_failed(&error),
            }
        }
    }

    /// Brings into force what should be, and returns what is missing for it.
    async fn seat(&self, seat: &Seat) -> Option<Digest> {
        match seat.seat() {
            Seated::Unchanged => return None,
            Seated::Missing(digest) => return Some(digest),
            Seated::Swapped { from, to } => self.swapped(seat, from, to),
        }
        self.try_in_force(&self.standings_of(&seat.name)).await;
        self.changed();
        None
    }

    /// Writes down that a file came into force. A person's choice stands in
    /// the audit log by itself.
    fn swapped(&self, seat: &Seat, from: Option<Digest>, to: Digest) {
        let (Some(from), false) = (from, seat.is_chosen()) else {
            return;
        };
        let standings = self.standings_of(&seat.name);
        let flows: BTreeSet<&str> = (standings.iter())
            .map(|standing| standing.flow.name.as_str())
            .collect();
        let target = json!({ "oracle": &*seat.name, "flows": flows, "from": from, "to": to });
        let outcome = json!({ "why": "a file was dropped" });
        self.note(Note::event(&self.host, "file", "swap", target, outcome));
    }

    pub(super) async fn read_history(&self, seat: &Seat) -> Result<(), ledger::Error> {
        seat.history_read(&self.ledger.component_history(&seat.name).await?);
        Ok(())
    }

    /// Follows choices made elsewhere; the names of those that are new. An
    /// error changes nothing: what is known stays.
    async fn read_ledger(&self) -> Result<Vec<Arc<str>>, ledger::Error> {
        let seats = self.seats.load_full();
        let tokens: Vec<_> = (seats.values())
            .filter_map(|seat| Some((seat, seat.choice_token()?)))
            .collect();
        let choices = self.ledger.choices().await?;
        let mut chosen = Vec::new();
        for (seat, token) in tokens {
            let choice = choices.iter().find(|(name, _)| **name == *seat.name);
            if seat.choice_read(token, choice.map(|(_, choice)| choice.clone())) {
                chosen.push(Arc::clone(&seat.name));
            }
            if !seat.history_is_known() {
                self.read_history(seat).await.ok();
            }
        }
        Ok(chosen)
    }

    pub(super) fn note(&self, note: Note) {
        // Only fails after shutdown, when nobody writes any more.
        self.notes.send(note).ok();
    }
}
