//! Follows the file of each component and the choices that people make, and
//! brings into force what should be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::component::LoadError;
use super::notebook::Note;
use super::registry::Registry;
use super::seat::{Seat, Seated};
use super::trials::Against;
use super::watch::{self as files, Dropped, Look};
use floodgate_flow::Digest;
use floodgate_ledger as ledger;

/// How often choices made elsewhere are looked for.
const CHOICES: Duration = Duration::from_secs(1);
/// When a file is tried again that the ledger may speak for.
const UNHEARD: Duration = Duration::from_secs(5);

impl Registry {
    /// Looks at one file, for ever. `looked` is told of the first time.
    pub(super) async fn attend(&self, name: &Arc<str>, looked: &CancellationToken) {
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
    pub(super) async fn follow_choices(&self) {
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
        if let Err(against) = self.try_file(seat, &oracle).await
            && seat.current().is_some()
        {
            let Against { flow, why, .. } = against;
            let (name, flow, how) = (&seat.name, &flow.name, why.how_and_why());
            let mut error = format!("{name}.wasm ({digest:.12}): in flow {flow} {how}");
            if !against.is_settled {
                error.push_str(", and the ledger does not tell what was judged of late");
                return seat.file_refused(Some(digest), error, Some(UNHEARD));
            }
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
    pub(super) async fn read_ledger(&self) -> Result<Vec<Arc<str>>, ledger::Error> {
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
}
