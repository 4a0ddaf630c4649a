//! What became of an entry, for whoever has its id.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::receipt::id;
use super::{Refusal, Response, respond};
use floodgate_archive_client::{self as archive, Archive, FindError, Found, find};
use floodgate_backbone::{Backbone, Fate, OpenEntry, OwnerHash};
use floodgate_flow::{
    Attributes, FaultKind, Filled, Flow, Judged, Name, Outcome, Partition, State, Track, Values,
    owner_of, parse_body,
};
use floodgate_ledger::{DeadFilter, DeliveryState, KeptDecision, KeptDelivery, Ledger};
use floodgate_process::seldom::Seldom;

/// What is known of an entry.
#[derive(Default)]
struct Known {
    state: Option<State>,
    /// Unix milliseconds.
    received_at: Option<u64>,
    body: Option<Value>,
    outcome: Option<Outcome>,
    error: Option<String>,
    /// Unix milliseconds; when it was completed or failed.
    ended_at: Option<u64>,
}

/// Answers for one entry of a flow.
pub(super) struct Tracking<'a> {
    pub flow: &'a Flow,
    pub track: &'a Track,
    pub backbone: &'a dyn Backbone,
    pub ledger: &'a dyn Ledger,
    pub archive: &'a Archive,
    /// Whose entries alone are shown; `None`: all.
    pub owner: Option<OwnerHash>,
}

impl Tracking<'_> {
    /// # Errors
    /// [`Refusal::Untracked`] only where neither backbone nor ledger knows it.
    pub async fn answer(&self, id: &str) -> Result<Response, Refusal> {
        let id = &*self.flow.admit.normal_id(id);
        let known = self.known(id).await?;
        let mut page = Vec::with_capacity(256);
        let fate = Answer {
            flow: self.flow,
            track: self.track,
            id,
            known,
        };
        self.track.reply.render(&fate, &mut page);
        Ok(respond(StatusCode::OK, page))
    }

    async fn known(&self, id: &str) -> Result<Known, Refusal> {
        let partition = Partition {
            flow: self.flow.name.clone(),
            index: self.flow.stream.partition_of(id),
        };
        let fate = self.backbone.fate(&partition, id).await;
        let fate = fate.map_err(|_| Refusal::BackboneSilent)?;
        let owner = fate.owner();
        if !self.shows(owner, false) {
            // An id that was forgotten may have been sent again, by somebody else;
            // the decision that is kept belongs to the first.
            return self.known_to_the_ledger(id, owner).await;
        }
        match fate {
            Fate::Waiting(entry) => Ok(open(State::Pending, &entry)),
            Fate::Processing(entry) => Ok(open(State::Processing, &entry)),
            Fate::Settled {
                stream_id,
                outcome: Some(outcome),
                ..
            } => Ok(Known {
                state: Some(State::Completed),
                received_at: Some(stream_id.ms),
                ..decided(serde_json::from_str(&outcome).ok())
            }),
            Fate::Settled { outcome: None, .. } | Fate::Dead { .. } | Fate::Unknown => {
                self.known_to_the_ledger(id, owner).await
            }
        }
    }

    /// Whether an entry of this owner is shown to whoever asks. One without an
    /// owner came before the flow asked for keys, or its owner went when it was
    /// erased.
    fn shows(&self, owner: Option<OwnerHash>, erased: bool) -> bool {
        match (self.owner, owner) {
            (None, _) => true,
            (Some(asks), Some(owner)) => asks == owner,
            (Some(_), None) => !erased,
        }
    }

    /// `owner`: whose the entry is as the backbone has it.
    async fn known_to_the_ledger(
        &self,
        id: &str,
        owner: Option<OwnerHash>,
    ) -> Result<Known, Refusal> {
        let away = |_| Refusal::LedgerSilent;
        let unknown = || Refusal::Untracked(Arc::clone(&self.track.unknown));
        let of = |attributes: &Attributes| owner_of(attributes).map(OwnerHash::of).or(owner);
        let found = find(self.ledger, self.archive, &self.flow.name, id).await;
        if let Some(Found { decision, moved }) = found.map_err(|error| self.silent(&error))? {
            let owner = of(&decision.listed.attributes);
            if !self.shows(owner, decision.erased_at.is_some()) {
                return Err(unknown());
            }
            let deliveries = match moved {
                Some(moved) => moved.deliveries,
                None if self.flow.deliver.is_empty() => Vec::new(),
                None => {
                    let deliveries = self.ledger.deliveries(&self.flow.name, id).await;
                    deliveries.map_err(away)?
                }
            };
            return Ok(kept(decision, &deliveries));
        }
        let filter = DeadFilter {
            flow: Some(self.flow.name.to_string()),
            id: Some(id.to_owned()),
            limit: 1,
            ..DeadFilter::default()
        };
        let dead = self.ledger.dead(&filter).await.map_err(away)?;
        let buried = dead.into_iter().next().ok_or_else(unknown)?;
        if !self.shows(of(&buried.letter.attributes), buried.erased) {
            return Err(unknown());
        }
        let body = self.ledger.dead_body(&buried).await.map_err(away)?;
        Ok(Known {
            state: Some(State::Failed),
            received_at: Some(buried.letter.received_at),
            body: body.and_then(|body| parse_body(&body).ok()),
            error: Some(buried.letter.fault.kind.for_clients().to_owned()),
            ended_at: Some(buried.letter.last_at),
            outcome: None,
        })
    }

    fn silent(&self, error: &FindError) -> Refusal {
        match error {
            FindError::Ledger(_) => Refusal::LedgerSilent,
            FindError::Archive(archive::Error::NotConfigured) => {
                debug!(flow = %self.flow.name, "entry left the ledger, and there is no archive");
                Refusal::NoArchive
            }
            FindError::Archive(error) => {
                static FAILED: Seldom = Seldom::new();
                if let Some(times) = FAILED.now() {
                    warn!(flow = %self.flow.name, %error, times, "entry left the ledger and was not found");
                }
                Refusal::ArchiveSilent
            }
        }
    }
}

fn open(state: State, entry: &OpenEntry) -> Known {
    Known {
        state: Some(state),
        received_at: Some(entry.stream_id.ms),
        body: entry.body.as_ref().and_then(|body| parse_body(body).ok()),
        ..Known::default()
    }
}

fn decided(outcome: Option<Outcome>) -> Known {
    Known {
        ended_at: outcome.as_ref().map(|outcome| outcome.decided_at),
        outcome,
        ..Known::default()
    }
}

/// A decision is the end where nothing is delivered; else all its deliveries are.
fn kept(decision: KeptDecision, deliveries: &[KeptDelivery]) -> Known {
    let outcome = decision.listed.outcome;
    let is = |state| move |delivery: &&KeptDelivery| delivery.state == state;
    let given_up = deliveries.iter().find(is(DeliveryState::GivenUp));
    let all_delivered = deliveries
        .iter()
        .all(|delivery| is(DeliveryState::Delivered)(&delivery));
    let state = if given_up.is_some() {
        State::Failed
    } else if all_delivered {
        State::Completed
    } else if deliveries
        .iter()
        .any(|delivery| is(DeliveryState::InFlight)(&delivery))
    {
        State::Processing
    } else {
        State::Pending
    };
    let last = deliveries
        .iter()
        .filter_map(|delivery| delivery.ended_at)
        .max();
    let ended_at = match state {
        State::Completed => Some(last.unwrap_or(outcome.decided_at)),
        State::Failed => last,
        State::Pending | State::Processing => None,
    };
    Known {
        state: Some(state),
        received_at: Some(decision.listed.received_at),
        body: parse_body(decision.body.as_bytes()).ok(),
        error: given_up.map(|delivery| undelivered(delivery.error.as_deref())),
        ended_at,
        outcome: Some(outcome),
    }
}

/// Says to a client why a decision was not delivered. Of the error that is kept
/// it repeats only what the downstream answered: the rest names our servers, by
/// URLs that may hold a token.
fn undelivered(error: Option<&str>) -> String {
    const REDIRECT: &str = ", redirects are not followed";
    let words = FaultKind::Delivery.for_clients();
    let answered = error.and_then(|error| error.rsplit_once(" answered "));
    let Some((_, answered)) = answered else {
        return words.to_owned();
    };
    let (status, redirect) = match answered.strip_suffix(REDIRECT) {
        Some(status) => (status, REDIRECT),
        None => (answered, ""),
    };
    match status.parse::<u16>() {
        Ok(status) => format!("{words}: the downstream answered {status}{redirect}"),
        Err(_) => words.to_owned(),
    }
}

struct Answer<'a> {
    flow: &'a Flow,
    track: &'a Track,
    id: &'a str,
    known: Known,
}

impl Answer<'_> {
    fn updated_at(&self) -> Option<u64> {
        let decided_at = self
            .known
            .outcome
            .as_ref()
            .map(|outcome| outcome.decided_at);
        self.known
            .ended_at
            .or(decided_at)
            .or(self.known.received_at)
    }

    /// What each oracle said, with the flow's word for its own score.
    fn oracles(&self, judged: &[Judged]) -> Value {
        let oracle = |judged: &Judged| {
            json!({
                "name": judged.name,
                "score": judged.score,
                "label": self.flow.decide.label_of(judged.score),
                "reasons": judged.reasons,
            })
        };
        judged.iter().map(oracle).collect()
    }
}

impl Values for Answer<'_> {
    fn value(&self, name: Name) -> Filled<'_> {
        let known = &self.known;
        let outcome = known.outcome.as_ref();
        match name {
            Name::Id => id(self.flow, Some(self.id)),
            Name::ReceivedAt => Filled::time(known.received_at),
            Name::State => Filled::text(known.state.map(|state| self.track.states.name(state))),
            Name::Label => match (outcome, known.state) {
                (Some(outcome), _) => Filled::text(outcome.label.as_deref()),
                (None, Some(State::Failed)) => Filled::Null,
                (None, _) => Filled::Text(&self.flow.decide.pending),
            },
            Name::Score => Filled::number(outcome.and_then(|outcome| outcome.score)),
            Name::Reasons => {
                outcome.map_or(Filled::Null, |outcome| Filled::Made(json!(outcome.reasons)))
            }
            Name::Output => Filled::text(outcome.and_then(|outcome| outcome.output.as_deref())),
            Name::Oracles => outcome.map_or(Filled::Null, |outcome| {
                Filled::Made(self.oracles(&outcome.oracles))
            }),
            Name::Error => Filled::text(known.error.as_deref()),
            Name::UpdatedAt => Filled::time(self.updated_at()),
            Name::CompletedAt => Filled::time(known.ended_at),
            _ => Filled::Null,
        }
    }

    fn body(&self) -> Option<&Value> {
        self.known.body.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_what_a_downstream_answered_and_nothing_else() {
        let words = "it could not be delivered (delivery)";
        for (kept, told) in [
            (
                "d: POST http://h/x?token=*** answered 500",
                ": the downstream answered 500",
            ),
            (
                "d: GET http://h/x answered 302, redirects are not followed",
                ": the downstream answered 302, redirects are not followed",
            ),
            ("d: POST http://h/x?t=secret: no connection: refused", ""),
            ("d: POST http://h/ answered secret", ""),
            ("erased", ""),
        ] {
            assert_eq!(undelivered(Some(kept)), format!("{words}{told}"));
        }
        assert_eq!(undelivered(None), words);
    }
}
