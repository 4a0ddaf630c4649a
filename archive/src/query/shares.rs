//! Which core reads which files. Where they can be shared out evenly each core
//! has days of its own: what is grouped by day is then whole where it is made,
//! and need not be brought together from all cores.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::{Result, SplitPoint};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr, RangePartitioning};

use super::wanted::DAY;
use crate::cold::ColdFile;

/// The most rows that a core may have, as a multiple of an even share: to bring
/// groups together takes longer than to wait for it.
const MOST: f64 = 1.2;

/// Files of whole days for each core; `None` where one would have much more to
/// read than others.
pub(super) fn by_day(files: &[ColdFile], cores: usize) -> Option<Vec<Vec<ColdFile>>> {
    let mut files = files.to_vec();
    files.sort_by_key(|file| (file.day, file.number));
    let even = rows(&files) / cores as f64;
    let mut shares = vec![Vec::new(); cores];
    let mut before = 0.0;
    for day in files.chunk_by(|one, next| one.day == next.day) {
        let of_day = rows(day);
        // By the row in the middle of the day.
        let core = ((before + of_day / 2.0) / even) as usize;
        shares.get_mut(core)?.extend_from_slice(day);
        before += of_day;
    }
    let fits = |share: &Vec<ColdFile>| !share.is_empty() && rows(share) <= even * MOST;
    shares.iter().all(fits).then_some(shares)
}

fn rows(files: &[ColdFile]) -> f64 {
    let sealed = files.iter().filter_map(|file| file.sealed.as_ref());
    sealed.map(|sealed| sealed.rows as f64).sum()
}

/// What the planner is told of files that are shared out by day.
pub(super) struct ByDay {
    /// Each group has its files in the order of days.
    pub order: LexOrdering,
    pub partitioning: Partitioning,
}

impl ByDay {
    /// `day` is the place of its column.
    pub fn of(groups: &[FileGroup], day: usize) -> Result<Self> {
        let column = Arc::new(Column::new(DAY, day));
        let by_day = PhysicalSortExpr::new(column, SortOptions::new(false, false));
        let order = LexOrdering::from([by_day]);
        let starts = groups.iter().skip(1);
        let starts = starts.filter_map(|group| group.files().first());
        let starts = starts.map(|file| SplitPoint::new(file.partition_values.clone()));
        let range = RangePartitioning::try_new(order.clone(), starts.collect())?;
        Ok(Self {
            order,
            partitioning: Partitioning::Range(range),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;

    use super::*;
    use crate::cold::{Sealed, State};

    fn file(number: i64, day: i8, rows: u64) -> ColdFile {
        ColdFile {
            number,
            flow: "events".to_owned(),
            day: date(2026, 1, day),
            path: format!("events/day=2026-01-{day:02}/{number}.parquet"),
            state: State::Cold,
            replaces: false,
            sealed: Some(Sealed {
                rows,
                bytes: rows,
                first_at: Timestamp::UNIX_EPOCH,
                last_at: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    fn shares(files: &[ColdFile], cores: usize) -> Option<Vec<Vec<i64>>> {
        let numbers = |share: Vec<ColdFile>| share.iter().map(|file| file.number).collect();
        Some(by_day(files, cores)?.into_iter().map(numbers).collect())
    }

    #[test]
    fn each_core_reads_days_of_its_own_and_none_much_more_than_others() {
        let month: Vec<ColdFile> = (1..=30)
            .rev()
            .map(|day| file(i64::from(day), day, 1000))
            .collect();
        for cores in [1, 2, 3, 7, 15, 30] {
            let shares = shares(&month, cores).unwrap();
            assert_eq!(shares.len(), cores);
            assert_eq!(shares.concat(), (1..=30).collect::<Vec<i64>>());
        }
        // A day is not divided.
        let files = [file(4, 2, 10), file(1, 1, 9), file(3, 2, 5), file(2, 1, 6)];
        assert_eq!(shares(&files, 2), Some(vec![vec![1, 2], vec![3, 4]]));
        assert_eq!(shares(&files, 4), None);
        assert_eq!(shares(&[file(1, 1, 10), file(2, 2, 20)], 2), None);
        assert_eq!(shares(&month, 31), None);
        assert_eq!(shares(&[], 2), None);
    }
}
