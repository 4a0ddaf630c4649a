use std::fmt;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use sha2::{Digest as _, Sha256};

use super::Error;

/// Over number, id, time, body hash and body of rows, in their order: what tells
/// that a file has what was in the ledger.
#[derive(Clone, Default)]
pub struct Digest {
    hash: Sha256,
    rows: u64,
}

impl Digest {
    /// # Errors
    /// Where these are no base columns.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let column = |name: &str| {
            let missing = || Error::Other(format!("rows without a column {name}"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let strange = || Error::Other("rows whose columns are of other types".to_owned());
        let seqs = column("seq")?.as_primitive_opt::<Int64Type>();
        let times = column("at")?.as_primitive_opt::<TimestampMicrosecondType>();
        let ids = column("id")?.as_string_opt::<i32>();
        let hashes = column("body_hash")?.as_binary_opt::<i32>();
        let bodies = column("body")?.as_string_opt::<i32>();
        let places = seqs.ok_or_else(strange)?.iter();
        let places = places.zip(times.ok_or_else(strange)?.iter());
        let rows = places.zip(ids.ok_or_else(strange)?.iter());
        let rows = rows.zip(hashes.ok_or_else(strange)?.iter());
        let rows = rows.zip(bodies.ok_or_else(strange)?.iter());
        for ((((seq, at), id), hash), body) in rows {
            self.hash.update(seq.unwrap_or_default().to_le_bytes());
            self.hash.update(at.unwrap_or_default().to_le_bytes());
            self.part(id.map(str::as_bytes));
            self.part(hash);
            self.part(body.map(str::as_bytes));
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// With its length, so that no two rows can be taken for one another.
    fn part(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.hash.update(length.to_le_bytes());
        self.hash.update(bytes.unwrap_or_default());
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn value(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows && self.value() == other.value()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, ", self.rows)?;
        self.value()[..8]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    use super::*;

    fn of(seq: i64, id: &str, at: i64, body_hash: &[u8], body: Option<&str>) -> Digest {
        let at = TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 5] = [
            ("seq", Arc::new(Int64Array::from(vec![seq]))),
            ("id", Arc::new(StringArray::from(vec![id]))),
            ("at", Arc::new(at)),
            ("body_hash", Arc::new(BinaryArray::from(vec![body_hash]))),
            ("body", Arc::new(StringArray::from(vec![body]))),
        ];
        let mut digest = Digest::default();
        digest
            .add(&RecordBatch::try_from_iter(columns).unwrap())
            .unwrap();
        digest
    }

    #[test]
    fn any_difference_of_what_is_compared_tells() {
        let row = of(1, "a", 2, b"h", Some("{}"));
        assert_eq!(row, of(1, "a", 2, b"h", Some("{}")));
        for other in [
            of(2, "a", 2, b"h", Some("{}")),
            of(1, "b", 2, b"h", Some("{}")),
            of(1, "a", 3, b"h", Some("{}")),
            of(1, "a", 2, b"i", Some("{}")),
            of(1, "a", 2, b"h", Some("[]")),
            of(1, "a", 2, b"h", None),
            of(1, "ah", 2, b"", Some("{}")),
        ] {
            assert_ne!(row, other);
        }
    }
}
