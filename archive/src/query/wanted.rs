//! What the filters of a scan say about time, label and id: enough to leave out
//! files and hot rows that cannot match. Whatever else they say is looked at
//! row by row, above the scan.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use jiff::Timestamp;

use crate::cold::ColdFile;
use crate::ledger::During;

/// The last column of every table: the UTC day of `at`. Files have it in their
/// path, so whole files are left out by it and nothing is read for it.
pub const DAY: &str = "day";

const MICROSECONDS_OF_A_DAY: i64 = 86_400_000_000;

/// Microseconds since 1970 and equalities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// At this time or later.
    from: Option<i64>,
    /// Before this time.
    until: Option<i64>,
    pub label: Option<String>,
    pub id: Option<String>,
}

/// How much of a filter is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// Rows that are left out do not match; others may not match either.
    Part,
    /// It is about whole days, as files are.
    Days,
}

impl Wanted {
    pub fn of(filters: &[Expr]) -> Self {
        let mut wanted = Self::default();
        for filter in filters.iter().flat_map(split_conjunction) {
            wanted.take(filter);
        }
        wanted
    }

    pub fn known(filter: &Expr) -> Known {
        let taken = split_conjunction(filter)
            .into_iter()
            .map(|part| Self::default().take(part));
        let taken: Vec<Known> = taken.collect();
        match taken.iter().all(|known| *known == Known::Days) {
            true => Known::Days,
            false if taken.iter().all(|known| *known == Known::Nothing) => Known::Nothing,
            false => Known::Part,
        }
    }

    pub fn during(&self) -> During {
        // Beyond what a timestamp can say no row is left out.
        let time = |at| Timestamp::from_microsecond(at).ok();
        During {
            from: self.from.and_then(time),
            until: self.until.and_then(time),
        }
    }

    /// Whether a finished file has rows of that time.
    pub fn is_in(&self, file: &ColdFile) -> bool {
        file.sealed.as_ref().is_some_and(|sealed| {
            let (first, last) = (sealed.first_at, sealed.last_at);
            self.touches(first.as_microsecond(), last.as_microsecond())
        })
    }

    /// Whether a span of time, both ends included, has any of it.
    fn touches(&self, first: i64, last: i64) -> bool {
        self.from.is_none_or(|from| last >= from) && self.until.is_none_or(|until| first < until)
    }

    fn take(&mut self, filter: &Expr) -> Known {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (column, Expr::Literal(value, _)) => self.compared(column, *op, value),
                (Expr::Literal(value, _), column) => match op.swap() {
                    Some(op) => self.compared(column, op, value),
                    None => Known::Nothing,
                },
                _ => Known::Nothing,
            },
            Expr::Between(between) if !between.negated => match (&*between.low, &*between.high) {
                (Expr::Literal(low, _), Expr::Literal(high, _)) => {
                    let low = self.compared(&between.expr, Operator::GtEq, low);
                    let high = self.compared(&between.expr, Operator::LtEq, high);
                    if low == high { low } else { Known::Nothing }
                }
                _ => Known::Nothing,
            },
            _ => Known::Nothing,
        }
    }

    fn compared(&mut self, column: &Expr, op: Operator, value: &ScalarValue) -> Known {
        let column = match column {
            // Anything coarser rounds.
            Expr::Cast(cast) => match cast.field.data_type() {
                DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => &*cast.expr,
                _ => return Known::Nothing,
            },
            column => column,
        };
        let Expr::Column(column) = column else {
            return Known::Nothing;
        };
        let text = || value.try_as_str().flatten().map(str::to_owned);
        match column.name.as_str() {
            "at" => {
                microseconds(value).map_or(Known::Nothing, |at| self.bound(op, at, 1, Known::Part))
            }
            DAY => match value {
                ScalarValue::Date32(Some(day)) => {
                    let day = i64::from(*day).saturating_mul(MICROSECONDS_OF_A_DAY);
                    self.bound(op, day, MICROSECONDS_OF_A_DAY, Known::Days)
                }
                _ => Known::Nothing,
            },
            "label" if op == Operator::Eq => self.label.insert_from(text()),
            "id" if op == Operator::Eq => self.id.insert_from(text()),
            _ => Known::Nothing,
        }
    }

    /// `unit` is how long one value lasts.
    fn bound(&mut self, op: Operator, at: i64, unit: i64, known: Known) -> Known {
        let next = at.saturating_add(unit);
        match op {
            Operator::Eq => {
                self.starts(at);
                self.ends(next);
            }
            Operator::GtEq => self.starts(at),
            Operator::Gt => self.starts(next),
            Operator::Lt => self.ends(at),
            Operator::LtEq => self.ends(next),
            _ => return Known::Nothing,
        }
        known
    }

    fn starts(&mut self, at: i64) {
        self.from = Some(self.from.map_or(at, |from| from.max(at)));
    }

    fn ends(&mut self, at: i64) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

trait InsertFrom {
    fn insert_from(&mut self, value: Option<String>) -> Known;
}

impl InsertFrom for Option<String> {
    fn insert_from(&mut self, value: Option<String>) -> Known {
        match value {
            Some(value) => {
                *self = Some(value);
                Known::Part
            }
            None => Known::Nothing,
        }
    }
}

/// Only times that fit whole microseconds: a bound must not be rounded to the
/// wrong side.
fn microseconds(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(Some(time), _) => time.checked_mul(1_000_000),
        ScalarValue::TimestampMillisecond(Some(time), _) => time.checked_mul(1_000),
        ScalarValue::TimestampMicrosecond(Some(time), _) => Some(*time),
        ScalarValue::TimestampNanosecond(Some(time), _) if time % 1_000 == 0 => Some(time / 1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(micros: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(
            Some(micros),
            Some("UTC".into()),
        ))
    }

    fn day(day: i32) -> Expr {
        lit(ScalarValue::Date32(Some(day)))
    }

    #[test]
    fn both_ends_are_as_sharp_as_they_were_asked_for() {
        let of = |filter: Expr| {
            let wanted = Wanted::of(&[filter]);
            (wanted.from, wanted.until)
        };
        assert_eq!(
            of(col("at").gt_eq(at(5)).and(col("at").lt(at(9)))),
            (Some(5), Some(9))
        );
        assert_eq!(
            of(col("at").gt(at(5)).and(col("at").lt_eq(at(9)))),
            (Some(6), Some(10))
        );
        assert_eq!(of(col("at").eq(at(5))), (Some(5), Some(6)));
        assert_eq!(of(at(5).lt_eq(col("at"))), (Some(5), None));
        assert_eq!(
            of(col("day").eq(day(1))),
            (Some(86_400_000_000), Some(172_800_000_000))
        );
        assert_eq!(
            of(col("day").between(day(0), day(0))),
            (Some(0), Some(86_400_000_000))
        );
        assert_eq!(
            of(col("at").gt(at(5)).or(col("at").lt(at(1)))),
            (None, None)
        );
        assert_eq!(of(col("score").gt(lit(5))), (None, None));
    }

    #[test]
    fn only_days_are_known_whole() {
        assert_eq!(Wanted::known(&col("day").gt(day(1))), Known::Days);
        assert_eq!(Wanted::known(&col("at").gt(at(1))), Known::Part);
        assert_eq!(Wanted::known(&col("id").eq(lit("x"))), Known::Part);
        assert_eq!(Wanted::known(&col("day").not_eq(day(1))), Known::Nothing);
        assert_eq!(
            Wanted::known(&col("day").gt(day(1)).and(col("score").gt(lit(1)))),
            Known::Part
        );
    }

    #[test]
    fn a_span_is_touched_at_its_ends() {
        let wanted = Wanted::of(&[col("at").gt_eq(at(5)), col("at").lt(at(9))]);
        assert!(wanted.touches(0, 5) && wanted.touches(8, 20) && wanted.touches(0, 20));
        assert!(!wanted.touches(0, 4) && !wanted.touches(9, 20));
    }
}
