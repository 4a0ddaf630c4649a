use async_trait::async_trait;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::call::with;
use super::dead::unix_ms;
use super::{Postgres, timestamp};
use crate::{AuditFilter, AuditLog, Audited, Change, Error, Event, storable};

const BEGINS: &str = "INSERT INTO audit (who, person, peer, action, target, flows, request_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING seq";
const ENDED: &str = "UPDATE audit SET ended_at = now(), outcome = $2
    WHERE seq = $1 AND outcome IS NULL";
const HAPPENED: &str = include_str!("queries/happened.sql");
const AUDIT: &str = include_str!("queries/audit.sql");

#[async_trait]
impl AuditLog for Postgres {
    async fn change_begins(&self, change: &Change) -> Result<i64, Error> {
        let with = with![
            change.who => TEXT,
            change.person => TEXT,
            change.peer => TEXT,
            change.action => TEXT,
            Json(&change.target) => JSON,
            flows(change) => TEXT_ARRAY,
            change.request_id => TEXT,
        ];
        Ok(self.one_row(BEGINS, with).await?.try_get("seq")?)
    }

    async fn change_ended(&self, row: i64, outcome: &Value) -> Result<(), Error> {
        self.change(ENDED, with![row => INT8, Json(outcome) => JSON])
            .await?;
        Ok(())
    }

    async fn happened(&self, event: &Event) -> Result<(), Error> {
        let change = &event.change;
        let with = with![
            change.who => TEXT,
            change.peer => TEXT,
            change.action => TEXT,
            Json(&change.target) => JSON,
            flows(change) => TEXT_ARRAY,
            timestamp(event.at) => TIMESTAMPTZ,
            Json(&event.outcome) => JSON,
            event.about() => TEXT,
            event.seen() => TEXT,
            i64::from(event.times) => INT8,
        ];
        self.change(HAPPENED, with).await?;
        Ok(())
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Audited>, Error> {
        let with = with![
            filter.since.map(timestamp) => TIMESTAMPTZ,
            filter.until.map(timestamp) => TIMESTAMPTZ,
            filter.flow.as_deref().map(storable) => TEXT,
            filter.flow_in_json() => TEXT,
            (!filter.actions.is_empty()).then_some(&filter.actions) => TEXT_ARRAY,
            filter.before => INT8,
            i64::from(filter.limit) => INT8,
        ];
        let rows = self.rows(AUDIT, with).await?;
        rows.iter().map(audited).collect()
    }
}

fn flows(change: &Change) -> Option<Vec<&str>> {
    let flows: Vec<&str> = change.flows.iter().map(|flow| &**flow).collect();
    (!flows.is_empty()).then_some(flows)
}

fn audited(row: &Row) -> Result<Audited, Error> {
    let ended = match row.try_get::<_, Option<Json<Value>>>("outcome")? {
        None => None,
        Some(outcome) => Some((unix_ms(row, "ended_at")?, outcome.0)),
    };
    Ok(Audited {
        row: row.try_get("seq")?,
        at: unix_ms(row, "at")?,
        change: Change {
            who: row.try_get("who")?,
            person: row.try_get("person")?,
            peer: row.try_get("peer")?,
            action: row.try_get("action")?,
            target: row.try_get::<_, Json<_>>("target")?.0,
            flows: row
                .try_get::<_, Option<Vec<String>>>("flows")?
                .unwrap_or_default(),
            request_id: row.try_get("request_id")?,
        },
        ended,
    })
}
