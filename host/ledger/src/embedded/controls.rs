use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{Embedded, ms};
use crate::controls::{hour, hours_read};
use crate::{Control, Error, SampledControls, Sender};
use floodgate_embedded::values::{attributes, from_json, signed};
use floodgate_flow::{Entry, FlowName};

const KEEP: &str = "WITH places(place) AS (VALUES (1), (2), (3), (4))
    INSERT INTO oracle_controls
        (flow, oracle, hour, place, sender, id, body, attributes, received_at)
    SELECT ?1, ?2, ?3, place, ?4, ?5, ?6, ?7, ?8 FROM places
    WHERE NOT EXISTS (
        SELECT 1 FROM oracle_controls AS kept
        WHERE kept.flow = ?1 AND kept.oracle = ?2 AND kept.hour = ?3
          AND kept.place = places.place)
      AND NOT EXISTS (
        SELECT 1 FROM decisions WHERE flow = ?1 AND id = ?5 AND erased_at IS NOT NULL)
    ORDER BY place LIMIT 1
    ON CONFLICT DO NOTHING";
const CONTROLS: &str = "SELECT sender, id, body, attributes, received_at
    FROM oracle_controls
    WHERE flow = ?1 AND oracle = ?2 AND hour BETWEEN ?3 AND ?4
    ORDER BY hour DESC, place DESC";
const FORGET: &str = "DELETE FROM oracle_controls WHERE hour NOT BETWEEN ?1 AND ?2";

#[async_trait]
impl SampledControls for Embedded {
    async fn keep_control(
        &self,
        flow: &FlowName,
        oracle: &str,
        control: &Control,
    ) -> Result<(), Error> {
        let (flow, oracle, control) = (flow.clone(), oracle.to_owned(), control.clone());
        self.write(move |db| keep(db, &flow, &oracle, &control))
            .await
    }

    async fn controls(&self, flow: &FlowName, oracle: &str) -> Result<Vec<Control>, Error> {
        let (flow, oracle) = (flow.clone(), oracle.to_owned());
        let (first, last) = hours_read();
        self.read(move |db| {
            let mut controls = db.prepare_cached(CONTROLS)?;
            let rows = controls.query_map(params![flow.as_str(), oracle, first, last], control)?;
            rows.collect()
        })
        .await
    }

    async fn forget_controls(&self) -> Result<u64, Error> {
        let hours = hours_read();
        self.write(move |db| Ok(db.prepare_cached(FORGET)?.execute(hours)? as u64))
            .await
    }
}

fn keep(db: &Connection, flow: &FlowName, oracle: &str, control: &Control) -> rusqlite::Result<()> {
    let entry = &control.entry;
    db.prepare_cached(KEEP)?.execute(params![
        flow.as_str(),
        oracle,
        hour(Timestamp::now()),
        control.sender.text(),
        entry.id,
        &entry.body[..],
        attributes(&entry.attributes)?,
        signed(entry.received_at),
    ])?;
    Ok(())
}

fn control(row: &Row<'_>) -> rusqlite::Result<Control> {
    let attributes: Option<String> = row.get("attributes")?;
    let attributes = attributes.map(|json| from_json(&json)).transpose()?;
    Ok(Control {
        sender: Sender::from_text(row.get_ref("sender")?.as_str()?),
        entry: Entry {
            id: Arc::from(row.get_ref("id")?.as_str()?),
            body: Bytes::from(row.get::<_, Vec<u8>>("body")?),
            received_at: ms(row, "received_at")?,
            attributes: attributes.unwrap_or_default(),
        },
    })
}
