use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::dead::Matching;
use super::types::{Rehearsed, WhichDead};
use super::{Admin, Error, oracles};
use floodgate_flow::{Entry, Flow};
use floodgate_ledger::Buried;
use floodgate_oracle_host::{Engine, EngineOptions, Oracle, Refusal};

/// Letters that are tried where nobody says how many: the newest.
const DEFAULT_LIMIT: u32 = 1000;

/// The oracles of one flow, in the order in which they judge.
type Bench = Arc<[Arc<Oracle>]>;

/// Has dead letters judged by the oracles that judge for their flows now, each
/// alone, and changes nothing: the newest of those that are meant. The components
/// come from the ledger, so any process can do it.
pub(super) async fn rehearse(admin: &Admin, which: &WhichDead) -> Result<Vec<Rehearsed>, Error> {
    let mut benches: BTreeMap<String, Bench> = BTreeMap::new();
    let mut rehearsed = Vec::new();
    let mut matching = Matching::new(which, DEFAULT_LIMIT)?;
    let mut page = Vec::new().into_iter();
    loop {
        let Some(buried) = page.next() else {
            page = matching.page(admin).await?.into_iter();
            match page.len() {
                0 => return Ok(rehearsed),
                _ => continue,
            }
        };
        let flow = admin.flow(buried.letter.flow.as_str())?;
        let bench = match benches.get(flow.name.as_str()) {
            Some(bench) => Arc::clone(bench),
            None => {
                let bench = bench(admin, &flow).await?;
                benches.insert(flow.name.to_string(), Arc::clone(&bench));
                bench
            }
        };
        let body = match buried.erased {
            true => None,
            false => admin.ledger.dead_body(&buried).await?,
        };
        let judging = tokio::task::spawn_blocking(move || judge(&flow, &bench, &buried, body));
        let judged = judging.await;
        rehearsed.push(judged.map_err(|error| Error::Invalid(error.to_string()))?);
    }
}

async fn bench(admin: &Admin, flow: &Flow) -> Result<Bench, Error> {
    let running = oracles::list(admin).await?;
    let memory = flow.oracles.iter().map(|usage| usage.limits.memory);
    let mut options = EngineOptions::default();
    options.max_memory = memory.fold(options.max_memory, usize::max);
    let engine = Engine::new(&options).map_err(|error| Error::Invalid(error.to_string()))?;
    let engine = Arc::new(engine);
    let mut bench = Vec::new();
    for usage in &flow.oracles {
        let name = &usage.component;
        let mut rows = running.iter().filter(|row| row.oracle.name == **name);
        let digest = rows.find_map(|row| row.oracle.judge_of(flow.name.as_str()));
        let digest =
            digest.ok_or_else(|| Error::NotFound(format!("no worker runs an oracle {name}")))?;
        let bytes = admin.ledger.component(digest).await?.ok_or_else(|| {
            Error::NotFound(format!(
                "{name} {digest:.12} is not in the ledger yet, try again"
            ))
        })?;
        let engine = Arc::clone(&engine);
        let loading = tokio::task::spawn_blocking(move || Oracle::load(&engine, &bytes));
        let oracle = match loading.await {
            Ok(Ok(oracle)) => oracle,
            Ok(Err(error)) => return Err(Error::Invalid(format!("{name} {digest:.12}: {error}"))),
            Err(error) => return Err(Error::Invalid(error.to_string())),
        };
        bench.push(Arc::new(oracle.named(Arc::clone(name))));
    }
    Ok(bench.into())
}

fn judge(flow: &Flow, bench: &[Arc<Oracle>], buried: &Buried, body: Option<Bytes>) -> Rehearsed {
    let letter = &buried.letter;
    let Some(body) = body else {
        return Rehearsed {
            flow: letter.flow.to_string(),
            id: letter.id.to_string(),
            died_of: letter.fault.kind.as_str().to_owned(),
            score: None,
            fault: Some("erased".to_owned()),
            error: Some("its body is gone, it cannot be requeued".to_owned()),
        };
    };
    let entry = Entry {
        id: letter.id.clone(),
        body,
        received_at: letter.received_at,
        attributes: letter.attributes.clone(),
    };
    let mut outcome = Ok(Vec::new());
    for (usage, oracle) in flow.oracles.iter().zip(bench) {
        let Ok(scores) = &mut outcome else { break };
        match oracle.judge_one(&entry, &usage.settings, usage.limits) {
            Ok(verdict) => scores.push(verdict),
            Err(fault) => outcome = Err(fault),
        }
    }
    let (score, fault) = match outcome {
        Ok(verdicts) => (flow.decide.score(&verdicts), None),
        Err(fault) => (None, Some(fault)),
    };
    let (fault, error) = fault.map_or((None, None), |Refusal { kind, error }| {
        (Some(kind.as_str().to_owned()), Some(error))
    });
    Rehearsed {
        flow: letter.flow.to_string(),
        id: letter.id.to_string(),
        died_of: letter.fault.kind.as_str().to_owned(),
        score,
        fault,
        error,
    }
}
