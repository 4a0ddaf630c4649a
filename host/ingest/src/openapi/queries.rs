//! What a flow's queries take and answer.

use std::sync::Arc;

use serde_json::{Value, json};

use super::operations::of_gate;
use super::replies::{self, Of};
use super::responses::{header, json_of, problems};
use crate::Refusal;
use floodgate_flow::{Absent, Flow, MAX_SEGMENT, Parameter, ParameterKind, Query};

/// The operation, without what all of them have.
pub(super) fn responses(flow: &Flow, query: &Query) -> Value {
    let mut responses = problems(refusals(flow, query));
    let schema = replies::schema(query.reply.shape(), flow, Of::Answer(query));
    let mut found = json_of("What was found", schema);
    found["headers"]["Floodgate-Incomplete"] = header("Floodgate-Incomplete");
    if query.cache.is_some() {
        found["headers"]["Cache-Control"] = header("Cache-Control");
    }
    responses.insert("200".to_owned(), found);
    responses.into()
}

pub(super) fn parameters(query: &Query) -> Value {
    let parameter = |parameter: &Parameter| {
        let mut told = json!({
            "name": &*parameter.name,
            "in": "query",
            "required": parameter.absent == Absent::Refused,
            "schema": schema(parameter),
        });
        if let Some(earlier) = &parameter.not_before {
            told["description"] = format!("Not before {earlier}").into();
        }
        told
    };
    query.parameters.iter().map(parameter).collect()
}

fn schema(parameter: &Parameter) -> Value {
    let mut schema = of_kind(&parameter.kind);
    if let Absent::Is(given) = &parameter.absent {
        schema["default"] = given.shown();
    }
    schema
}

fn of_kind(kind: &ParameterKind) -> Value {
    let mut schema = match kind {
        ParameterKind::Date => json!({ "type": "string", "format": "date" }),
        ParameterKind::Time => json!({ "type": "string", "format": "date-time" }),
        ParameterKind::Integer { .. } => json!({ "type": "integer", "format": "int64" }),
        ParameterKind::Number { .. } => json!({ "type": "number" }),
        ParameterKind::Text { max_length } => json!({ "type": "string", "maxLength": max_length }),
        ParameterKind::Choice { of } => json!({ "enum": of }),
        ParameterKind::Boolean => json!({ "type": "boolean" }),
        ParameterKind::Segment { fields } => json!({
            "type": "string",
            "pattern": segment(fields),
            "description": format!("field:value, of these fields: {}", fields.join(", ")),
        }),
    };
    let (min, max) = match kind {
        ParameterKind::Integer { min, max } => (min.map(Value::from), max.map(Value::from)),
        ParameterKind::Number { min, max } => (min.map(Value::from), max.map(Value::from)),
        _ => (None, None),
    };
    for (keyword, bound) in [("minimum", min), ("maximum", max)] {
        if let Some(bound) = bound {
            schema[keyword] = bound;
        }
    }
    schema
}

/// A regular expression as JSON Schema has them: those of ECMA-262.
fn segment(fields: &[Arc<str>]) -> String {
    let field = |field: &Arc<str>| match field.strip_suffix('*') {
        None => literal(field),
        Some(of) => {
            let most = MAX_SEGMENT.saturating_sub(of.chars().count());
            format!("{}[^:]{{1,{most}}}", literal(of))
        }
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!(r"^({}):[\s\S]{{1,{MAX_SEGMENT}}}$", fields.join("|"))
}

fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"^$\.*+?()[]{}|/".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// A parameter's value in a reply.
pub(super) fn shown(query: &Query, name: &str) -> Value {
    let Some(parameter) = query.parameters.iter().find(|known| *known.name == *name) else {
        return json!({});
    };
    let schema = of_kind(&parameter.kind);
    match parameter.absent {
        Absent::Null => json!({ "anyOf": [schema, { "type": "null" }] }),
        _ => schema,
    }
}

/// All that a query may be answered with besides the reply. The values in
/// them show nowhere.
fn refusals(flow: &Flow, query: &Query) -> Vec<Refusal> {
    let mut refusals = vec![
        Refusal::BadParameters(Vec::new()),
        Refusal::AnswerTooLarge(String::new()),
        Refusal::NoArchive,
        Refusal::ArchiveAway,
        Refusal::QueryMemory(String::new()),
        Refusal::QueryTimeout(query.timeout),
        Refusal::QueryRefused,
    ];
    refusals.extend(of_gate(flow));
    refusals
}
