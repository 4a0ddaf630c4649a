use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;
use tracing::warn;

use super::audit::{Progress, Told, audited};
use super::guard::Caller;
use super::types::{Chosen, Pin, WorkerOracle};
use super::{Admin, Error};
use floodgate_flow::{Digest, Flow, NotADigest};
use floodgate_ledger::Choice;
use floodgate_process::seldom::Seldom;
use floodgate_report::Report;
use floodgate_report::{InFlow, Standing};

/// The fewest hex digits that name a digest: with fewer, a person mistyped.
const SHORTEST_PIN: usize = 4;

/// Every look at the dashboard reads them again.
static MISUNDERSTOOD: Seldom = Seldom::new();

/// What every living worker says: (worker, report).
pub(super) async fn reports(admin: &Admin) -> Result<Vec<(String, Report)>, Error> {
    let mut all = Vec::new();
    for (worker, report) in admin.backbone.reports().await? {
        match serde_json::from_str::<Report>(&report) {
            Ok(report) => all.push((worker, report)),
            // A worker of another version; it still works.
            Err(error) => {
                if let Some(times) = MISUNDERSTOOD.now() {
                    warn!(%error, worker, times, "report of a worker not understood");
                }
            }
        }
    }
    Ok(all)
}

/// What every living worker runs.
pub(super) async fn list(admin: &Admin) -> Result<Vec<WorkerOracle>, Error> {
    let reports = reports(admin).await?;
    Ok(reports
        .into_iter()
        .flat_map(|(worker, report)| rows(worker, report))
        .collect())
}

pub(super) fn rows(worker: String, report: Report) -> impl Iterator<Item = WorkerOracle> {
    report.oracles.into_iter().map(move |oracle| WorkerOracle {
        worker: worker.clone(),
        oracle,
    })
}

/// The bytes of a component that was ever taken.
pub(super) async fn component(admin: &Admin, digest: &str) -> Result<Bytes, Error> {
    let digest: Digest = digest
        .parse()
        .map_err(|error: NotADigest| Error::Invalid(error.to_string()))?;
    let bytes = admin.ledger.component(digest).await?;
    bytes.ok_or_else(|| Error::NotFound(format!("no component {digest} is kept in the ledger")))
}

/// An oracle of the flow that no living worker runs.
pub(super) async fn missing(admin: &Admin, flow: &Flow) -> Result<Option<String>, Error> {
    let reports = reports(admin).await?;
    let names = flow.oracles.iter().map(|usage| &*usage.component);
    Ok(missing_of(names, &reports).next().map(str::to_owned))
}

/// Those of `names` that no worker runs.
pub(super) fn missing_of<'a>(
    names: impl Iterator<Item = &'a str>,
    reports: &[(String, Report)],
) -> impl Iterator<Item = &'a str> {
    names.filter(move |name| {
        let mut oracles = reports.iter().flat_map(|(_, report)| &report.oracles);
        !oracles.any(|oracle| oracle.name == *name && oracle.digest.is_some())
    })
}

/// Why the flow is held, as each worker that holds it says.
pub(super) fn held_of<'r>(
    flow: &'r str,
    reports: &'r [(String, Report)],
) -> impl Iterator<Item = String> + 'r {
    let oracles = reports.iter().flat_map(|(_, report)| &report.oracles);
    oracles.flat_map(move |oracle| {
        let held = move |stands: &&InFlow| stands.standing == Standing::Held && stands.flow == flow;
        let held = oracle.in_flows.iter().filter(held);
        held.map(move |stands| {
            let digest = stands.digest.map(|digest| format!(" {digest:.12}"));
            let reason = stands.reason.as_deref().unwrap_or_default();
            format!("{}{}: {reason}", oracle.name, digest.unwrap_or_default())
        })
    })
}

impl Told for Chosen {}

/// Writes down what all workers take up within a second or two.
pub(super) async fn rollback(admin: &Admin, by: &Caller, name: &str) -> Result<Chosen, Error> {
    let target = json!({ "oracle": name });
    let change = async |_: &mut Progress| roll_back(admin, name).await;
    audited(admin, by, "rollback", target, change).await
}

async fn roll_back(admin: &Admin, name: &str) -> Result<Chosen, Error> {
    let mut running = list(admin).await?;
    running.retain(|row| row.oracle.name == name && row.oracle.digest.is_some());
    if running.is_empty() {
        return Err(Error::NotFound(format!("no worker runs an oracle {name}")));
    }
    let choice = running.into_iter().find_map(|row| row.oracle.rollback);
    let Some(choice @ Choice::RolledBack { to, .. }) = choice else {
        return Err(Error::Invalid(format!(
            "{name} had no digest before this one that works: drop another file"
        )));
    };
    admin.ledger.choose(name, Some(&choice)).await?;
    Ok(chosen(name, Some(to)))
}

pub(super) async fn pin(
    admin: &Admin,
    by: &Caller,
    name: &str,
    pin: &Pin,
) -> Result<Chosen, Error> {
    let target = json!({ "oracle": name, "digest": pin.digest });
    let change = async |_: &mut Progress| hold(admin, name, pin).await;
    audited(admin, by, "pin", target, change).await
}

async fn hold(admin: &Admin, name: &str, pin: &Pin) -> Result<Chosen, Error> {
    let wanted = pin.digest.to_ascii_lowercase();
    if wanted.len() < SHORTEST_PIN || !wanted.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Error::Invalid(format!(
            "{:?} is too little to pin by: give at least four hex digits of the digest",
            pin.digest
        )));
    }
    let history = admin.ledger.component_history(name).await?;
    let mut named = history
        .iter()
        .filter(|digest| digest.to_string().starts_with(&wanted));
    let (Some(digest), None) = (named.next().copied(), named.next()) else {
        let known: Vec<String> = history.iter().map(|d| format!("{d:.12}")).collect();
        return Err(Error::NotFound(match known.as_slice() {
            [] => format!("no worker ever ran an oracle {name}"),
            known => format!(
                "{:?} does not name one digest of {name}; it had: {}",
                pin.digest,
                known.join(", ")
            ),
        }));
    };
    let choice = Choice::Pinned { digest };
    admin.ledger.choose(name, Some(&choice)).await?;
    Ok(chosen(name, Some(digest)))
}

pub(super) async fn unpin(admin: &Admin, by: &Caller, name: &str) -> Result<Chosen, Error> {
    let change = async |_: &mut Progress| let_go(admin, name).await;
    audited(admin, by, "unpin", json!({ "oracle": name }), change).await
}

async fn let_go(admin: &Admin, name: &str) -> Result<Chosen, Error> {
    let known = known(admin).await?;
    if !known.contains(name) {
        let known: Vec<String> = known.into_iter().collect();
        let known = known.join(", ");
        return Err(Error::NotFound(format!(
            "no oracle {name}; there are: {known}"
        )));
    }
    admin.ledger.choose(name, None).await?;
    Ok(chosen(name, None))
}

/// Those that a flow names, and those that somebody chose a digest of: since
/// then the flow may have gone.
async fn known(admin: &Admin) -> Result<BTreeSet<String>, Error> {
    let choices = admin.ledger.choices().await?;
    let chosen = choices.into_iter().map(|(name, _)| name);
    let flows = admin.flows.borrow();
    let used = flows.all().flat_map(|flow| &flow.oracles);
    let used = used.map(|usage| usage.component.to_string());
    Ok(used.chain(chosen).collect())
}

fn chosen(name: &str, digest: Option<Digest>) -> Chosen {
    Chosen {
        name: name.to_owned(),
        digest: digest.map(|digest| digest.to_string()),
    }
}
