use serde_json::Value;

use floodgate_flow::{Filled, Flow, Identity, Name, State, Values};

/// What is known of an entry, or of a batch, when it has just been admitted.
pub(super) struct Receipt<'a> {
    pub flow: &'a Flow,
    /// None of a batch.
    pub id: Option<&'a str>,
    /// Unix milliseconds, by the backbone's clock.
    pub received_at: Option<u64>,
    /// Entries of the request.
    pub count: usize,
    pub body: Option<&'a Value>,
}

impl Values for Receipt<'_> {
    fn value(&self, name: Name) -> Filled<'_> {
        match name {
            Name::Id => id(self.flow, self.id),
            Name::ReceivedAt => Filled::time(self.received_at),
            Name::Count => Filled::Integer(self.count as u64),
            Name::State => Filled::Text(match &self.flow.track {
                Some(track) => track.states.name(State::Pending),
                None => "pending",
            }),
            Name::Label => Filled::Text(&self.flow.decide.pending),
            _ => Filled::Null,
        }
    }

    fn body(&self) -> Option<&Value> {
        self.body
    }
}

/// An id as JSON: what counts up is a number.
pub(super) fn id<'v>(flow: &Flow, id: Option<&'v str>) -> Filled<'v> {
    let number = || id?.parse().ok();
    match (&flow.admit.id, number()) {
        (Identity::Sequence, Some(number)) => Filled::Integer(number),
        _ => Filled::text(id),
    }
}
