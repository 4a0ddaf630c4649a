//! What a person chooses instead of what lies in the directory.

use std::sync::Arc;

use super::component::LoadError;
use super::registry::Registry;
use super::seat::Seat;
use crate::flow::Digest;
use crate::ledger::{self, Choice};

/// Why a person's choice was not followed.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error("no flow uses an oracle {name}; they use: {}", known.join(", "))]
    UnknownOracle { name: String, known: Vec<String> },
    #[error("no oracle {name} is in force yet, so there is nothing to go back from")]
    NothingInForce { name: String },
    #[error("{name} had no digest before {digest} that works: drop another file")]
    NoPrevious { name: String, digest: Digest },
    #[error("{name} never was {digest}; it was: {}", list(known))]
    UnknownDigest {
        name: String,
        digest: Digest,
        known: Vec<Digest>,
    },
    #[error("{digest} is not stored in the ledger: drop its file again")]
    NotStored { digest: Digest },
    #[error("{digest} does not load any more: {error}")]
    Load { digest: Digest, error: LoadError },
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

fn list(digests: &[Digest]) -> String {
    let digests: Vec<String> = digests.iter().map(Digest::to_string).collect();
    digests.join(", ")
}

impl Registry {
    /// Goes back to the digest before the one in force, until another file is
    /// dropped. Returns the digest it went back to.
    ///
    /// # Errors
    /// Nothing changed then.
    pub async fn rollback(&self, name: &str) -> Result<Digest, ChoiceError> {
        let seat = self.known(name)?;
        self.read_history(seat).await?;
        let from = seat.current().ok_or_else(|| ChoiceError::NothingInForce {
            name: name.to_owned(),
        })?;
        let from = from.digest();
        let to = *seat
            .before(from)
            .first()
            .ok_or_else(|| ChoiceError::NoPrevious {
                name: name.to_owned(),
                digest: from,
            })?;
        self.fetched(seat, to).await?;
        self.choose(seat, Some(seat.going_back(to, from))).await?;
        Ok(to)
    }

    /// Keeps a digest in force, whatever is dropped.
    ///
    /// # Errors
    /// Nothing changed then.
    pub async fn pin(&self, name: &str, digest: Digest) -> Result<(), ChoiceError> {
        let seat = self.known(name)?;
        self.read_history(seat).await?;
        let known = seat.history();
        if !known.contains(&digest) {
            return Err(ChoiceError::UnknownDigest {
                name: name.to_owned(),
                digest,
                known,
            });
        }
        self.fetched(seat, digest).await?;
        self.choose(seat, Some(Choice::Pinned { digest })).await
    }

    /// Ends a pin or a rollback: what lies in the directory counts again.
    ///
    /// # Errors
    /// Nothing changed then.
    pub async fn unpin(&self, name: &str) -> Result<(), ChoiceError> {
        let seat = self.known(name)?;
        self.choose(seat, None).await
    }

    /// Digests that a name had, the newest first.
    ///
    /// # Errors
    /// Where no flow uses it, or the ledger is away.
    pub async fn history(&self, name: &str) -> Result<Vec<Digest>, ChoiceError> {
        let seat = self.known(name)?;
        self.read_history(seat).await?;
        Ok(seat.history())
    }

    fn known(&self, name: &str) -> Result<&Arc<Seat>, ChoiceError> {
        self.seats
            .get(name)
            .ok_or_else(|| ChoiceError::UnknownOracle {
                name: name.to_owned(),
                known: self.seats.keys().map(ToString::to_string).collect(),
            })
    }

    async fn choose(&self, seat: &Arc<Seat>, choice: Option<Choice>) -> Result<(), ChoiceError> {
        self.ledger.choose(&seat.name, choice.as_ref()).await?;
        let number = seat.choose(choice);
        seat.choice_saved(number);
        self.fill(seat).await;
        Ok(())
    }
}
