//! Entries that are bad, or too many.

use std::time::Duration;

use hyper::StatusCode;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::breaking::{limit_redis, used_by_redis};
use super::super::entry::{Entry, Order};
use super::super::fault::{Done, HELD};
use super::super::flows::ProvenFlow;
use super::super::load::{HttpClient, Load, post};
use super::super::stage::Stage;
use super::{client, shut_out};
use floodgate_backbone::Backbone;
use floodgate_flow::{FlowName, Partition};

/// How long the hostile client tries.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many of one kind come at once, and to which flow. Endless loops are
/// few: each of them costs its deadline at every attempt.
const BURSTS: [(ProvenFlow, Order, usize); 6] = [
    (ProvenFlow::KeepAlways, Order::Trap, 48),
    (ProvenFlow::KeepAlways, Order::Refuse, 48),
    (ProvenFlow::KeepAlways, Order::BadScore, 48),
    (ProvenFlow::KeepAlways, Order::Memory, 12),
    (ProvenFlow::KeepAlways, Order::Loop, 4),
    (ProvenFlow::Echo, Order::LongAnswer, 48),
];

/// Whole batches of entries that fail, of one kind after the other.
pub(in super::super) async fn poison(
    stage: &Stage,
    load: &Load,
    chance: &mut StdRng,
) -> anyhow::Result<Done> {
    let version = match chance.random_bool(0.5) {
        true => Some(stage.swap_oracles()?),
        false => None,
    };
    if let Some(version) = version {
        // Where it never is, the recovery tells.
        let _ = timeout(PATIENCE, stage.until_in_force(version)).await;
    }
    let mut bursts = BURSTS;
    bursts.shuffle(chance);
    let client = client();
    let mut sent = 0;
    for (flow, order, count) in bursts {
        let entries: Vec<Entry> = (0..count)
            .map(|_| load.hostile_entry(flow, order))
            .collect();
        sent += post_each(&client, stage.api_port, load, entries).await;
    }
    let after = version.map_or_else(String::new, |version| {
        format!(", right after version {version} was dropped")
    });
    Ok(Done {
        what: format!("{sent} entries that fail{after}"),
        version,
        shut_out: false,
    })
}

/// Entries over which a lane panics, each in a batch with those of others.
pub(in super::super) async fn panic_lane(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    const PANICS: usize = 3;
    let new = |_| load.hostile_entry(ProvenFlow::KeepAlways, Order::Panic);
    let entries = (0..PANICS).map(new).collect();
    let sent = post_each(&client(), stage.api_port, load, entries).await;
    Done::of(format!("{sent} entries that a worker panics over"))
}

/// Posts all of them at once, and again until they are taken or its patience
/// ends. Returns how many were.
async fn post_each(client: &HttpClient, port: u16, load: &Load, entries: Vec<Entry>) -> usize {
    let end = Instant::now() + PATIENCE;
    let mut posting = JoinSet::new();
    for entry in entries {
        let client = client.clone();
        posting.spawn(async move {
            while Instant::now() < end {
                let entries = std::slice::from_ref(&entry);
                let answer = timeout(PATIENCE, post(&client, port, entry.flow, entries)).await;
                if matches!(answer, Ok(Ok(StatusCode::ACCEPTED))) {
                    return Some(entry);
                }
                sleep(Duration::from_millis(200)).await;
            }
            None
        });
    }
    let posted = posting.join_all().await;
    let accepted: Vec<Entry> = posted.into_iter().flatten().collect();
    let count = accepted.len();
    load.hostile_accepted(accepted);
    count
}

/// So many entries come in one request.
const GIANT: usize = 30_000;

/// A batch to a flow that others post single entries to.
pub(in super::super) async fn giant_batch(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    let began = Instant::now();
    let taken = post_batch(&client(), stage.api_port, load, ProvenFlow::Batch, GIANT).await;
    let what = match taken {
        true => format!("{GIANT} entries taken after {:.1?}", began.elapsed()),
        false => format!("{GIANT} entries, refused, or not answered in {HELD:?}"),
    };
    Done::of(what)
}

/// Posts a batch, and returns whether the front end took it in time.
async fn post_batch(
    client: &HttpClient,
    port: u16,
    load: &Load,
    flow: ProvenFlow,
    count: usize,
) -> bool {
    let new = |_| load.hostile_entry(flow, Order::Nothing);
    let entries: Vec<Entry> = (0..count).map(new).collect();
    let answer = timeout(HELD, post(client, port, flow, &entries)).await;
    let taken = matches!(answer, Ok(Ok(StatusCode::ACCEPTED)));
    if taken {
        load.hostile_accepted(entries);
    }
    taken
}

/// What admission may still use of Redis' memory when the flood begins. Far
/// less than the ids of the flood would need.
const ROOM: u64 = 8 << 20;

/// Ids of the flood, in batches.
const IDS: usize = 120_000;
const IDS_AT_A_TIME: usize = 1_000;

/// So many refusals in a row, each 200 ms after the one before, mean that the
/// flood is kept out. Room comes back for a moment whenever a backlog is
/// worked off, so a few of them mean nothing.
const REFUSALS: usize = 40;

/// Open entries of the flood, at most: what fills the memory are the ids that
/// are remembered, and not a backlog.
const OPEN: u64 = 4_000;

/// New ids to a flow of its own, until it is refused.
pub(in super::super) async fn id_flood(stage: &Stage, load: &Load) -> anyhow::Result<Done> {
    // Held, so that nobody starts it again with the limit forgotten.
    let _redis = stage.redis.lock().await;
    // Admission stops at 80 % of the limit.
    let limit = (used_by_redis(stage).await? + ROOM) / 4 * 5;
    limit_redis(stage, limit).await?;
    let end = Instant::now() + PATIENCE;
    let client = client();
    let (mut sent, mut refused) = (0, 0);
    while sent < IDS && refused < REFUSALS && Instant::now() < end {
        if open_of_flood(stage).await > OPEN {
            sleep(Duration::from_millis(20)).await;
            continue;
        }
        let flow = ProvenFlow::Flood;
        if post_batch(&client, stage.api_port, load, flow, IDS_AT_A_TIME).await {
            sent += IDS_AT_A_TIME;
            refused = 0;
        } else {
            refused += 1;
            sleep(Duration::from_millis(200)).await;
        }
    }
    let shut_out = shut_out(load).await;
    limit_redis(stage, 0).await?;
    Ok(Done {
        what: format!("{sent} new ids, then {refused} refusals"),
        version: None,
        shut_out,
    })
}

async fn open_of_flood(stage: &Stage) -> u64 {
    let partition = Partition {
        flow: FlowName::new(ProvenFlow::Flood.name()),
        index: 0,
    };
    let depth = stage.backbone.depth(&partition).await;
    depth.map_or(u64::MAX, |depth| depth.open)
}
