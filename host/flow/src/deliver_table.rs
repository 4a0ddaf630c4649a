//! `[[deliver]]` as written, and what becomes of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{Found, Section};
use super::resolve::{is_name, retry};
use super::{Authorities, DeliverWhen, Downstream, EntryUrl, OracleUse, Retry, bounds};
use crate::masked;

const NAME: &str = "write a name of a to z, 0 to 9, - and _";
const URL: &str = "write a URL such as \"http://localhost:8080/transactions\"";
const EXISTS: &str = "write a URL with {id}, such as \"http://localhost:8080/transactions/{id}\"";

const CA: &str = "name a PEM file of certificates, beside this one or by its absolute path";

/// Of a file of certificates, in bytes. Debian's, with all that browsers trust,
/// has a quarter of it.
const LARGEST_CA: u64 = 1 << 20;

/// A downstream may be away for hours.
const DEFAULT_RETRY: Retry = Retry {
    attempts: 10,
    first: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(300),
};

pub(super) fn read(
    root: &mut Section,
    oracles: &[OracleUse],
    dir: Option<&Path>,
) -> Vec<Arc<Downstream>> {
    let written = root.optional("deliver").map(Found::sections);
    let mut names: Vec<String> = Vec::new();
    let mut downstreams = Vec::new();
    for mut table in written.into_iter().flatten() {
        let name = table.required("name", NAME).and_then(|found| {
            let name = found.check(NAME, |name: &String| is_name(name))?;
            if names.contains(&name) {
                found.report(
                    format_args!("{name:?} is there twice"),
                    "give it another name",
                );
            }
            names.push(name.clone());
            Some(name)
        });
        downstreams.extend(downstream(table, name, oracles, dir).map(Arc::new));
    }
    downstreams
}

fn downstream(
    mut table: Section,
    name: Option<String>,
    oracles: &[OracleUse],
    dir: Option<&Path>,
) -> Option<Downstream> {
    let when = table.optional("when").and_then(|found| {
        let when = found.read("write \"always\" or \"high\"")?;
        if when == DeliverWhen::High && oracles.is_empty() {
            found.report("without an oracle nothing is ever HIGH", "write \"always\"");
        }
        Some(when)
    });
    let url = table
        .required("url", URL)
        .and_then(|found| secret_url(&found, URL));
    let exists = table.optional("exists").and_then(|found| {
        let exists = secret_url(&found, EXISTS)?;
        if !exists.as_str().contains("{id}") {
            found.report("it asks for no entry in particular", EXISTS);
        }
        Some(exists)
    });
    let ca = table
        .optional("ca")
        .and_then(|found| authorities(&found, dir));
    let timeout = table.duration("timeout", bounds::TIMEOUT);
    let quiet = table.duration("quiet", bounds::PAUSE);
    let concurrency = table
        .optional("concurrency")
        .and_then(|found| found.number(1..=1024));
    let retry = retry(table.section("retry"), DEFAULT_RETRY);
    table.finish();
    Some(Downstream {
        name: name?.into(),
        when: when.unwrap_or(DeliverWhen::Always),
        url: url?,
        exists,
        ca,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        quiet: quiet.unwrap_or(Duration::from_secs(60)),
        concurrency: concurrency.unwrap_or(16),
        retry,
    })
}

/// Without a directory the file cannot be found, and nobody is trusted.
fn authorities(found: &Found, dir: Option<&Path>) -> Option<Authorities> {
    let name = found.read::<String>(CA)?;
    let Some(dir) = dir else {
        return Some(Authorities::nobody());
    };
    let path = dir.join(&name);
    let read =
        std::fs::metadata(&path).and_then(|of| match of.is_file() && of.len() <= LARGEST_CA {
            true => std::fs::read(&path),
            false => Err(std::io::Error::other("no file of at most 1 MiB")),
        });
    let pem = read
        .map_err(|error| found.report(format_args!("read {}: {error}", path.display()), CA))
        .ok()?;
    Authorities::parse(&pem)
        .map_err(|error| found.report(format_args!("{name:?}: {error}"), CA))
        .ok()
}

/// A URL may hold a token, and problems are printed and logged.
fn secret_url(found: &Found, remedy: &'static str) -> Option<EntryUrl> {
    let text = found.read_secret::<String>(remedy)?;
    let report = |error| {
        let shown = match text.split('?').next() {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => masked::url(&text),
        };
        found.report(format_args!("{shown:?}: {error}"), remedy);
    };
    EntryUrl::parse(&text).map_err(report).ok()
}
