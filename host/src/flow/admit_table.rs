//! `[admit]` as written, and what becomes of it.

use std::path::Path;
use std::time::Duration;

use super::file::{Found, Section};
use super::identity::Normalise;
use super::resolve::{SIZE, duration};
use super::{Admit, Pointer, Reply, Schema, Template};

const PATH: &str =
    "write a path such as \"/transactions\": without a slash at its end, query or spaces";
const POINTER: &str = "write a JSON Pointer such as \"/tx_hash\"";
const ID: &str = "write id = { field = \"/tx_hash\" }";
/// One group of an append carries up to 128 bodies.
const MAX_BODY: u64 = 16 << 20;
/// Paths of the front end's own.
const RESERVED: [&str; 1] = ["/healthz"];

/// Takes note of the HTTP path of a flow, or reports that it is taken.
pub(super) trait Claim: FnOnce(String, &Found) {}
impl<F: FnOnce(String, &Found)> Claim for F {}

/// `None` where something that has no default is missing or wrong.
pub(super) fn read(mut table: Section, dir: Option<&Path>, claim: impl Claim) -> Option<Admit> {
    let path = table.required("path", PATH).and_then(|found| {
        let path = found.check(PATH, |path: &String| is_path(path))?;
        claim(path.clone(), &found);
        Some(path)
    });
    let schema = table
        .required("schema", "name a JSON Schema beside this file")
        .and_then(|found| schema(&found, dir));
    let id = id(&mut table);
    let max_body = table.optional("max_body").and_then(|found| size(&found));
    let remember = duration(&mut table, "remember");
    let normalise = normalise(table.section("normalise"));
    let reply = reply(table.section("reply"));
    table.finish();
    Some(Admit {
        path: path?.into(),
        schema: schema?,
        id: id?,
        max_body: max_body.unwrap_or(64 << 10),
        remember: remember.unwrap_or(Duration::from_secs(600)),
        normalise,
        reply: reply?,
    })
}

fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.starts_with('/')
        && !path.ends_with('/')
        && path.bytes().all(plain)
        && !RESERVED.contains(&path)
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

fn id(table: &mut Section) -> Option<Pointer> {
    let mut id = table.required("id", ID)?.section()?;
    let field = id
        .required("field", POINTER)
        .and_then(|found| pointer(&found));
    id.finish();
    field
}

fn pointer(found: &Found) -> Option<Pointer> {
    let pointer = found.parse(POINTER, Pointer::parse)?;
    if pointer.is_root() {
        found.report("it points at the whole body", POINTER);
        return None;
    }
    Some(pointer)
}

fn size(found: &Found) -> Option<usize> {
    let size = found.parse(SIZE, str::parse::<bytesize::ByteSize>)?;
    if !(1..=MAX_BODY).contains(&size.as_u64()) {
        found.report(
            format_args!("{size} is not possible here"),
            "write 1B to 16MiB",
        );
        return None;
    }
    usize::try_from(size.as_u64()).ok()
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

fn reply(mut table: Section) -> Option<Reply> {
    let status = table
        .optional("status")
        .and_then(|found| found.check("write 200 to 299", |status| (200..=299).contains(status)));
    let body = match table.optional("body") {
        Some(found) => Template::compile(found.raw())
            .map_err(|errors| {
                for (span, error) in errors {
                    found.report_at(span, &error, error.remedy());
                }
            })
            .ok(),
        None => Some(Template::default()),
    };
    table.finish();
    Some(Reply {
        status: status.unwrap_or(202),
        body: body?,
    })
}
