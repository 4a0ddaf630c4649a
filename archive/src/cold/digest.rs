use std::fmt;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use sha2::{Digest as _, Sha256};

use super::Error;

/// Over number, body hash and body of rows, in their order: what tells that a
/// file has what was in the ledger.
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
        let hashes = column("body_hash")?.as_binary_opt::<i32>();
        let bodies = column("body")?.as_string_opt::<i32>();
        let rows = seqs.ok_or_else(strange)?.iter();
        let rows = rows.zip(hashes.ok_or_else(strange)?.iter());
        let rows = rows.zip(bodies.ok_or_else(strange)?.iter());
        for ((seq, hash), body) in rows {
            self.hash.update(seq.unwrap_or_default().to_le_bytes());
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
