//! What stands in Postgres and Redis, read as anybody could read it.

use std::collections::HashMap;

use anyhow::Context;
use tokio_postgres::{Client, Row};

use super::flows::ProvenFlow;
use super::load::Load;
use super::reconcile::{Books, DeadRow, DecisionRow};
use super::servers::look_into;
use super::stage::Stage;

pub(super) async fn connect(stage: &Stage) -> anyhow::Result<Client> {
    let client = look_into(&stage.ledger_url).await;
    client.context("connect to postgres")
}

/// Which of these ids have a decision.
pub(super) async fn decided_of(client: &Client, ids: &[&str]) -> anyhow::Result<Vec<String>> {
    const DECIDED: &str = "SELECT id FROM decisions WHERE flow = ANY($1) AND id = ANY($2)";
    let flows = ProvenFlow::ALL.map(ProvenFlow::name);
    let rows = client.query(DECIDED, &[&&flows[..], &ids]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether the last decisions of this flow are all by oracles of these digests.
pub(super) async fn judged_by(
    client: &Client,
    flow: ProvenFlow,
    digests: &[String],
) -> anyhow::Result<bool> {
    const JUDGED_BY: &str = "SELECT coalesce(bool_and(judged->>'digest' = ANY($2)), false)
        FROM (SELECT oracles FROM decisions WHERE flow = $1 ORDER BY seq DESC LIMIT 20) AS last,
            json_array_elements(oracles) AS judged";
    let row = client
        .query_one(JUDGED_BY, &[&flow.name(), &digests])
        .await?;
    Ok(row.try_get(0)?)
}

/// Numbers that were drawn for decisions and belong to none: a decision that
/// was stored already and was not stored again, or a transaction that was
/// undone. A crash of Postgres skips up to 32 more.
pub(super) async fn repeats(client: &Client) -> anyhow::Result<i64> {
    const REPEATS: &str = "SELECT coalesce(max(seq), 0) - count(*) FROM decisions";
    let row = client.query_one(REPEATS, &[]).await?;
    Ok(row.try_get(0)?)
}

/// All that is known of one flow.
pub(super) async fn read(
    stage: &Stage,
    load: &Load,
    client: &Client,
    flow: ProvenFlow,
) -> anyhow::Result<Books> {
    const DECISIONS: &str = "SELECT id, body::text, score, \
        ARRAY(SELECT judged->>'digest' FROM json_array_elements(oracles) AS judged) \
        FROM decisions WHERE flow = $1";
    const DEAD: &str = "SELECT id, fault FROM dead_letters WHERE flow = $1";
    let decisions = client.query(DECISIONS, &[&flow.name()]).await?;
    let dead = client.query(DEAD, &[&flow.name()]).await?;
    let (appended, open) = backbone_counts(stage, flow).await?;
    Ok(Books {
        sent: load.record(flow),
        decisions: decisions
            .iter()
            .map(decision)
            .collect::<Result<_, tokio_postgres::Error>>()?,
        dead: dead
            .iter()
            .map(dead_letter)
            .collect::<Result<_, tokio_postgres::Error>>()?,
        digests: stage.digests(),
        appended,
        open,
    })
}

fn decision(row: &Row) -> Result<DecisionRow, tokio_postgres::Error> {
    Ok(DecisionRow {
        id: row.try_get(0)?,
        body: row.try_get(1)?,
        score: row.try_get(2)?,
        digests: row.try_get(3)?,
    })
}

fn dead_letter(row: &Row) -> Result<DeadRow, tokio_postgres::Error> {
    Ok(DeadRow {
        id: row.try_get(0)?,
        fault: row.try_get(1)?,
    })
}

/// Entries ever appended; entries that the host counts as open.
async fn backbone_counts(stage: &Stage, flow: ProvenFlow) -> anyhow::Result<(u64, u64)> {
    let mut connection = stage
        .redis_client
        .get_multiplexed_async_connection()
        .await
        .context("connect to redis")?;
    let (stream, open): (HashMap<String, redis::Value>, Option<i64>) = redis::pipe()
        .cmd("XINFO")
        .arg("STREAM")
        .arg(Stage::key(flow, "stream"))
        .get(Stage::key(flow, "open"))
        .query_async(&mut connection)
        .await
        .context("count the entries in redis")?;
    let appended = stream.get("entries-added").and_then(|added| match added {
        redis::Value::Int(added) => u64::try_from(*added).ok(),
        _ => None,
    });
    // A count below nothing is as wrong as one above.
    let open = open.unwrap_or(0).unsigned_abs();
    Ok((
        appended.context("redis 7.0 counts the entries added")?,
        open,
    ))
}
