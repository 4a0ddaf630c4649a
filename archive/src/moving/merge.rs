//! Late rows of a day become files of their own; when there are several small
//! ones they are made one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::compute::SortOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use jiff::civil::Date;
use tracing::info;

use super::{Error, Limits, Merged, Mover, Report};
use crate::cold::{self, ColdFile, State};
use crate::columns;
use crate::flows::Flow;
use crate::ledger::BATCH;

impl Mover {
    pub(super) async fn merge(&self, flow: &Flow, report: &mut Report) -> Result<(), Error> {
        let mut days: BTreeMap<Date, Vec<ColdFile>> = BTreeMap::new();
        for file in self.ledger.files(Some(&flow.name)).await? {
            let bytes = file.sealed.as_ref().map_or(u64::MAX, |sealed| sealed.bytes);
            if file.state == State::Cold && bytes < self.limits.small {
                days.entry(file.day).or_default().push(file);
            }
        }
        for (day, files) in days {
            let files = worth_merging(files, &self.limits);
            if files.len() < self.limits.several.max(2) {
                continue;
            }
            match self.merge_day(flow, day, &files).await {
                Ok(merged) => report.merged.push(merged),
                // Of this day only.
                Err(error @ Error::Cold(cold::Error::Damaged { .. })) => {
                    report.problem(&flow.name, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is replaced is removed by the next pass: somebody may be reading it.
    async fn merge_day(&self, flow: &Flow, day: Date, files: &[ColdFile]) -> Result<Merged, Error> {
        let began = Instant::now();
        let file = self.begin(&flow.name, day, &flow.columns).await?;
        let file = match self.merge_into(&file, flow, files).await {
            Ok(sealed) => sealed,
            Err(error) => {
                self.give_up(&file, &error).await;
                return Err(error);
            }
        };
        self.finish(&file).await?;
        let (rows, bytes) = file.sealed.as_ref().map_or((0, 0), |s| (s.rows, s.bytes));
        let of: Vec<_> = files.iter().map(|file| file.number).collect();
        info!(flow = flow.name, %day, file = file.number, ?of, rows, bytes, "merged");
        Ok(Merged {
            flow: flow.name.clone(),
            day,
            file: file.number,
            of,
            rows,
            bytes,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    async fn merge_into(
        &self,
        file: &ColdFile,
        flow: &Flow,
        files: &[ColdFile],
    ) -> Result<ColdFile, Error> {
        let (mut sorted, mut at_a_time) = (Vec::new(), BATCH);
        for file in files {
            let (rows, most) = cold::sized_rows(&self.store, file).await?;
            sorted.push(rows);
            at_a_time = at_a_time.min(most);
        }
        let rows = merged(sorted, at_a_time).map_err(cold::Error::from)?;
        let replaces: Vec<_> = files.iter().map(|file| file.number).collect();
        let written = self.write(file, &flow.columns, rows, &replaces).await?;
        let missing = || Error::Left("files of a day have no rows".to_owned());
        Ok(written.ok_or_else(missing)?.0)
    }
}

/// As many as one file may have the rows of, the least first; without one that
/// has more than the rest together: with every few late rows it would be written
/// again.
fn worth_merging(mut files: Vec<ColdFile>, limits: &Limits) -> Vec<ColdFile> {
    let rows = |file: &ColdFile| file.sealed.as_ref().map_or(u64::MAX, |sealed| sealed.rows);
    files.sort_by_key(rows);
    files.truncate(limits.merged);
    let mut together: u64 = 0;
    files.retain(|file| {
        together = together.saturating_add(rows(file));
        together <= limits.rows as u64
    });
    while let Some((largest, rest)) = files.split_last()
        && rows(largest) > rest.iter().map(rows).sum::<u64>()
    {
        files.pop();
    }
    files
}

/// In the order of their places.
fn merged(
    sorted: Vec<SendableRecordBatchStream>,
    at_a_time: usize,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let schema = columns::base();
    let by = |name: &str| -> Result<_, DataFusionError> {
        let options = SortOptions::new(false, false);
        Ok(PhysicalSortExpr::new(col(name, &schema)?, options))
    };
    let place: LexOrdering = [by("at")?, by("seq")?].into();
    // A batch of each file is in memory; how many files there are is limited.
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    StreamingMergeBuilder::new()
        .with_streams(sorted)
        .with_schema(schema.clone())
        .with_expressions(&place)
        .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
        .with_batch_size(at_a_time)
        .with_reservation(MemoryConsumer::new("merge").register(&pool))
        .build()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cold::Sealed;

    fn of(rows: &[u64]) -> Vec<ColdFile> {
        let file = |(number, rows): (i64, &u64)| ColdFile {
            number,
            flow: "events".to_owned(),
            day: Date::constant(2026, 1, 2),
            path: String::new(),
            state: State::Cold,
            replaces: false,
            sealed: Some(Sealed {
                rows: *rows,
                bytes: 1,
                first_at: Timestamp::UNIX_EPOCH,
                last_at: Timestamp::UNIX_EPOCH,
            }),
        };
        (1..).zip(rows).map(file).collect()
    }

    #[test]
    fn what_would_be_written_again_and_again_is_left_alone() {
        let limits = Limits {
            rows: 100,
            merged: 5,
            ..Limits::default()
        };
        for (rows, expected) in [
            (vec![3, 3], vec![3, 3]),
            (vec![50, 3, 4, 3], vec![3, 3, 4]),
            (vec![10, 3, 4, 3], vec![3, 3, 4, 10]),
            (vec![8, 4, 2, 1], vec![]),
            (vec![100, 1, 1], vec![1, 1]),
            (vec![100, 100], vec![]),
            (vec![40, 40, 40], vec![40, 40]),
            (vec![9; 6], vec![9; 5]),
            (vec![], vec![]),
        ] {
            let merged = worth_merging(of(&rows), &limits);
            let sealed = merged.iter().filter_map(|file| file.sealed.as_ref());
            let merged: Vec<_> = sealed.map(|sealed| sealed.rows).collect();
            assert_eq!(merged, expected, "{rows:?}");
        }
    }
}
