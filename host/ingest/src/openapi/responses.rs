use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Refusal;
use floodgate_http::problem::MEDIA_TYPE;

/// By status code, as an operation lists them.
pub(super) type Responses = Map<String, Value>;

/// JSON of this schema.
pub(super) fn json_of(description: &str, schema: Value) -> Value {
    json!({
        "description": description,
        "headers": { "X-Request-Id": header("X-Request-Id") },
        "content": { "application/json": { "schema": schema } },
    })
}

pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

pub(super) fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "The one that was sent, or one that was made for this request",
            "required": true,
            "schema": { "type": "string" },
        },
        "Idempotent-Replayed": {
            "description": "There, and true, where the same was taken before: nothing was added",
            "schema": { "const": "true" },
        },
        "Retry-After": {
            "description": "Seconds after which sending it again is worth while",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
        },
        "WWW-Authenticate": {
            "description": "Which header wants the API key",
            "required": true,
            "schema": { "type": "string" },
        },
        "Floodgate-Incomplete": {
            "description": "There where files could not be read and were left out of the answer: how many",
            "schema": { "type": "string", "examples": ["1 files"] },
        },
        "Cache-Control": {
            "description": "How long the answer is good for, where it is whole",
            "schema": { "type": "string", "examples": ["private, max-age=30"] },
        },
        "RateLimit-Policy": {
            "description": "Requests, or entries (q) within a window of seconds (w)",
            "required": true,
            "schema": { "type": "string", "examples": ["\"requests\";q=1000;w=1"] },
        },
        "RateLimit": {
            "description": "Requests, or entries, left (r), and seconds until all are there again (t)",
            "required": true,
            "schema": { "type": "string", "examples": ["\"requests\";r=999;t=1"] },
        },
    })
}

/// What these refusals look like, those of one status together.
pub(super) fn problems(refusals: impl IntoIterator<Item = Refusal>) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals {
        let status = refusal.status().as_u16();
        by_status.entry(status).or_default().push(refusal);
    }
    let responses = by_status.into_iter();
    let responses = responses.map(|(status, refusals)| (status.to_string(), problem(&refusals)));
    responses.collect()
}

fn problem(refusals: &[Refusal]) -> Value {
    let mut titles: Vec<&str> = refusals.iter().map(Refusal::title).collect();
    titles.dedup();
    let mut urns: Vec<String> = refusals.iter().map(Refusal::urn).collect();
    urns.sort();
    urns.dedup();
    let mut headers = Map::new();
    let retried = |refusal: &Refusal| refusal.retry_after().is_some();
    if refusals.iter().all(retried) {
        headers.insert("Retry-After".to_owned(), header("Retry-After"));
    } else if refusals.iter().any(retried) {
        let mut of_some = self::headers()["Retry-After"].take();
        of_some["required"] = false.into();
        headers.insert("Retry-After".to_owned(), of_some);
    }
    let mut add = |name: &str| headers.insert(name.to_owned(), header(name));
    add("X-Request-Id");
    if refusals.iter().any(Refusal::asks_for_a_key) {
        add("WWW-Authenticate");
    }
    json!({
        "description": titles.join("; "),
        "headers": headers,
        "content": {
            (MEDIA_TYPE): {
                "schema": {
                    "allOf": [
                        { "$ref": "#/components/schemas/Problem" },
                        { "properties": { "type": { "enum": urns } } },
                    ],
                },
            },
        },
    })
}
