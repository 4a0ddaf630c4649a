//! `[admit]` as written, and what becomes of it.

use std::path::Path;
use std::time::Duration;

use super::file::{Found, Section};
use super::identity::Normalise;
use super::load::Claim;
use super::{Admit, Identity, Place, Pointer, Rate, Reply, Schema, Template, bounds};

const PATH: &str =
    "write a path such as \"/transactions\": without a slash at its end, query or spaces";
const POINTER: &str = "write a JSON Pointer such as \"/tx_hash\"";
const ID: &str = "write id = { field = \"/tx_hash\" }, or { generate = \"uuid\" } or { generate = \"sequence\" }";
const RATE: &str =
    "write \"none\", or a rate such as \"1000/s\", \"60/min\" or \"10000 entries/s\"";
/// One group of an append carries up to 128 bodies.
const MAX_BODY: u64 = 16 << 20;

/// `None` where something that has no default is missing or wrong.
pub(super) fn read(mut table: Section, dir: Option<&Path>, claim: Claim) -> Option<Admit> {
    let path = table.required("path", PATH).and_then(|found| {
        let path = found.check(PATH, |path: &String| is_path(path))?;
        claim("POST", &path, &found);
        Some(path)
    });
    let schema = table
        .required("schema", "name a JSON Schema beside this file")
        .and_then(|found| schema(&found, dir));
    let id = id(&mut table);
    let batch = batch(&mut table, id.as_ref());
    let max_body = table
        .optional("max_body")
        .and_then(|found| usize::try_from(found.size(1..=MAX_BODY)?).ok());
    let keys = table
        .optional("keys")
        .and_then(|found| found.read("write true or false"));
    let rate = table.optional("rate").and_then(|found| rate(&found));
    let remember = table.duration("remember", bounds::KEPT);
    let remember_memory = table
        .optional("remember_memory")
        .and_then(|found| found.size(bounds::MEMORY));
    let remember_full = table
        .optional("remember_full")
        .and_then(|found| found.read("write \"refuse\" or \"shorter\""));
    let normalise = normalise(table.section("normalise"));
    let errors = errors(table.section("errors"));
    let place = if batch {
        Place::BatchReply
    } else {
        Place::Reply
    };
    let reply = reply(table.section("reply"), place);
    table.finish();
    Some(Admit {
        named_in: Vec::new(),
        path: path?.into(),
        schema: schema?,
        id: id?,
        batch,
        max_body: max_body.unwrap_or(64 << 10),
        keys: keys.unwrap_or(false),
        rate: rate.flatten(),
        remember: remember.unwrap_or(Duration::from_secs(600)),
        remember_memory,
        remember_full: remember_full.unwrap_or_default(),
        normalise,
        errors,
        reply: reply?,
    })
}

pub(super) fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.starts_with('/') && !path.ends_with('/') && path.bytes().all(plain)
}

fn schema(found: &Found, dir: Option<&Path>) -> Option<Schema> {
    let name: String = found.read("name a JSON Schema beside this file")?;
    let Some(dir) = dir else {
        return Schema::compile(b"true").ok();
    };
    let text = std::fs::read(dir.join(&name))
        .map_err(|error| {
            let what = format!("read {name:?}: {error}");
            found.report(what, "name a JSON Schema beside this file");
        })
        .ok()?;
    Schema::compile(&text)
        .map_err(|error| found.report(format_args!("{name:?}: {error}"), "correct the schema"))
        .ok()
}

fn id(table: &mut Section) -> Option<Identity> {
    #[derive(Clone, Copy, Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Generate {
        Uuid,
        Sequence,
    }
    let found = table.required("id", ID)?;
    let span = found.raw().span();
    let mut id = found.section()?;
    let field = id.optional("field");
    let generate = id.optional("generate");
    let identity = match (&field, &generate) {
        (Some(field), None) => pointer(field).map(Identity::Field),
        (None, Some(generate)) => generate
            .read("write \"uuid\" or \"sequence\"")
            .map(|generate| match generate {
                Generate::Uuid => Identity::Uuid,
                Generate::Sequence => Identity::Sequence,
            }),
        (Some(_), Some(generate)) => {
            generate.report("an id is in the body or generated, not both", ID);
            None
        }
        (None, None) => {
            id.report(span, "neither field nor generate", ID);
            None
        }
    };
    id.finish();
    identity
}

fn batch(table: &mut Section, id: Option<&Identity>) -> bool {
    let Some(found) = table.optional("batch") else {
        return false;
    };
    let batch = found.read("write true or false").unwrap_or(false);
    if batch && matches!(id, Some(Identity::Uuid | Identity::Sequence)) {
        let what = "the items of a batch have ids of their own";
        found.report(what, "write id = { field = \"/...\" }, or batch = false");
    }
    batch
}

fn rate(found: &Found) -> Option<Option<Rate>> {
    found.parse(RATE, |text| match text {
        "none" => Ok(None),
        rate => rate.parse().map(Some),
    })
}

fn errors(table: Section) -> Vec<(Pointer, u16)> {
    table
        .entries()
        .filter_map(|(key, found)| {
            let status = found.number(400..=499);
            let pointer = Pointer::parse(&key)
                .map_err(|error| found.report(error, POINTER))
                .ok();
            Some((pointer?, status?))
        })
        .collect()
}

fn pointer(found: &Found) -> Option<Pointer> {
    let pointer = found.parse(POINTER, Pointer::parse)?;
    if pointer.is_root() {
        found.report("it points at the whole body", POINTER);
        return None;
    }
    Some(pointer)
}

fn normalise(table: Section) -> Vec<(Pointer, Normalise)> {
    table
        .entries()
        .filter_map(|(key, found)| {
            let rule = found.read("write \"lower\", \"upper\" or \"trim\"");
            let pointer = Pointer::parse(&key)
                .map_err(|error| found.report(error, POINTER))
                .ok();
            Some((pointer?, rule?))
        })
        .collect()
}

fn reply(mut table: Section, place: Place) -> Option<Reply> {
    let status = table
        .optional("status")
        .and_then(|found| found.number(200..=299));
    let body = match table.optional("body") {
        Some(found) => template(&found, place),
        None => Some(Template::accepted(place)),
    };
    table.finish();
    Some(Reply {
        status: status.unwrap_or(202),
        body: body?,
    })
}

pub(super) fn template(found: &Found, place: Place) -> Option<Template> {
    Template::compile(found.raw(), place)
        .map_err(|errors| {
            for (span, error) in errors {
                found.report_at(span, &error, error.remedy());
            }
        })
        .ok()
}
