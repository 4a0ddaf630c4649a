use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// A file of an object store, for the Parquet reader.
pub struct Reader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

impl Reader {
    /// What is known of the file is that it has so many bytes.
    pub fn new(objects: Arc<dyn ObjectStore>, path: Path, bytes: u64) -> Self {
        Self {
            objects,
            path,
            bytes,
        }
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let read = self.objects.get_range(&self.path, range);
        read.map_err(|error| ParquetError::External(Box::new(error)))
            .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        let read = async move { self.objects.get_ranges(&self.path, &ranges).await };
        read.map_err(|error| ParquetError::External(Box::new(error)))
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let bytes = self.bytes;
        let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
        let read = async move { reader.load_and_finish(self, bytes).await };
        read.map_ok(Arc::new).boxed()
    }
}
