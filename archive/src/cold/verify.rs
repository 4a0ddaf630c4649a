use futures_util::StreamExt;

use super::read::{damage, damaged, open};
use super::{ColdFile, Digest, Error, Store, Written};

/// Reads the file whole, all columns of it, and compares it with what was to
/// be written.
///
/// # Errors
/// Where it has anything else.
pub async fn verify(store: &Store, file: &ColdFile, written: &Written) -> Result<(), Error> {
    let sealed = ColdFile {
        sealed: Some(written.sealed.clone()),
        ..file.clone()
    };
    let read = open(store, &sealed).await?.build();
    let mut read = read.map_err(|error| damaged(store, file, error))?;
    let mut digest = Digest::default();
    while let Some(batch) = read.next().await {
        let batch = batch.map_err(|error| damaged(store, file, error))?;
        digest.add(&batch)?;
    }
    if digest != written.digest {
        let what = format!(
            "{digest:?} were read where {:?} were written",
            written.digest
        );
        return Err(damage(file, &what));
    }
    Ok(())
}
