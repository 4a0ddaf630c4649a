//! Rows of sealed files on their way out of the ledger while the next file is
//! written: of one file the ids are noted, and the rows of the one before it are
//! removed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{Error, Moved, Mover, Report};
use crate::cold::ColdFile;
use crate::ledger::Owned;

/// Files whose rows are on their way.
const AT_ONCE: usize = 2;

pub(super) struct Removals {
    mover: Mover,
    /// Whoever waits for the pass may go away: the archive is held by what is
    /// under way, too.
    owned: Arc<dyn Owned>,
    noting: Arc<Mutex<()>>,
    removing: Arc<Mutex<()>>,
    under_way: VecDeque<JoinHandle<Result<Moved, Error>>>,
}

impl Removals {
    pub fn new(mover: &Mover, owned: &Arc<dyn Owned>) -> Self {
        Self {
            mover: mover.clone(),
            owned: owned.clone(),
            noting: Arc::default(),
            removing: Arc::default(),
            under_way: VecDeque::new(),
        }
    }

    /// Waits until there is room.
    ///
    /// # Errors
    /// What came of an earlier file.
    pub async fn start(
        &mut self,
        file: ColdFile,
        began: Instant,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut ended = Ok(());
        if self.under_way.len() >= AT_ONCE {
            ended = self.end_one(report).await;
            // Ever less often: what the ledger knows of its sizes may be off by
            // half. The end of the pass looks once more.
            if report.moved.len().is_power_of_two() {
                self.mover.analyze().await;
            }
        }
        let (mover, owned) = (self.mover.clone(), self.owned.clone());
        let (noting, removing) = (self.noting.clone(), self.removing.clone());
        self.under_way.push_back(tokio::spawn(async move {
            let noted = noting.lock().await;
            mover.remember(&file).await?;
            drop(noted);
            let _one_by_one = removing.lock().await;
            let rows = mover.clear(&file).await?;
            drop(owned);
            Ok(Moved::new(&file, rows, began))
        }));
        ended
    }

    /// Waits until all rows are gone.
    ///
    /// # Errors
    /// Of the first file that failed.
    pub async fn end(&mut self, report: &mut Report) -> Result<(), Error> {
        let mut ended = Ok(());
        while !self.under_way.is_empty() {
            ended = ended.and(self.end_one(report).await);
        }
        ended
    }

    async fn end_one(&mut self, report: &mut Report) -> Result<(), Error> {
        let Some(first) = self.under_way.pop_front() else {
            return Ok(());
        };
        let moved = first.await;
        let moved = moved.map_err(|panicked| Error::Left(panicked.to_string()))??;
        report.add(moved);
        Ok(())
    }
}
