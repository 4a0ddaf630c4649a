use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::encode::Encoder;
use super::store::Upload;
use super::{ColdFile, Digest, Error, Sealed, Store};
use crate::columns::Shredder;
use crate::flows::Column;
use crate::ledger::Place;

/// A file that was written, and not yet read again.
#[derive(Debug)]
pub struct Written {
    pub sealed: Sealed,
    /// Of what was to be written.
    pub digest: Digest,
    /// Of the last row.
    pub last: Place,
}

/// Writes rows, which are base columns in the order of their places, and is
/// done when they are on disk. `None`: there were none, and there is no file.
/// However it fails, the file is to be removed.
///
/// # Errors
/// Of the rows or of the store.
pub async fn write(
    store: &Store,
    file: &ColdFile,
    columns: &[Column],
    mut rows: SendableRecordBatchStream,
) -> Result<Option<Written>, Error> {
    // Before anything is begun that would have to be ended.
    let Some(first) = rows.next().await.transpose()? else {
        return Ok(None);
    };
    let encoder = Encoder::new(columns, Arc::new(Shredder::new(columns)))?;
    let mut upload = store.upload(file).await?;
    match fill(&mut upload, encoder, first, rows).await {
        Ok(written) => {
            upload.finish().await?;
            Ok(Some(written))
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// While a batch is encoded on another thread, the next one is read.
async fn fill(
    upload: &mut Upload<'_>,
    mut encoder: Encoder,
    first: RecordBatch,
    mut rows: SendableRecordBatchStream,
) -> Result<Written, Error> {
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(batch) = next {
        let encode = tokio::task::spawn_blocking(move || {
            let part = encoder.add(&batch);
            (encoder, part)
        });
        let (encoded, read) = tokio::join!(encode, rows.next());
        let (again, part) = encoded.map_err(|panicked| Error::Other(panicked.to_string()))?;
        encoder = again;
        bytes += put(upload, part?).await?;
        next = read.transpose()?;
    }
    bytes += put(upload, encoder.finish()?).await?;
    let strange = || Error::Other("rows without a time".to_owned());
    let last = encoder.last.ok_or_else(strange)?;
    Ok(Written {
        sealed: Sealed {
            rows: encoder.digest.rows(),
            bytes,
            first_at: time(encoder.first_at.ok_or_else(strange)?)?,
            last_at: time(last.at)?,
        },
        digest: encoder.digest,
        last,
    })
}

async fn put(upload: &mut Upload<'_>, part: Vec<u8>) -> Result<u64, Error> {
    let bytes = part.len() as u64;
    if bytes > 0 {
        upload.write(part).await?;
    }
    Ok(bytes)
}

fn time(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros).map_err(|error| Error::Other(error.to_string()))
}
