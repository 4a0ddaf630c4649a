//! What replies look like, from the templates of the flow files.

use serde_json::{Map, Value, json};

use super::{queries, schemas};
use floodgate_flow::{Flow, Identity, Name, Placeholder, Query, Shape, State};

/// What a template is filled with.
#[derive(Clone, Copy)]
pub(super) enum Of<'q> {
    /// An entry, or a batch, that has just been admitted.
    Receipt,
    /// What is known of an entry.
    Fate,
    Health,
    /// What a query found.
    Answer(&'q Query),
}

/// The schema of what `shape` becomes.
pub(super) fn schema(shape: &Shape, flow: &Flow, of: Of) -> Value {
    let inner = |shape| schema(shape, flow, of);
    match shape {
        Shape::Constant(value) => json!({ "const": value }),
        Shape::Text(_) => json!({ "type": "string" }),
        Shape::Value(Placeholder::Named(name)) => named(*name, flow, of),
        Shape::Value(Placeholder::Parameter(name)) => match of {
            Of::Answer(query) => queries::shown(query, name),
            _ => json!({}),
        },
        Shape::Value(Placeholder::Body(pointer)) => match schemas::member(flow, pointer) {
            Some(member) if member.required && matches!(of, Of::Receipt) => member.schema,
            Some(member) => json!({ "anyOf": [member.schema, { "type": "null" }] }),
            None => json!({}),
        },
        Shape::List(items) => json!({
            "type": "array",
            "prefixItems": items.iter().map(inner).collect::<Value>(),
            "minItems": items.len(),
            "maxItems": items.len(),
        }),
        Shape::Table(members) => {
            let properties = members
                .iter()
                .map(|(name, shape)| (name.clone(), inner(shape)));
            json!({
                "type": "object",
                "required": members.iter().map(|(name, _)| name.as_str()).collect::<Value>(),
                "properties": properties.collect::<Map<_, _>>(),
            })
        }
    }
}

fn named(name: Name, flow: &Flow, of: Of) -> Value {
    let decide = &flow.decide;
    match (of, name) {
        (Of::Receipt | Of::Fate, Name::Id) => id(flow),
        (Of::Receipt, Name::ReceivedAt) => json!({ "type": "string", "format": "date-time" }),
        (Of::Receipt, Name::Count) => json!({ "type": "integer", "minimum": 0 }),
        (Of::Receipt, Name::State) => json!({ "const": state(flow, State::Pending) }),
        (Of::Receipt, Name::Label) => json!({ "const": decide.pending }),
        (Of::Fate, Name::State) => states(flow),
        // What is decided keeps the word that the flow file had for it then.
        (Of::Fate, Name::Label) => json!({
            "type": ["string", "null"],
            "description": format!("{}, {} or {}", decide.high, decide.low, decide.pending),
        }),
        (Of::Fate, Name::Score) => score(json!(["number", "null"])),
        (Of::Fate, Name::Reasons) => json!({
            "type": ["array", "null"],
            "items": { "type": "string" },
        }),
        (Of::Fate, Name::Oracles) => json!({
            "type": ["array", "null"],
            "items": oracle(flow),
        }),
        (Of::Fate, Name::Output | Name::Error) => json!({ "type": ["string", "null"] }),
        (Of::Fate, Name::ReceivedAt | Name::UpdatedAt | Name::CompletedAt) => {
            json!({ "type": ["string", "null"], "format": "date-time" })
        }
        (Of::Health, Name::Health) => json!({ "enum": ["healthy", "unhealthy"] }),
        (Of::Health, Name::Uptime) => {
            json!({ "type": "number", "minimum": 0, "description": "Seconds" })
        }
        (Of::Health, Name::Open | Name::Decided | Name::Dead) => {
            json!({ "type": ["integer", "null"], "minimum": 0 })
        }
        (Of::Health, Name::ErrorRate) => score(json!(["number", "null"])),
        (Of::Answer(_), Name::Rows) => json!({
            "type": "array",
            "items": { "type": "object" },
        }),
        _ => json!({ "type": "null" }),
    }
}

pub(super) fn id(flow: &Flow) -> Value {
    match flow.admit.id {
        Identity::Sequence => json!({ "type": "integer", "minimum": 1 }),
        Identity::Uuid => json!({ "type": "string", "format": "uuid" }),
        Identity::Field(_) => json!({ "type": "string" }),
    }
}

fn score(types: Value) -> Value {
    json!({ "type": types, "minimum": 0, "maximum": 1 })
}

fn oracle(flow: &Flow) -> Value {
    json!({
        "type": "object",
        "required": ["name", "score", "label", "reasons"],
        "properties": {
            "name": { "type": "string" },
            "score": score(json!("number")),
            "label": { "enum": distinct([&flow.decide.high, &flow.decide.low]) },
            "reasons": { "type": "array", "items": { "type": "string" } },
        },
    })
}

fn states(flow: &Flow) -> Value {
    let all = [
        State::Pending,
        State::Processing,
        State::Completed,
        State::Failed,
    ];
    json!({ "enum": distinct(all.map(|one| state(flow, one))) })
}

fn state(flow: &Flow, state: State) -> &str {
    match &flow.track {
        Some(track) => track.states.name(state),
        None => "pending",
    }
}

/// A flow may use one word for two things, and an enum may not.
fn distinct<'w>(
    words: impl IntoIterator<Item = &'w (impl AsRef<str> + ?Sized + 'w)>,
) -> Vec<&'w str> {
    let mut words: Vec<&str> = words.into_iter().map(AsRef::as_ref).collect();
    words.sort_unstable();
    words.dedup();
    words
}
