//! The ledger in a database file, with the tables and the columns of the one
//! on Postgres. What Postgres would refuse is refused here too: a flow that
//! works on a laptop works there.

mod audit;
mod controls;
mod dead;
mod definitions;
mod erase;
mod keep;
mod oracles;
mod outbox;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, Row};

use super::erasure::being_moved;
use super::proof::{self, Hashes};
use super::{
    Buried, Choice, DeadFilter, DeadLetter, Decided, DecidedBy, Erased, Error, Kept, KeptDecision,
    Ledger, ListedDecision, Migrated, Stored,
};
use floodgate_embedded::values::unreadable;
use floodgate_embedded::{Database, Nature};
use floodgate_flow::{BodyHash, Digest, FlowName, Landmark, Partition, StreamId};

/// The ledger of `floodgate dev`.
#[derive(Clone)]
pub struct Embedded {
    database: Database,
}

impl Embedded {
    /// What a process had in hand that was killed is free: it was the only one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn new(database: Database) -> Result<Self, Error> {
        let ledger = Self { database };
        ledger.write(outbox::release_everything).await?;
        Ok(ledger)
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.database.write(job).await;
        done.map_err(|failed| self.error(&failed))
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.database.read(job).await;
        done.map_err(|failed| self.error(&failed))
    }

    fn error(&self, failed: &floodgate_embedded::Failed) -> Error {
        let text = format!("{}: {failed}", self.database.name());
        match failed.nature {
            Nature::MayPass => Error::Unavailable(text),
            Nature::Data => Error::Data(text),
            Nature::Broken => Error::Other(text),
        }
    }
}

/// A column of Unix milliseconds.
fn ms(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn parse_digest(text: &str) -> rusqlite::Result<Digest> {
    text.parse().map_err(unreadable)
}

#[async_trait]
impl Ledger for Embedded {
    /// Done when the file was opened.
    async fn migrate(&self) -> Result<Migrated, Error> {
        Ok(Migrated::default())
    }

    async fn keep(&self, by: &DecidedBy, batch: &[Decided]) -> Result<Kept, Error> {
        let rows = keep::rows(batch)?;
        if rows.is_empty() {
            return proof::prove(batch, &Hashes::new());
        }
        let by = by.clone();
        let hashes = self.write(move |db| keep::store(db, &by, &rows)).await?;
        proof::prove(batch, &hashes)
    }

    async fn kept_before(
        &self,
        flow: &FlowName,
        entries: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error> {
        let flow = flow.clone();
        let ids: Vec<Arc<str>> = entries.iter().map(|(_, id, _)| id.clone()).collect();
        let hashes = self
            .read(move |db| keep::body_hashes(db, &flow, &ids))
            .await?;
        Ok(proof::compare(entries, &hashes))
    }

    async fn decision(&self, flow: &FlowName, id: &str) -> Result<Option<KeptDecision>, Error> {
        let (flow, id) = (flow.clone(), id.to_owned());
        self.read(move |db| keep::decision(db, &flow, &id)).await
    }

    async fn moved(&self, flow: &FlowName, id: &str) -> Result<Option<i64>, Error> {
        let (flow, id) = (flow.clone(), id.to_owned());
        self.read(move |db| keep::moved(db, &flow, &id)).await
    }

    async fn erase(&self, flow: &FlowName, id: &str) -> Result<Erased, Error> {
        let (flow, id) = (flow.clone(), id.to_owned());
        let erased = self.write(move |db| erase::erase(db, &flow, &id)).await?;
        erased.map_err(being_moved)
    }

    async fn latest(
        &self,
        flow: Option<&FlowName>,
        max: u32,
    ) -> Result<Vec<ListedDecision>, Error> {
        let flow = flow.cloned();
        self.read(move |db| keep::latest(db, flow.as_ref(), max))
            .await
    }

    async fn latest_high(&self, max: u32) -> Result<Vec<ListedDecision>, Error> {
        self.read(move |db| keep::latest_high(db, max)).await
    }

    async fn kept_since(&self, flow: &FlowName, since: u64) -> Result<u64, Error> {
        let flow = flow.clone();
        self.read(move |db| keep::kept_since(db, &flow, since))
            .await
    }

    async fn next_ids(&self, flow: &FlowName, count: u32) -> Result<u64, Error> {
        let flow = flow.clone();
        self.write(move |db| definitions::next_ids(db, &flow, count))
            .await
    }

    async fn bury(&self, letters: &[DeadLetter]) -> Result<Stored, Error> {
        let rows = letters.to_vec();
        self.write(move |db| dead::bury(db, &rows)).await?;
        let buried = letters.iter().map(|l| (l.stream_id, l.id.clone()));
        Ok(Stored::new(buried.collect()))
    }

    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<Buried>, Error> {
        let filter = filter.clone();
        self.read(move |db| dead::dead(db, &filter)).await
    }

    async fn dead_body(&self, buried: &Buried) -> Result<Option<Bytes>, Error> {
        let generation = buried.generation;
        self.read(move |db| dead::body(db, generation)).await
    }

    async fn remove_dead(&self, letters: &[Buried]) -> Result<Vec<i64>, Error> {
        let generations: Vec<i64> = letters.iter().map(|buried| buried.generation).collect();
        self.write(move |db| dead::remove(db, &generations)).await
    }

    async fn component_taken(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        self.write(move |db| oracles::component_taken(db, &name, digest, &bytes))
            .await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        self.read(move |db| oracles::component(db, digest)).await
    }

    async fn component_history(&self, name: &str) -> Result<Vec<Digest>, Error> {
        let name = name.to_owned();
        self.read(move |db| oracles::component_history(db, &name))
            .await
    }

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error> {
        self.read(oracles::choices).await
    }

    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error> {
        let (name, choice) = (name.to_owned(), choice.cloned());
        self.write(move |db| oracles::choose(db, &name, choice.as_ref()))
            .await
    }

    async fn note_landmark(
        &self,
        partition: &Partition,
        landmark: &Landmark,
    ) -> Result<Option<Landmark>, Error> {
        let (partition, landmark) = (partition.clone(), landmark.clone());
        self.write(move |db| definitions::note_landmark(db, &partition, &landmark))
            .await
    }

    async fn accept_flow(&self, flow: &FlowName, source: &str) -> Result<(), Error> {
        let (flow, source) = (flow.clone(), source.to_owned());
        self.write(move |db| definitions::accept_flow(db, &flow, &source))
            .await
    }

    async fn definition(&self, digest: Digest) -> Result<Option<String>, Error> {
        self.read(move |db| definitions::definition(db, digest))
            .await
    }

    async fn accepted_flows(&self) -> Result<Vec<(String, String)>, Error> {
        self.read(definitions::accepted_flows).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let pinged = self.database.ping().await;
        pinged.map_err(|failed| self.error(&failed))
    }
}
