use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::{Embedded, ms};
use crate::embedded::now;
use crate::embedded::values::from_json;
use crate::ledger::{AuditLog, Audited, Change, Error};

const BEGINS: &str = "INSERT INTO audit (at, who, peer, action, target, request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const ENDED: &str = "UPDATE audit SET ended_at = ?2, outcome = ?3
    WHERE seq = ?1 AND outcome IS NULL";
const LATEST: &str = "SELECT * FROM audit ORDER BY seq DESC LIMIT ?1";

#[async_trait]
impl AuditLog for Embedded {
    async fn change_begins(&self, change: &Change) -> Result<i64, Error> {
        let change = change.clone();
        self.write(move |db| begins(db, &change)).await
    }

    async fn change_ended(&self, row: i64, outcome: &Value) -> Result<(), Error> {
        let outcome = outcome.to_string();
        self.write(move |db| {
            let mut ended = db.prepare_cached(ENDED)?;
            ended.execute(params![row, now(), outcome]).map(|_| ())
        })
        .await
    }

    async fn audit(&self, max: u32) -> Result<Vec<Audited>, Error> {
        self.read(move |db| {
            let mut latest = db.prepare_cached(LATEST)?;
            latest.query_map([max], audited)?.collect()
        })
        .await
    }
}

fn begins(db: &Connection, change: &Change) -> rusqlite::Result<i64> {
    db.prepare_cached(BEGINS)?.execute(params![
        now(),
        change.who,
        change.peer,
        change.action,
        change.target.to_string(),
        change.request_id,
    ])?;
    Ok(db.last_insert_rowid())
}

fn audited(row: &Row<'_>) -> rusqlite::Result<Audited> {
    let outcome: Option<String> = row.get("outcome")?;
    let ended = match outcome {
        None => None,
        Some(outcome) => Some((ms(row, "ended_at")?, from_json(&outcome)?)),
    };
    Ok(Audited {
        at: ms(row, "at")?,
        change: Change {
            who: row.get("who")?,
            peer: row.get("peer")?,
            action: row.get("action")?,
            target: from_json(row.get_ref("target")?.as_str()?)?,
            request_id: row.get("request_id")?,
        },
        ended,
    })
}
