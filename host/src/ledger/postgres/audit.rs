use async_trait::async_trait;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::Postgres;
use super::call::with;
use super::dead::unix_ms;
use crate::ledger::{AuditLog, Audited, Change, Error};

const BEGINS: &str = "INSERT INTO audit (who, peer, action, target, request_id)
    VALUES ($1, $2, $3, $4, $5) RETURNING seq";
const ENDED: &str = "UPDATE audit SET ended_at = now(), outcome = $2
    WHERE seq = $1 AND outcome IS NULL";
const LATEST: &str = "SELECT * FROM audit ORDER BY seq DESC LIMIT $1";

#[async_trait]
impl AuditLog for Postgres {
    async fn change_begins(&self, change: &Change) -> Result<i64, Error> {
        let with = with![
            change.who => TEXT,
            change.peer => TEXT,
            change.action => TEXT,
            Json(&change.target) => JSON,
            change.request_id => TEXT,
        ];
        Ok(self.one_row(BEGINS, with).await?.try_get("seq")?)
    }

    async fn change_ended(&self, row: i64, outcome: &Value) -> Result<(), Error> {
        self.change(ENDED, with![row => INT8, Json(outcome) => JSON])
            .await?;
        Ok(())
    }

    async fn audit(&self, max: u32) -> Result<Vec<Audited>, Error> {
        let rows = self.rows(LATEST, with![i64::from(max) => INT8]).await?;
        rows.iter().map(audited).collect()
    }
}

fn audited(row: &Row) -> Result<Audited, Error> {
    let ended = match row.try_get::<_, Option<Json<Value>>>("outcome")? {
        None => None,
        Some(outcome) => Some((unix_ms(row, "ended_at")?, outcome.0)),
    };
    Ok(Audited {
        at: unix_ms(row, "at")?,
        change: Change {
            who: row.try_get("who")?,
            peer: row.try_get("peer")?,
            action: row.try_get("action")?,
            target: row.try_get::<_, Json<_>>("target")?.0,
            request_id: row.try_get("request_id")?,
        },
        ended,
    })
}
