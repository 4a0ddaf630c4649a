//! What the log knows by the name of an id.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::stream_id;
use crate::OwnerHash;
use floodgate_embedded::now;
use floodgate_flow::{BodyHash, StreamId, sha256_16};

/// An id of one partition, as the tables have it.
pub(super) struct Id {
    pub partition: i64,
    pub hash: [u8; 16],
}

/// Until it expires.
pub(super) struct Known {
    pub body_hash: BodyHash,
    /// `open`, `settled` or `dead`.
    pub state: String,
    pub stream_id: StreamId,
    pub owner: Option<OwnerHash>,
    /// What is remembered of the decision.
    pub outcome: Option<String>,
}

impl Id {
    pub fn new(partition: i64, id: &str) -> Self {
        Self {
            partition,
            hash: sha256_16(id.as_bytes()),
        }
    }

    pub fn known(&self, db: &Connection) -> rusqlite::Result<Option<Known>> {
        let known = "SELECT body_hash, state, ms, position, outcome, owner FROM ids
            WHERE partition = ?1 AND hash = ?2 AND (expires IS NULL OR expires > ?3)";
        db.prepare_cached(known)?
            .query_one(params![self.partition, self.hash, now()], |row| {
                Ok(Known {
                    body_hash: BodyHash(row.get("body_hash")?),
                    state: row.get("state")?,
                    stream_id: stream_id(row)?,
                    owner: row.get::<_, Option<_>>("owner")?.map(OwnerHash),
                    outcome: row.get("outcome")?,
                })
            })
            .optional()
    }
}
