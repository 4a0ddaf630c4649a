use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use tracing::info;

use super::removal::Removals;
use super::{Error, Moved, Mover, Report, Step};
use crate::cold::{self, ColdFile, Draft, State};
use crate::flows::{Column, Flow};
use crate::ledger::{Owned, Place};

/// Numbers that are tried for a file.
const NUMBERS: usize = 1000;

/// Rows that are in the way of queries once they were removed.
const MANY: u64 = 100_000;

/// Also of a ledger that takes its time.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Mover {
    /// Moves what is older than each flow's `hot`. A problem with one flow
    /// keeps no other from being moved.
    ///
    /// # Errors
    /// Where nothing could be begun.
    pub async fn run(&self, flows: &[Flow], now: Timestamp) -> Result<Report, Error> {
        let began = Instant::now();
        let owned = self.ledger.own(Duration::ZERO).await?.ok_or(Error::Busy)?;
        let owned: Arc<dyn Owned> = Arc::from(owned);
        self.hook.after(Step::Owned);
        let mut report = Report::default();
        let stuck = self.take_up(None, &mut report).await?;
        for flow in flows.iter().filter(|flow| !stuck.contains(&flow.name)) {
            let Some(before) = before(flow, now) else {
                continue;
            };
            self.flow(flow, before, &owned, &mut report).await;
        }
        // An erasure need not wait for what comes now.
        drop(owned);
        self.tidy(&report).await;
        metrics::histogram!("floodgate_archive_pass_seconds").record(began.elapsed());
        Ok(report)
    }

    /// What fails here is done by the next pass that moves something, or by the
    /// ledger itself in a while.
    async fn tidy(&self, report: &Report) {
        let removed: u64 = report.moved.iter().map(|moved| moved.rows).sum();
        if removed > 0 {
            self.analyze().await;
        }
        if removed >= MANY
            && let Err(error) = self.ledger.vacuum().await
        {
            tracing::warn!(%error, "what was removed is still in the way");
        }
    }

    pub(super) async fn analyze(&self) {
        if let Err(error) = self.ledger.analyze().await {
            tracing::warn!(%error, "sizes in the ledger are not looked up anew");
        }
    }

    async fn flow(&self, flow: &Flow, before: Date, owned: &Arc<dyn Owned>, report: &mut Report) {
        let mut removals = Removals::new(self, owned);
        let moved = self.days(flow, before, &mut removals, report).await;
        let removed = removals.end(report).await;
        let merged = match (&moved, &removed) {
            (Ok(()), Ok(())) => self.merge(flow, report).await,
            _ => Ok(()),
        };
        for error in [moved, removed, merged].into_iter().filter_map(Result::err) {
            report.problem(&flow.name, &error);
        }
    }

    async fn days(
        &self,
        flow: &Flow,
        before: Date,
        removals: &mut Removals,
        report: &mut Report,
    ) -> Result<(), Error> {
        let most = self.limits.days;
        let days = self.ledger.days(&flow.name, before, most).await?;
        if days.len() == most {
            info!(
                flow = flow.name,
                days = most,
                "older days are left to the next pass"
            );
        }
        for day in days {
            // Behind what an earlier file of the day has, whose rows are still
            // in the ledger.
            let mut after = None;
            loop {
                let began = Instant::now();
                let Some((file, last)) = self.part(flow, day, after).await? else {
                    break;
                };
                let rows = file.sealed.as_ref().map_or(0, |sealed| sealed.rows);
                removals.start(file, began, report).await?;
                if rows < self.limits.rows as u64 {
                    break;
                }
                after = Some(last);
            }
        }
        Ok(())
    }

    /// Writes, verifies and seals one file. `None`: there is nothing more.
    async fn part(
        &self,
        flow: &Flow,
        day: Date,
        after: Option<Place>,
    ) -> Result<Option<(ColdFile, Place)>, Error> {
        let file = self.begin(&flow.name, day, &flow.columns).await?;
        let part = async {
            let rows = self
                .ledger
                .day(&flow.name, day, after, self.limits.rows)
                .await?;
            self.write(&file, &flow.columns, rows, &[]).await
        };
        match part.await {
            Ok(Some(sealed)) => Ok(Some(sealed)),
            Ok(None) => self.discard(&file).await.map(|()| None),
            Err(error) => {
                self.give_up(&file, &error).await;
                Err(error)
            }
        }
    }

    pub(super) async fn begin(
        &self,
        flow: &str,
        day: Date,
        columns: &[Column],
    ) -> Result<ColdFile, Error> {
        let draft = Draft {
            number: self.number(flow, day).await?,
            flow: flow.to_owned(),
            day,
            columns: columns.to_vec(),
        };
        let file = self.ledger.begin(&draft).await?;
        self.hook.after(Step::Begun);
        Ok(file)
    }

    /// One under which nothing lies. In a ledger that was put back numbers come
    /// again, and what was written under them since may be all that is left of it.
    async fn number(&self, flow: &str, day: Date) -> Result<i64, Error> {
        for _ in 0..NUMBERS {
            let number = self.ledger.number().await?;
            let path = cold::path(flow, day, number);
            if !self.store.has(&path).await? {
                return Ok(number);
            }
            tracing::warn!(%path, "a file that the ledger knows nothing of is left as it is");
        }
        Err(Error::Left(format!(
            "{flow} {day}: {NUMBERS} files in a row that the ledger knows nothing of"
        )))
    }

    /// From the return on the file counts, and those it replaces do not.
    pub(super) async fn write(
        &self,
        file: &ColdFile,
        columns: &[Column],
        rows: SendableRecordBatchStream,
        replaces: &[i64],
    ) -> Result<Option<(ColdFile, Place)>, Error> {
        let rows = self.heard(rows);
        let Some(written) = cold::write(&self.store, file, columns, rows).await? else {
            return Ok(None);
        };
        self.hook.after(Step::Written);
        cold::verify(&self.store, file, &written).await?;
        self.hook.after(Step::Verified);
        self.ledger.seal(file, &written.sealed, replaces).await?;
        self.hook.after(Step::Sealed);
        let sealed = ColdFile {
            state: State::Moving,
            replaces: !replaces.is_empty(),
            sealed: Some(written.sealed),
            ..file.clone()
        };
        Ok(Some((sealed, written.last)))
    }

    fn heard(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = rows.schema();
        let heard = (self.clone(), rows, Instant::now());
        let rows = futures_util::stream::unfold(heard, |(mover, mut rows, began)| async move {
            let batch = rows.next().await?;
            mover.hook.after(Step::Read);
            mover.rest(began).await;
            Some((batch, (mover, rows, Instant::now())))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// After what was begun then.
    pub(super) async fn rest(&self, began: Instant) {
        let rest = (began.elapsed() * self.limits.rest).min(LONGEST_REST);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// A full disk is not left full until the next pass. What cannot be done
    /// now, that one does: whether the file was sealed all the same may not be
    /// known, and then it is not discarded.
    pub(super) async fn give_up(&self, file: &ColdFile, why: &Error) {
        let given_up = match why {
            // What lies there is somebody else's.
            Error::Cold(cold::Error::Taken { .. }) => {
                self.ledger.forget(file).await.map_err(Error::from)
            }
            _ => self.discard(file).await,
        };
        if let Err(error) = given_up {
            tracing::warn!(file = file.number, %error, "a file is left to the next pass");
        }
    }
}

impl Moved {
    pub(super) fn new(file: &ColdFile, rows: u64, began: Instant) -> Self {
        Self {
            flow: file.flow.clone(),
            day: file.day,
            file: file.number,
            rows,
            bytes: file.sealed.as_ref().map_or(0, |sealed| sealed.bytes),
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

impl Report {
    pub(super) fn add(&mut self, moved: Moved) {
        let Moved {
            flow,
            day,
            file,
            rows,
            bytes,
            seconds,
        } = &moved;
        info!(flow, %day, file, rows, bytes, seconds, "moved");
        let flow = flow.clone();
        metrics::counter!("floodgate_archive_rows_moved_total", "flow" => flow).increment(*rows);
        self.moved.push(moved);
    }
}

/// Days before this one have ended that long ago. `None`: the flow keeps all.
fn before(flow: &Flow, now: Timestamp) -> Option<Date> {
    let hot = jiff::SignedDuration::try_from(flow.hot?).ok()?;
    let since = now.checked_sub(hot).ok()?;
    Some(Offset::UTC.to_datetime(since).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_moved_when_it_ended_that_long_ago() {
        let day = Duration::from_secs(86_400);
        let flow = |hot| Flow {
            name: "events".to_owned(),
            hot,
            columns: Vec::new(),
        };
        for (hot, now, expected) in [
            (Some(day * 7), "2026-01-09T00:00:00Z", Some("2026-01-02")),
            (Some(day * 7), "2026-01-08T23:59:59Z", Some("2026-01-01")),
            (
                Some(Duration::ZERO),
                "2026-01-01T00:00:00Z",
                Some("2026-01-01"),
            ),
            (Some(Duration::MAX), "2026-01-01T00:00:00Z", None),
            (None, "2026-01-01T00:00:00Z", None),
        ] {
            let expected = expected.map(|day| day.parse().unwrap());
            assert_eq!(
                before(&flow(hot), now.parse().unwrap()),
                expected,
                "{hot:?} at {now}"
            );
        }
    }
}
