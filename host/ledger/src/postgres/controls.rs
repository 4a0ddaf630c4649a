use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::call::with;
use super::dead::unix_ms;
use super::{Postgres, timestamp};
use crate::controls::{hour, hours_read};
use crate::{Control, Error, SampledControls, Sender};
use floodgate_flow::{Attributes, Entry, FlowName};

/// Hosts that keep one at once take the same place: one of them does.
const KEEP: &str = "INSERT INTO oracle_controls
        (flow, oracle, hour, place, sender, id, body, attributes, received_at)
    SELECT $1, $2, $3, place, $4, $5, $6, $7, $8
    FROM generate_series(1, 4) AS place
    WHERE NOT EXISTS (
        SELECT FROM oracle_controls AS kept
        WHERE kept.flow = $1 AND kept.oracle = $2 AND kept.hour = $3
          AND kept.place = place.place)
      AND NOT EXISTS (
        SELECT FROM decisions WHERE flow = $1 AND id = $5 AND erased_at IS NOT NULL)
    ORDER BY place LIMIT 1
    ON CONFLICT DO NOTHING";
const CONTROLS: &str = "SELECT sender, id, body, attributes, received_at
    FROM oracle_controls
    WHERE flow = $1 AND oracle = $2 AND hour BETWEEN $3 AND $4
    ORDER BY hour DESC, place DESC";
const FORGET: &str = "DELETE FROM oracle_controls WHERE hour NOT BETWEEN $1 AND $2";

#[async_trait]
impl SampledControls for Postgres {
    async fn keep_control(
        &self,
        flow: &FlowName,
        oracle: &str,
        control: &Control,
    ) -> Result<(), Error> {
        let entry = &control.entry;
        let attributes = (!entry.attributes.is_empty()).then_some(Json(&entry.attributes));
        let with = with![
            flow.as_str() => TEXT,
            oracle => TEXT,
            hour(Timestamp::now()) => INT8,
            control.sender.text() => TEXT,
            &*entry.id => TEXT,
            &entry.body[..] => BYTEA,
            attributes => JSON,
            timestamp(entry.received_at) => TIMESTAMPTZ,
        ];
        self.change(KEEP, with).await?;
        Ok(())
    }

    async fn controls(&self, flow: &FlowName, oracle: &str) -> Result<Vec<Control>, Error> {
        let (first, last) = hours_read();
        let with = with![
            flow.as_str() => TEXT,
            oracle => TEXT,
            first => INT8,
            last => INT8,
        ];
        let rows = self.rows(CONTROLS, with).await?;
        rows.iter().map(control).collect()
    }

    async fn forget_controls(&self) -> Result<u64, Error> {
        let (first, last) = hours_read();
        self.change(FORGET, with![first => INT8, last => INT8])
            .await
    }
}

fn control(row: &Row) -> Result<Control, Error> {
    let attributes: Option<Json<Attributes>> = row.try_get("attributes")?;
    Ok(Control {
        sender: Sender::from_text(row.try_get("sender")?),
        entry: Entry {
            id: row.try_get::<_, &str>("id")?.into(),
            body: row.try_get::<_, Vec<u8>>("body")?.into(),
            received_at: unix_ms(row, "received_at")?,
            attributes: attributes.map_or_else(Attributes::default, |json| json.0),
        },
    })
}
