use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Map, Value, json};

use super::queries;
use super::replies::{self, Of};
use super::responses::{Responses, header, json_of, problems};
use super::schemas;
use crate::Refusal;
use crate::idempotency::UNGUESSABLE;
use floodgate_flow::{
    Admit, Flow, Identity, MAX_ID, Name, Normalise, Query, RateOf, Track, TrackPath, parse_body,
};
use floodgate_http::origin::NoHost;
use floodgate_http::problem::MEDIA_TYPE;

/// The tag of what does not belong to a flow.
pub(super) const OWN: &str = "floodgate";

/// By path, and within it by method.
type Paths = Map<String, Value>;

pub(super) fn of_flow(flow: &Flow, paths: &mut Paths) {
    add(paths, &flow.admit.path, "post", post(flow));
    if let Some(track) = &flow.track {
        add(paths, track.path.route(), "get", get_fate(flow, track));
    }
    for (index, page) in flow.health.iter().enumerate() {
        let schema = replies::schema(page.reply.shape(), flow, Of::Health);
        let name = format!("{}-health-{}", flow.name, index + 1);
        let mut responses = healthy_or_not(&schema);
        if wants_key(flow, page.open) {
            for (status, problem) in problems(of_gate(flow)) {
                if responses[&status].is_null() {
                    responses[&status] = problem;
                } else {
                    let kind = MEDIA_TYPE;
                    responses[&status]["content"][kind] = problem["content"][kind].clone();
                }
            }
        }
        let mut operation = get(&name, flow.name.as_str(), "How the flow is", responses);
        if wants_key(flow, page.open) {
            show_gate(flow, &mut operation, "200");
        }
        add(paths, &page.path, "get", operation);
    }
    for (index, query) in flow.queries.iter().enumerate() {
        add(paths, &query.path, "get", get_query(flow, index, query));
    }
}

fn get_query(flow: &Flow, index: usize, query: &Query) -> Value {
    let name = format!("{}-query-{}", flow.name, index + 1);
    let responses = queries::responses(flow, query);
    let summary = "Statistics over all that was ever kept";
    let mut operation = get(&name, flow.name.as_str(), summary, responses);
    operation["parameters"] = queries::parameters(query);
    show_gate(flow, &mut operation, "200");
    operation
}

pub(super) fn of_the_front_end(paths: &mut Paths) {
    let schema = |name| json!({ "$ref": format!("#/components/schemas/{name}") });
    let document = json_of("OpenAPI 3.1", json!({ "type": "object" }));
    for (path, name, summary, responses) in [
        (
            "/healthz",
            "healthz",
            "Whether what it stands on is there",
            healthy_or_not(&schema("Health")),
        ),
        (
            "/readyz",
            "readyz",
            "Whether it admits",
            json!({
                "200": json_of("It admits", schema("Readiness")),
                "503": json_of("Send nothing more here, for these reasons", schema("Readiness")),
            }),
        ),
        (
            "/openapi.json",
            "openapi",
            "This document",
            json!({ "200": document }),
        ),
    ] {
        add(paths, path, "get", get(name, OWN, summary, responses));
    }
}

fn healthy_or_not(schema: &Value) -> Value {
    json!({
        "200": json_of("Redis and Postgres answer", schema.clone()),
        "503": json_of("One of them does not", schema.clone()),
    })
}

fn add(paths: &mut Paths, path: &str, method: &str, operation: Value) {
    let path = paths.entry(path).or_insert_with(|| json!({}));
    path[method] = operation;
}

fn get(name: &str, tag: &str, summary: &str, responses: Value) -> Value {
    json!({
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "responses": responses,
    })
}

pub(super) fn parameters() -> Value {
    json!({
        "X-Request-Id": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Names the request in logs and traces; without one, one is made",
            "schema": { "type": "string" },
        },
        "Idempotency-Key": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Makes two requests the same where the body holds no id; remembered for a day",
            "schema": { "type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": "^[!-~]+$" },
        },
        "Unguessable-Idempotency-Key": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Makes two requests the same; remembered for a day. Whoever knows it is told the id of the first one: take a random UUID",
            "schema": { "type": "string", "minLength": UNGUESSABLE, "maxLength": MAX_ID, "pattern": "^[!-~]+$" },
        },
    })
}

fn post(flow: &Flow) -> Value {
    let admit = &flow.admit;
    let mut responses = problems(refusals(flow));
    let schema = replies::schema(admit.reply.body.shape(), flow, Of::Receipt);
    let mut taken = json_of("It is durable, and will be judged once", schema);
    taken["headers"]["Idempotent-Replayed"] = header("Idempotent-Replayed");
    if let Some(link) = link_to_fate(flow) {
        taken["links"] = json!({ "fate": link });
    }
    responses.insert(admit.reply.status.to_string(), taken);
    let idempotency_key = match guards_idempotency_key(flow) {
        true => "Unguessable-Idempotency-Key",
        false => "Idempotency-Key",
    };
    let mut operation = json!({
        "operationId": flow.name.as_str(),
        "tags": [flow.name.as_str()],
        "summary": format!("Post to {}", flow.name),
        "description": about(flow),
        "parameters": [
            { "$ref": format!("#/components/parameters/{idempotency_key}") },
            { "$ref": "#/components/parameters/X-Request-Id" },
        ],
        "requestBody": { "required": true, "content": { "application/json": body(flow) } },
        "responses": responses,
    });
    show_gate(flow, &mut operation, &admit.reply.status.to_string());
    operation
}

/// Whether a page of the flow is for holders of its keys.
fn wants_key(flow: &Flow, open: bool) -> bool {
    flow.admit.keys && !open
}

/// What whoever has no key, or no request left, is answered.
pub(super) fn of_gate(flow: &Flow) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if flow.admit.keys {
        refusals.extend([Refusal::NoKey, Refusal::WrongKey, Refusal::KeyOfOtherFlows]);
    }
    if flow.admit.rate.is_some() {
        let retry_after = Duration::ZERO;
        refusals.extend([Refusal::RateLimited { retry_after }, Refusal::BackboneAway]);
    }
    refusals
}

/// Shows that a call wants the flow's key, and what the answer says of its rate.
pub(super) fn show_gate(flow: &Flow, operation: &mut Value, answered: &str) {
    if flow.admit.keys {
        operation["security"] = json!([{ "ApiKey": [] }]);
    }
    if flow.admit.rate.is_some() {
        for name in ["RateLimit-Policy", "RateLimit"] {
            operation["responses"][answered]["headers"][name] = header(name);
        }
    }
}

fn body(flow: &Flow) -> Value {
    let whole = |entry: Value| match flow.admit.batch {
        true => json!([entry]),
        false => entry,
    };
    let entry = schemas::entry(flow);
    let mut media_type = json!({
        "schema": match flow.admit.batch {
            true => json!({ "type": "array", "items": entry }),
            false => entry,
        },
    });
    if let Some(example) = flow.admit.schema.example() {
        media_type["example"] = whole(example.clone());
    }
    media_type
}

/// What a schema cannot say.
fn about(flow: &Flow) -> String {
    let Admit { max_body, rate, .. } = flow.admit;
    let mut about = match &flow.admit.id {
        Identity::Field(pointer) => format!(
            "`{pointer}` is the id: sending the same again is safe, and another body with the same id is refused."
        ),
        Identity::Uuid | Identity::Sequence => {
            "Floodgate gives it an id. Sending it again is safe with an `Idempotency-Key`."
                .to_owned()
        }
    };
    if flow.admit.batch {
        about += " The body is an array of entries, and is checked whole: one bad item refuses all of it.";
    }
    for (pointer, rule) in &flow.admit.normalise {
        let done = match rule {
            Normalise::Lower => "made lower case",
            Normalise::Upper => "made upper case",
            Normalise::Trim => "trimmed of white space",
        };
        about += &format!(" `{pointer}` is {done} before it is checked.");
    }
    about += &format!(" A body has at most {}.", ByteSize::b(max_body as u64));
    if let Some(rate) = rate {
        let each = match flow.admit.keys {
            true => "owner of API keys",
            false => "peer address",
        };
        let per = humantime::format_duration(rate.per);
        about += &format!(
            " Of each {each} it takes {} {} per {per}.",
            rate.tokens, rate.of
        );
        if rate.of == RateOf::Entries {
            about += " A batch that is larger than what is left is taken once, and what it took too much is waited for.";
        }
    }
    about
}

/// All that a POST may be answered with besides the reply. The values in them
/// show nowhere.
fn refusals(flow: &Flow) -> Vec<Refusal> {
    let admit = &flow.admit;
    let mut refusals = vec![
        Refusal::NoHost(NoHost),
        Refusal::ForeignOrigin,
        Refusal::BadIdempotencyKey,
        Refusal::BodyBroken,
        Refusal::BodyTimeout(Duration::ZERO),
        Refusal::Conflict,
        Refusal::TooLarge(ByteSize::b(0)),
        Refusal::UnsupportedMediaType,
        Refusal::UnsupportedEncoding,
        Refusal::BacklogFull {
            retry_after: Duration::ZERO,
        },
        Refusal::MemoryScarce,
        Refusal::RememberFull,
        Refusal::Overloaded,
        Refusal::BackboneAway,
    ];
    // No bytes are no JSON.
    refusals.extend(parse_body(b"").err().map(Refusal::NotJson));
    let mut statuses = vec![422];
    statuses.extend(admit.errors.iter().map(|(_, status)| *status));
    refusals.extend(statuses.into_iter().map(|status| Refusal::Invalid {
        status,
        violations: Vec::new(),
    }));
    refusals.extend(of_gate(flow));
    if guards_idempotency_key(flow) {
        refusals.push(Refusal::GuessableIdempotencyKey);
    }
    if !flow.oracles.is_empty() {
        refusals.push(Refusal::Waiting(String::new()));
        refusals.push(Refusal::Held);
    }
    refusals.push(Refusal::LedgerUnusable);
    if admit.id == Identity::Sequence {
        refusals.push(Refusal::LedgerAway);
    }
    refusals
}

/// Whether nothing but its `Idempotency-Key` tells a client of the flow from others.
fn guards_idempotency_key(flow: &Flow) -> bool {
    !flow.admit.keys && !matches!(flow.admit.id, Identity::Field(_))
}

/// Where the reply tells the id by which the entry can be asked for.
fn link_to_fate(flow: &Flow) -> Option<Value> {
    let parameter = match &flow.track.as_ref()?.path {
        TrackPath::Segment(_) => "id",
        TrackPath::Query { parameter, .. } => parameter,
    };
    let place = flow.admit.reply.body.shape().says(Name::Id)?;
    let id = format!("$response.body#{place}");
    Some(json!({ "operationId": fate_of(flow), "parameters": { parameter: id } }))
}

fn fate_of(flow: &Flow) -> String {
    format!("{}-fate", flow.name)
}

fn get_fate(flow: &Flow, track: &Track) -> Value {
    let id = replies::id(flow);
    let (parameter, refusal) = match &track.path {
        TrackPath::Segment(_) => (
            json!({ "name": "id", "in": "path", "required": true, "schema": id }),
            Refusal::NotFound,
        ),
        TrackPath::Query { parameter, .. } => (
            json!({ "name": &**parameter, "in": "query", "required": true, "schema": id }),
            Refusal::NoParameter(Arc::clone(parameter)),
        ),
    };
    let unknown = Refusal::Untracked(Arc::clone(&track.unknown));
    let mut refusals = vec![
        refusal,
        unknown,
        Refusal::BackboneSilent,
        Refusal::LedgerSilent,
        Refusal::NoArchive,
        Refusal::ArchiveSilent,
    ];
    if wants_key(flow, track.open) {
        refusals.extend(of_gate(flow));
    }
    let mut responses: Responses = problems(refusals);
    let schema = replies::schema(track.reply.shape(), flow, Of::Fate);
    responses.insert("200".to_owned(), json_of("What is known of it", schema));
    let mut operation = get(
        &fate_of(flow),
        flow.name.as_str(),
        "What became of an entry",
        responses.into(),
    );
    operation["parameters"] = json!([parameter]);
    if wants_key(flow, track.open) {
        show_gate(flow, &mut operation, "200");
    }
    operation
}
