//! What earlier passes left.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::StreamExt;

use super::{Error, Moved, Mover, Report, Step};
use crate::cold::{self, ColdFile, State};
use crate::flows;

impl Mover {
    /// Takes up what was left, of one flow or of all. Flows of which a sealed
    /// file still has rows in the ledger are returned: none of theirs may be
    /// moved, they would be moved twice.
    pub(super) async fn take_up(
        &self,
        flow: Option<&str>,
        report: &mut Report,
    ) -> Result<BTreeSet<String>, Error> {
        let mut stuck = BTreeSet::new();
        // First those that count, so that what replaces a file is whole before
        // the file is gone.
        let mut files = self.ledger.files(flow).await?;
        files.sort_by_key(|file| file.state != State::Moving);
        for file in files {
            let began = Instant::now();
            let taken_up = match file.state {
                State::Moving => {
                    let finished = self.finish(&file).await;
                    finished.map(|rows| {
                        // What was merged had left the ledger before.
                        if rows > 0 {
                            report.add(Moved::new(&file, rows, began));
                        }
                    })
                }
                State::Writing => self.discard(&file).await,
                // What has its rows may be the file that is stuck.
                State::Replaced if stuck.contains(&file.flow) => Ok(()),
                State::Replaced => self.remove(&file).await,
                State::Cold => Ok(()),
            };
            if let Err(error) = taken_up {
                report.problem(&file.flow, &error);
                if file.state == State::Moving {
                    stuck.insert(file.flow);
                }
            }
        }
        Ok(stuck)
    }

    /// Removes the rows of a sealed file from the ledger. How many there were.
    pub(super) async fn finish(&self, file: &ColdFile) -> Result<u64, Error> {
        self.remember(file).await?;
        self.clear(file).await
    }

    /// Of one whose ids are noted.
    pub(super) async fn clear(&self, file: &ColdFile) -> Result<u64, Error> {
        let removed = match file.replaces {
            // To look for them would hold up whoever keeps decisions of the flow.
            true => 0,
            false => self.remove_rows(file).await?,
        };
        self.ledger.settle(file).await?;
        self.hook.after(Step::Settled);
        Ok(removed)
    }

    async fn remove_rows(&self, file: &ColdFile) -> Result<u64, Error> {
        let mut chunks = cold::gone(&self.store, file, self.limits.removed).await?;
        let mut removed = 0;
        let mut began = Instant::now();
        while let Some(rows) = chunks.next().await {
            removed += self.ledger.remove(file, &rows?).await?;
            self.hook.after(Step::Removed);
            self.rest(began).await;
            began = Instant::now();
        }
        Ok(removed)
    }

    /// All ids of a file in the order of the ledger's index, each page of which
    /// is written once then: in the order of time each id needs one of its own.
    pub(super) async fn remember(&self, file: &ColdFile) -> Result<(), Error> {
        let mut known = cold::known(&self.store, file).await?;
        known.sort_unstable();
        for some in known.chunks(self.limits.known) {
            let began = Instant::now();
            self.ledger.remember(file, some).await?;
            self.hook.after(Step::Remembered);
            self.rest(began).await;
        }
        Ok(())
    }

    /// Of a file that is not sealed. First it is noted that it never will be:
    /// whoever else believes to be writing it must not find its object gone.
    pub(super) async fn discard(&self, file: &ColdFile) -> Result<(), Error> {
        self.ledger.discard(file).await?;
        self.hook.after(Step::Discarded);
        let discarded = ColdFile {
            state: State::Replaced,
            ..file.clone()
        };
        self.remove(&discarded).await
    }

    /// Of a file that another one replaced, or nothing did.
    pub(super) async fn remove(&self, file: &ColdFile) -> Result<(), Error> {
        self.store.remove(file).await?;
        self.hook.after(Step::ObjectRemoved);
        self.ledger.forget(file).await?;
        self.hook.after(Step::Forgotten);
        Ok(())
    }
}

impl Report {
    /// Nobody overlooks that the flow of a broken file was not moved at all.
    pub fn left_out(&mut self, broken: &[flows::Error]) {
        self.problems.extend(broken.iter().map(ToString::to_string));
    }

    /// Logged and told; the rest of the pass goes on.
    pub(super) fn problem(&mut self, flow: &str, error: &Error) {
        tracing::error!(flow, %error, "not moved");
        if let Error::Cold(cold::Error::Damaged { .. }) = error {
            let flow = flow.to_owned();
            metrics::counter!("floodgate_archive_file_faults_total", "flow" => flow).increment(1);
        }
        self.problems.push(format!("{flow}: {error}"));
    }
}
