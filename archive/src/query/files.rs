//! Cold files as they are, held against what the ledger says that they are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use futures_util::{StreamExt, TryStreamExt};
use metrics::counter;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::ParquetMetaData;
use tracing::error;

use crate::cold::{COLUMNS, ColdFile, Reader, State, Store};
use crate::flows::Column;
use crate::ledger::{self, Ledger};

/// Footers that are read at once: a bucket takes its time for each.
const AT_ONCE: usize = 16;

/// How long a file that cannot be read is left out without another look, and how
/// often it is told of.
const AT_FAULT: Duration = Duration::from_secs(3600);

/// Footers are some kilobytes; what is read too much costs nothing.
const FOOTER: usize = 256 * 1024;

/// A file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub flow: String,
    pub file: String,
    pub why: String,
}

/// Why nothing is known of a file.
#[derive(Debug)]
pub enum Unread {
    Fault(Fault),
    /// The store did not answer.
    Away(String),
}

pub struct Files {
    store: Store,
    footers: Arc<FileMetadataCache>,
    at_fault: Mutex<HashMap<String, Known>>,
}

struct Known {
    fault: Fault,
    /// The object as it was then: another one is looked at again.
    object: Option<ObjectMeta>,
    since: Instant,
}

impl Files {
    pub fn new(store: Store, footers: Arc<FileMetadataCache>) -> Self {
        Self {
            store,
            footers,
            at_fault: Mutex::default(),
        }
    }

    /// The columns that each file was written with, or what is wrong with it, in
    /// the order of the files.
    pub async fn look(&self, files: Vec<ColdFile>) -> Vec<(ColdFile, Result<Vec<Column>, Unread>)> {
        let look = |file| async move {
            let columns = self.columns(&file).await;
            (file, columns)
        };
        // Made one by one before: of a closure in a stream the compiler cannot
        // tell that it may go to another thread.
        let looks: Vec<_> = files.into_iter().map(look).collect();
        futures_util::stream::iter(looks)
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    async fn columns(&self, file: &ColdFile) -> Result<Vec<Column>, Unread> {
        if let Some(fault) = self.known(file).await {
            return Err(Unread::Fault(fault));
        }
        let footer = self.footer(file, Some(self.footers.clone())).await?;
        let noted = footer.file_metadata().key_value_metadata();
        let noted = noted.and_then(|pairs| pairs.iter().find(|pair| pair.key == COLUMNS));
        let columns = noted.and_then(|pair| pair.value.as_deref()).unwrap_or("[]");
        serde_json::from_str(columns)
            .map_err(|error| Unread::Fault(fault(file, format!("{COLUMNS}: {error}"))))
    }

    /// Numbers of the rows of files.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub async fn seqs(&self, files: &[ColdFile]) -> Result<Vec<i64>, DataFusionError> {
        let mut seqs = Vec::new();
        for file in files {
            let read = async {
                let rows = self.rows(file, |schema| ProjectionMask::columns(schema, ["seq"]));
                let mut rows = rows.await?;
                while let Some(batch) = rows.try_next().await? {
                    seqs.extend(batch.column(0).as_primitive::<Int64Type>().values());
                }
                Ok::<_, parquet::errors::ParquetError>(())
            };
            read.await
                .map_err(|error| DataFusionError::ParquetError(Box::new(error)))?;
        }
        Ok(seqs)
    }

    /// Reads the files from end to end, and gives those that cannot be.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn verify(&self, files: Vec<ColdFile>) -> Result<Vec<(ColdFile, Fault)>, String> {
        let mut faults = Vec::new();
        let looks = files
            .iter()
            .map(|file| async move { (file, self.footer(file, None).await) });
        let looks: Vec<_> = looks.collect();
        let mut looks = futures_util::stream::iter(looks).buffered(AT_ONCE);
        let mut whole = Vec::new();
        while let Some((file, look)) = looks.next().await {
            match look {
                Ok(_) => whole.push(file),
                Err(Unread::Fault(fault)) => faults.push((file.clone(), fault)),
                Err(Unread::Away(why)) => return Err(why),
            }
        }
        if faults.is_empty() {
            for file in whole {
                if let Err(why) = self.read_through(file).await {
                    faults.push((file.clone(), fault(file, why)));
                }
            }
        }
        Ok(faults)
    }

    /// Counts a file that was left out, and tells of it once an hour.
    pub async fn tell(&self, file: &ColdFile, fault: &Fault) {
        counter!("floodgate_archive_file_faults_total", "flow" => fault.flow.clone()).increment(1);
        if self.known(file).await.is_none() {
            self.remember(file, fault).await;
        }
    }

    /// Leaves it out from now on.
    pub async fn remember(&self, file: &ColdFile, fault: &Fault) {
        error!(
            flow = fault.flow,
            file = fault.file,
            why = fault.why,
            "cold file left out: bring it back from a copy; what it held is missing in every answer"
        );
        let known = Known {
            fault: fault.clone(),
            object: self.store.objects().head(&location(file)).await.ok(),
            since: Instant::now(),
        };
        let mut at_fault = self.at_fault.lock().unwrap_or_else(PoisonError::into_inner);
        at_fault.insert(file.path.clone(), known);
    }

    /// What is known against a file, as long as it is the same one.
    async fn known(&self, file: &ColdFile) -> Option<Fault> {
        let known = |at_fault: &HashMap<String, Known>| {
            let known = at_fault.get(&file.path)?;
            (known.since.elapsed() < AT_FAULT).then(|| (known.fault.clone(), known.object.clone()))
        };
        let (fault, object) = {
            let at_fault = self.at_fault.lock().unwrap_or_else(PoisonError::into_inner);
            known(&at_fault)?
        };
        let now = self.store.objects().head(&location(file)).await.ok();
        let same = |object: &ObjectMeta| (object.size, object.last_modified);
        if now.as_ref().map(same) == object.as_ref().map(same) {
            return Some(fault);
        }
        let mut at_fault = self.at_fault.lock().unwrap_or_else(PoisonError::into_inner);
        at_fault.remove(&file.path);
        None
    }

    async fn footer(
        &self,
        file: &ColdFile,
        cache: Option<Arc<FileMetadataCache>>,
    ) -> Result<Arc<ParquetMetaData>, Unread> {
        let Some(sealed) = &file.sealed else {
            return Err(Unread::Fault(fault(
                file,
                "it was never finished".to_owned(),
            )));
        };
        let object = object(file, sealed.bytes);
        let footer = DFParquetMetadata::new(&**self.store.objects(), &object)
            .with_file_metadata_cache(cache)
            .with_metadata_size_hint(Some(FOOTER))
            .fetch_metadata()
            .await;
        let footer = match footer {
            Ok(footer) => footer,
            Err(error) => return Err(self.why(file, sealed.bytes, &error).await),
        };
        let rows = footer.file_metadata().num_rows();
        match u64::try_from(rows) == Ok(sealed.rows) {
            true => Ok(footer),
            false => {
                let why = format!("has {rows} rows of {}", sealed.rows);
                Err(Unread::Fault(fault(file, why)))
            }
        }
    }

    /// Tells a file at fault from a store that is away.
    async fn why(&self, file: &ColdFile, bytes: u64, error: &DataFusionError) -> Unread {
        let why = match self.store.objects().head(&location(file)).await {
            Err(object_store::Error::NotFound { .. }) => "is gone".to_owned(),
            Err(error) => return Unread::Away(format!("the cold tier did not answer: {error}")),
            Ok(object) if object.size < bytes => {
                format!("cut short: {} bytes of {bytes}", object.size)
            }
            Ok(object) if object.size > bytes => {
                format!("another file: {} bytes, not {bytes}", object.size)
            }
            Ok(_) => match error.find_root() {
                DataFusionError::ObjectStore(error) => {
                    return Unread::Away(format!("the cold tier did not answer: {error}"));
                }
                error => format!("damaged: {}", error.strip_backtrace()),
            },
        };
        Unread::Fault(fault(file, why))
    }

    async fn read_through(&self, file: &ColdFile) -> Result<(), String> {
        let read = async {
            let mut rows = self.rows(file, |_| ProjectionMask::all()).await?;
            while rows.try_next().await?.is_some() {}
            Ok::<_, parquet::errors::ParquetError>(())
        };
        read.await.map_err(|error| format!("damaged: {error}"))
    }

    async fn rows(
        &self,
        file: &ColdFile,
        columns: impl FnOnce(&parquet::schema::types::SchemaDescriptor) -> ProjectionMask,
    ) -> parquet::errors::Result<ParquetRecordBatchStream<Reader>> {
        let bytes = file.sealed.as_ref().map_or(0, |sealed| sealed.bytes);
        let reader = Reader::new(self.store.objects().clone(), location(file), bytes);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        let columns = columns(builder.parquet_schema());
        builder.with_projection(columns).build()
    }
}

/// Whether one of a flow's files, which counted a moment ago, counts no longer:
/// another one has its rows then, and it is gone by right. To be asked after a
/// file was not found, since the ledger is told first.
///
/// # Errors
/// As the ledger's.
pub async fn overtaken(
    ledger: &dyn Ledger,
    flow: &str,
    files: &[ColdFile],
) -> Result<bool, ledger::Error> {
    let mut now = ledger.files(Some(flow)).await?;
    now.retain(|file| matches!(file.state, State::Moving | State::Cold));
    let now: HashSet<i64> = now.iter().map(|file| file.number).collect();
    Ok(!files.iter().all(|file| now.contains(&file.number)))
}

fn location(file: &ColdFile) -> Path {
    Path::from(file.path.as_str())
}

/// As [`datafusion::datasource::listing::PartitionedFile::new`] makes it, so that
/// a footer that was looked at is not read again for the scan.
fn object(file: &ColdFile, bytes: u64) -> ObjectMeta {
    datafusion::datasource::listing::PartitionedFile::new(file.path.as_str(), bytes).object_meta
}

fn fault(file: &ColdFile, why: String) -> Fault {
    Fault {
        flow: file.flow.clone(),
        file: file.path.clone(),
        why,
    }
}
