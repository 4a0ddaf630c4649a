//! From the flow files as written to the flows as used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{File, Section};
use super::load::Claim;
use super::{
    Combine, Decide, Digest, Flow, FlowName, Retry, StreamSettings, Unjudged, admit_table, bounds,
    controls, deliver_table, keep_table, oracle_table, query_table, track_table,
};

/// Names end up in Redis keys, file names and metrics.
pub(super) fn is_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// `None` where something that has no default is missing or wrong; other
/// problems stand in `file` only.
pub(super) fn resolve(
    file: &File,
    name: FlowName,
    digest: Digest,
    dir: Option<&Path>,
    claim: Claim,
) -> Option<Flow> {
    let mut root = file.root();
    let admit = admit_table::read(root.section("admit"), dir, claim);
    let written = root.optional("controls");
    let controls = controls::read(written.as_ref(), admit.as_ref(), dir);
    let oracles = oracle_table::read(&mut root);
    let decide = decide(root.section("decide"));
    let deliver = deliver_table::read(&mut root, &oracles, dir);
    let (keep, table) = keep_table::read(root.section("keep"), &oracles, &deliver);
    let track = track_table::track(&mut root, keep, claim);
    let health = track_table::health_pages(&mut root, claim);
    let queries = query_table::read(&mut root, dir, claim);
    let retry = retry(root.section("retry"), DEFAULT_RETRY);
    let stream = stream(root.section("stream"));
    root.finish();
    let mut admit = admit?;
    admit.named_in = deliver.clone();
    Some(Flow {
        source: file.text().into(),
        name,
        digest,
        admit,
        controls,
        oracles,
        decide,
        keep,
        table,
        track,
        deliver,
        health,
        queries,
        retry,
        stream,
    })
}

fn decide(mut table: Section) -> Decide {
    let combine = table
        .optional("combine")
        .and_then(|found| found.read("write \"max\", \"min\" or \"mean\""));
    let threshold = table.optional("threshold").and_then(|found| {
        found.check("scores run from 0.0 to 1.0", |threshold| {
            (0.0..=1.0).contains(threshold)
        })
    });
    let mut labels = table.section("labels");
    let mut label = |key: &'static str, default: &str| -> Arc<str> {
        let remedy = "write a word that is not empty";
        labels
            .optional(key)
            .and_then(|found| found.check(remedy, |text: &String| !text.is_empty()))
            .map_or_else(|| default.into(), Into::into)
    };
    let (high, low) = (label("high", "HIGH"), label("low", "LOW"));
    let pending = label("pending", "PENDING");
    labels.finish();
    let unjudged = table
        .optional("unjudged")
        .and_then(|found| found.read("write \"dead-letter\" or \"high\""));
    table.finish();
    Decide {
        combine: combine.unwrap_or(Combine::Max),
        threshold: threshold.unwrap_or(0.8),
        high,
        low,
        pending,
        unjudged: unjudged.unwrap_or(Unjudged::DeadLetter),
    }
}

const DEFAULT_RETRY: Retry = Retry {
    attempts: 5,
    first: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(300),
};

pub(super) fn retry(mut table: Section, default: Retry) -> Retry {
    let attempts = table
        .optional("attempts")
        .and_then(|found| found.number(1..=1000));
    let mut backoff = table.section("backoff");
    let first = backoff.duration("first", bounds::PAUSE);
    let factor = backoff
        .optional("factor")
        .and_then(|found| found.number(bounds::FACTOR));
    let max = backoff.duration("max", bounds::PAUSE);
    backoff.finish();
    table.finish();
    Retry {
        attempts: attempts.unwrap_or(default.attempts),
        first: first.unwrap_or(default.first),
        factor: factor.unwrap_or(default.factor),
        max: max.unwrap_or(default.max),
    }
}

fn stream(mut table: Section) -> StreamSettings {
    let partitions = table
        .optional("partitions")
        .and_then(|found| found.number(1..=256));
    let max_backlog = table
        .optional("max_backlog")
        .and_then(|found| found.number(bounds::BACKLOG));
    let retain = table.duration("retain", bounds::KEPT);
    table.finish();
    StreamSettings {
        partitions: partitions.unwrap_or(1),
        max_backlog: max_backlog.unwrap_or(1_000_000),
        retain: retain.unwrap_or_default(),
    }
}
