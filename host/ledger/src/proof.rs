use std::collections::HashMap;
use std::sync::Arc;

use super::{Decided, Error};
use floodgate_flow::{BodyHash, StreamId};

/// The proof that these entries need not be judged again: their decision is
/// stored or was not to be kept, or they are buried. Only a ledger makes it,
/// and nothing is settled without it.
#[derive(Debug)]
pub struct Stored {
    entries: Vec<(StreamId, Arc<str>)>,
}

impl Stored {
    pub(super) fn new(entries: Vec<(StreamId, Arc<str>)>) -> Self {
        Self { entries }
    }

    /// (stream id, entry id)
    pub fn entries(&self) -> &[(StreamId, Arc<str>)] {
        &self.entries
    }
}

/// What became of a batch of decisions.
#[derive(Debug)]
pub struct Kept {
    pub stored: Stored,
    /// Decided before with another body: to be buried as a conflict.
    pub conflicts: Vec<StreamId>,
}

/// Body hashes of stored decisions by entry id.
pub(super) type Hashes = HashMap<String, Vec<u8>>;

/// What the ledger holds proves of `batch`: all that was not to be kept, and
/// what is stored with the same body.
pub(super) fn prove(batch: &[Decided], hashes: &Hashes) -> Result<Kept, Error> {
    let mut proven = Vec::with_capacity(batch.len());
    let mut conflicts = Vec::new();
    for decided in batch {
        let id = &decided.entry.id;
        match hashes.get(&**id) {
            _ if !decided.keep => proven.push((decided.stream_id, id.clone())),
            Some(hash) if hash[..] == decided.body_hash().0 => {
                proven.push((decided.stream_id, id.clone()));
            }
            Some(_) => conflicts.push(decided.stream_id),
            // Found by the insert and gone before it could be read.
            None => return Err(Error::Unavailable(format!("decision of {id} was removed"))),
        }
    }
    Ok(Kept {
        stored: Stored::new(proven),
        conflicts,
    })
}

/// Which of these entries were decided before.
pub(super) fn compare(entries: &[(StreamId, Arc<str>, BodyHash)], hashes: &Hashes) -> Kept {
    let mut proven = Vec::new();
    let mut conflicts = Vec::new();
    for (stream_id, id, hash) in entries {
        match hashes.get(&**id) {
            Some(stored) if stored[..] == hash.0 => proven.push((*stream_id, id.clone())),
            Some(_) => conflicts.push(*stream_id),
            None => {}
        }
    }
    Kept {
        stored: Stored::new(proven),
        conflicts,
    }
}
