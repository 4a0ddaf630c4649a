use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use floodgate_flow::{Flow, Identity, MAX_ID, Pointer};
use floodgate_readiness::Reason;

/// What RFC 3986 does not take in a fragment.
const NOT_IN_A_FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Keywords whose values are data, whatever they look like.
const DATA: [&str; 5] = ["const", "enum", "examples", "example", "default"];

/// Their names begin with a capital, and those of flows never do.
pub(super) fn of_the_front_end() -> Map<String, Value> {
    let part = json!({ "enum": ["ok", "error"] });
    let schemas = [
        (
            "Problem",
            json!({
                "title": "Problem document (RFC 9457)",
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": { "type": "string", "description": "To be compared", "examples": ["urn:floodgate:problem:invalid"] },
                    "title": { "type": "string" },
                    "status": { "type": "integer" },
                    "detail": { "type": "string", "description": "For a person; says whether sending again is safe" },
                    "errors": {
                        "type": "array",
                        "description": "What is wrong in the body or with the parameters, at most 20 of it; or which items of a batch were not taken",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "index": { "type": "integer", "minimum": 0, "description": "The item of a batch" },
                                "pointer": { "type": "string", "description": "JSON Pointer into the body, or into the item" },
                                "parameter": { "type": "string", "description": "The parameter of a query, in place of a pointer" },
                                "message": { "type": "string" },
                            },
                        },
                    },
                },
            }),
        ),
        (
            "Health",
            json!({
                "type": "object",
                "required": ["status", "redis", "postgres"],
                "properties": {
                    "status": { "enum": ["ok", "degraded"] },
                    "redis": part,
                    "postgres": part,
                },
            }),
        ),
        (
            "Readiness",
            json!({
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": { "enum": ["ready", "unready"] },
                    "reasons": { "type": "array", "items": { "enum": Reason::ALL } },
                },
            }),
        ),
    ];
    schemas
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

/// The flow's own schema, where it stands in the document.
pub(super) fn embedded(flow: &Flow) -> Value {
    let mut schema = flow.admit.schema.source().clone();
    point_at_home(&mut schema, &home(flow));
    schema
}

/// Where the flow's schema stands.
fn home(flow: &Flow) -> String {
    format!("#/components/schemas/{}", flow.name)
}

/// References within the schema meant its own root. One with an `$id` brings
/// that root along.
fn point_at_home(schema: &mut Value, home: &str) {
    match schema {
        Value::Object(keywords) if !keywords.get("$id").is_some_and(Value::is_string) => {
            for (keyword, value) in keywords {
                match value {
                    Value::String(to) if keyword == "$ref" => {
                        if let Some(within) = to.strip_prefix('#')
                            && (within.is_empty() || within.starts_with('/'))
                        {
                            *to = format!("{home}{within}");
                        }
                    }
                    _ if DATA.contains(&keyword.as_str()) => {}
                    value => point_at_home(value, home),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_at_home(item, home)),
        _ => {}
    }
}

/// One entry as a client sends it: the flow's schema, and what an id must be.
pub(super) fn entry(flow: &Flow) -> Value {
    let own = json!({ "$ref": home(flow) });
    let Identity::Field(pointer) = &flow.admit.id else {
        return own;
    };
    if has_its_id(flow, pointer) {
        return own;
    }
    let id = json!({ "type": ["string", "integer"], "minLength": 1, "maxLength": MAX_ID });
    json!({ "allOf": [own, within(pointer, id)] })
}

/// Whether the schema asks for the id already, as far as one sees at once.
fn has_its_id(flow: &Flow, pointer: &Pointer) -> bool {
    let schema = flow.admit.schema.source();
    let found = member(flow, pointer);
    let narrow = |id: &Value| {
        id["type"] == "integer"
            || id["type"] == "string" && (id["pattern"].is_string() || id["format"] == "uuid")
    };
    let property = pointer
        .tokens()
        .next()
        .map(|token| &schema["properties"][token]);
    pointer.tokens().count() == 1
        && found.is_some_and(|member| member.required)
        && property.is_some_and(narrow)
}

/// `{"properties":{"a":{"properties":{"b":…}}}}`, all of it required.
fn within(pointer: &Pointer, schema: Value) -> Value {
    let tokens: Vec<&str> = pointer.tokens().collect();
    tokens.into_iter().rev().fold(schema, |schema, token| {
        json!({ "type": "object", "required": [token], "properties": { token: schema } })
    })
}

/// A place in the body that the flow's schema speaks of.
pub(super) struct Member {
    pub schema: Value,
    /// Whether every body has it.
    pub required: bool,
}

pub(super) fn member(flow: &Flow, pointer: &Pointer) -> Option<Member> {
    let mut at = flow.admit.schema.source();
    let mut path = home(flow);
    let mut required = true;
    for token in pointer.tokens() {
        let names = at["required"].as_array();
        required &= at["type"] == "object"
            && names.is_some_and(|names| names.iter().any(|name| name == token));
        at = at.get("properties")?.get(token)?;
        path += "/properties/";
        path.extend(utf8_percent_encode(
            &Pointer::escape(token),
            NOT_IN_A_FRAGMENT,
        ));
    }
    Some(Member {
        schema: json!({ "$ref": path }),
        required,
    })
}
