use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql, named_params};
use serde_json::Value;

use super::{Embedded, ms};
use crate::{AuditFilter, AuditLog, Audited, Change, Error, Event};
use floodgate_embedded::now;
use floodgate_embedded::values::{from_json, signed, to_json};

const BEGINS: &str = "INSERT INTO audit (at, who, person, peer, action, target, flows, request_id)
    VALUES (:at, :who, :person, :peer, :action, :target, :flows, :request_id)";
const ENDED: &str = "UPDATE audit SET ended_at = :now, outcome = :outcome
    WHERE seq = :row AND outcome IS NULL";
/// As on Postgres.
const HAPPENED: &str =
    "INSERT INTO audit (at, who, peer, action, target, flows, ended_at, outcome, about, seen, once)
    VALUES (:at, :who, :peer, :action, :target, :flows, :now, :outcome, :about, :seen,
        :about || ' ' || :seen || ' ' || (SELECT coalesce(max(seq), 0) FROM audit
            WHERE about = :about AND seen <> :seen) || ' ' || :times)
    ON CONFLICT (once) DO NOTHING";
/// Rows that name no flow pass for each: they may touch any.
const AUDIT: &str = "SELECT seq, at, who, person, peer, action, target, flows, request_id,
        ended_at, outcome
    FROM audit
    WHERE (:since IS NULL OR at >= :since)
      AND (:until IS NULL OR at < :until)
      AND (:flow IS NULL OR EXISTS (SELECT 1 FROM json_each(flows) WHERE value = :flow)
          OR (flows IS NULL AND (instr(target, '\"flow\":') = 0 OR instr(target, :in_json) > 0)))
      AND (:actions IS NULL OR action IN (SELECT value FROM json_each(:actions)))
      AND (:before IS NULL OR seq < :before)
    ORDER BY seq DESC
    LIMIT :limit";

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
            let with = named_params! { ":row": row, ":now": now(), ":outcome": outcome };
            ended.execute(with).map(|_| ())
        })
        .await
    }

    async fn happened(&self, event: &Event) -> Result<(), Error> {
        let event = event.clone();
        self.write(move |db| happened(db, &event)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Audited>, Error> {
        let filter = filter.clone();
        self.read(move |db| matching(db, &filter)).await
    }
}

fn begins(db: &Connection, change: &Change) -> rusqlite::Result<i64> {
    db.prepare_cached(BEGINS)?.execute(named_params! {
        ":at": now(),
        ":who": change.who,
        ":person": change.person,
        ":peer": change.peer,
        ":action": change.action,
        ":target": change.target.to_string(),
        ":flows": list(&change.flows)?,
        ":request_id": change.request_id,
    })?;
    Ok(db.last_insert_rowid())
}

fn happened(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let change = &event.change;
    db.prepare_cached(HAPPENED)?.execute(named_params! {
        ":at": signed(event.at),
        ":now": now(),
        ":who": change.who,
        ":peer": change.peer,
        ":action": change.action,
        ":target": change.target.to_string(),
        ":flows": list(&change.flows)?,
        ":outcome": event.outcome.to_string(),
        ":about": event.about(),
        ":seen": event.seen(),
        ":times": event.times,
    })?;
    Ok(())
}

fn matching(db: &Connection, filter: &AuditFilter) -> rusqlite::Result<Vec<Audited>> {
    let with: &[(&str, &dyn ToSql)] = named_params! {
        ":since": filter.since.map(signed),
        ":until": filter.until.map(signed),
        ":flow": filter.flow,
        ":in_json": filter.flow_in_json(),
        ":actions": list(&filter.actions)?,
        ":before": filter.before,
        ":limit": filter.limit,
    };
    let mut matching = db.prepare_cached(AUDIT)?;
    matching.query_map(with, audited)?.collect()
}

/// As JSON; NULL where there is nothing in it.
fn list(names: &[String]) -> rusqlite::Result<Option<String>> {
    (!names.is_empty()).then(|| to_json(names)).transpose()
}

fn audited(row: &Row<'_>) -> rusqlite::Result<Audited> {
    let outcome: Option<String> = row.get("outcome")?;
    let ended = match outcome {
        None => None,
        Some(outcome) => Some((ms(row, "ended_at")?, from_json(&outcome)?)),
    };
    let flows: Option<String> = row.get("flows")?;
    let flows = flows.map(|flows| from_json(&flows)).transpose()?;
    Ok(Audited {
        row: row.get("seq")?,
        at: ms(row, "at")?,
        change: Change {
            who: row.get("who")?,
            person: row.get("person")?,
            peer: row.get("peer")?,
            action: row.get("action")?,
            target: from_json(row.get_ref("target")?.as_str()?)?,
            flows: flows.unwrap_or_default(),
            request_id: row.get("request_id")?,
        },
        ended,
    })
}
