use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart,
};
use url::Url;

use super::{ColdFile, Error, local};

/// A bucket that is away is said to be so while somebody still waits.
const RETRY: Duration = Duration::from_secs(20);
const RETRIES: usize = 5;
const ANSWER: Duration = Duration::from_secs(30);

/// A part of an upload. A bucket takes 10,000 of them.
const PART: usize = 16 << 20;

/// Parts that are on their way at a time.
const PARTS: usize = 4;

/// Where cold files are: a directory or a bucket.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    url: Url,
    /// Of a directory.
    root: Option<PathBuf>,
}

impl Store {
    /// `place` is a directory, which is made where it is missing, or a URL.
    /// Credentials of a bucket are in the usual `AWS_` variables, which come in
    /// as `env`. Nothing is asked of a bucket yet.
    ///
    /// # Errors
    /// Where it is no place that files can be in.
    pub fn open(
        place: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let wrong = |what: String| Error::Store {
            place: place.to_owned(),
            what: format!("{what}; --cold names a directory, or a URL such as s3://bucket/prefix"),
        };
        let url = match Url::parse(place) {
            Ok(url) => url,
            Err(_) => {
                return Self::directory(PathBuf::from(place)).map_err(|e| wrong(e.to_string()));
            }
        };
        if url.scheme() == "file" {
            let directory = url.to_file_path();
            let directory = directory.map_err(|()| wrong("it is no path".to_owned()))?;
            return Self::directory(directory).map_err(|error| wrong(error.to_string()));
        }
        let bucket = bucket(&url, env);
        let (objects, prefix) = bucket.map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            objects: Arc::new(PrefixStore::new(objects, prefix)),
            url,
            root: None,
        })
    }

    fn directory(directory: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let root = directory.canonicalize()?;
        let objects = LocalFileSystem::new_with_prefix(&root)?;
        let url = Url::from_directory_path(&root);
        let url = url.map_err(|()| std::io::Error::other("its path is no URL"))?;
        Ok(Self {
            objects: Arc::new(objects),
            url,
            root: Some(root),
        })
    }

    /// In which a cold file lies at its path.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Of the root; without credentials.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// # Errors
    /// Where somebody wrote into the ledger what is no path.
    pub fn location(&self, file: &ColdFile) -> Result<Path, Error> {
        Path::parse(&file.path).map_err(|error| Error::Other(error.to_string()))
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        if let Some(root) = &self.root {
            let found = tokio::fs::metadata(root).await;
            return found.map(|_| ()).map_err(|error| self.failed(&error));
        }
        self.has(&Path::from("floodgate-ping")).await.map(|_| ())
    }

    /// Whether something lies there.
    ///
    /// # Errors
    /// Where the store is away.
    pub async fn has(&self, path: &Path) -> Result<bool, Error> {
        match self.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Nothing of the file afterwards.
    ///
    /// # Errors
    /// Where the store is away; it may be removed all the same.
    pub async fn remove(&self, file: &ColdFile) -> Result<(), Error> {
        let location = self.location(file)?;
        if let Some(root) = self.root.clone() {
            let path = root.join(location.as_ref());
            return self.blocking(move || local::remove(&root, &path)).await;
        }
        match self.objects.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn upload(&self, file: &ColdFile) -> Result<Upload<'_>, Error> {
        let location = self.location(file)?;
        let way = match self.root.clone() {
            Some(root) => {
                let path = root.join(location.as_ref());
                let create = move || local::Aside::create(&root, &path);
                Way::Local(Some(self.blocking(create).await?))
            }
            None => {
                let upload = self.objects.put_multipart(&location).await;
                let upload = upload.map_err(|error| self.failed(&error))?;
                Way::Remote(WriteMultipart::new_with_chunk_size(upload, PART))
            }
        };
        Ok(Upload {
            store: self,
            location,
            way,
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(job).await;
        let done = done.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
        done.map_err(|error| self.failed(&error))
    }

    pub(super) fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Store {
            place: self.url.to_string(),
            what: error.to_string(),
        }
    }
}

type Bucket = (Box<dyn ObjectStore>, Path);

fn bucket(
    url: &Url,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Bucket, object_store::Error> {
    let env = env.into_iter().filter(|(name, _)| name.starts_with("AWS_"));
    if !matches!(url.scheme(), "s3" | "s3a") {
        return object_store::parse_url_opts(url, env);
    }
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: RETRY,
    };
    let client = ClientOptions::new().with_timeout(ANSWER);
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(retry)
        .with_url(url.as_str());
    for (name, value) in env {
        if let Ok(name) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(name, value);
        }
    }
    Ok((Box::new(builder.build()?), Path::from_url_path(url.path())?))
}

/// A file that is there once it is finished.
pub(super) struct Upload<'a> {
    store: &'a Store,
    location: Path,
    way: Way,
}

enum Way {
    /// `None` while a thread writes to it, and after that failed.
    Local(Option<local::Aside>),
    Remote(WriteMultipart),
}

impl Upload<'_> {
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        match &mut self.way {
            Way::Local(aside) => {
                let Some(mut file) = aside.take() else {
                    return Err(self.store.failed(&"writing failed before"));
                };
                let write = move || file.write(&bytes).map(|()| file);
                *aside = Some(self.store.blocking(write).await?);
                Ok(())
            }
            Way::Remote(upload) => {
                let free = upload.wait_for_capacity(PARTS).await;
                free.map_err(|error| self.store.failed(&error))?;
                upload.put(Bytes::from(bytes));
                Ok(())
            }
        }
    }

    /// On disk, and to be found there. What lies there already stays as it is.
    pub async fn finish(self) -> Result<(), Error> {
        let Self {
            store,
            location,
            way,
        } = self;
        let free = match way {
            Way::Local(None) => return Err(store.failed(&"writing failed before")),
            Way::Local(Some(file)) => store.blocking(move || file.finish()).await?,
            Way::Remote(upload) => {
                // No bucket takes a condition for an upload in parts, so this is
                // no promise: whoever is the only one to write keeps it.
                let taken = store.has(&location).await;
                match taken {
                    Ok(false) => {
                        let finished = upload.finish().await;
                        finished.map_err(|error| store.failed(&error))?;
                    }
                    _ => drop(upload.abort().await),
                }
                !taken?
            }
        };
        let path = location.to_string();
        free.then_some(()).ok_or(Error::Taken { path })
    }

    /// What a directory has of it goes when the file is cleared up.
    pub async fn abort(self) {
        if let Way::Remote(upload) = self.way {
            let _ = upload.abort().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::State;

    #[tokio::test]
    async fn what_a_bucket_has_already_stays() {
        let store = Store::open("memory:///", []).unwrap();
        let file = ColdFile {
            number: 1,
            flow: "events".to_owned(),
            day: jiff::civil::date(2026, 1, 2),
            path: "events/1.parquet".to_owned(),
            state: State::Writing,
            replaces: false,
            sealed: None,
        };
        for (bytes, taken) in [("first", false), ("second", true)] {
            let mut upload = store.upload(&file).await.unwrap();
            upload.write(bytes.into()).await.unwrap();
            let finished = upload.finish().await;
            let refused = matches!(finished, Err(Error::Taken { .. }));
            assert_eq!(refused, taken, "{finished:?}");
        }
        let path = store.location(&file).unwrap();
        let kept = store.objects().get(&path).await.unwrap();
        assert_eq!(kept.bytes().await.unwrap(), "first");
    }

    #[test]
    fn a_place_is_a_directory_or_a_url() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let cold = root.join("made/cold");
        let named = Store::open(cold.to_str().unwrap(), []).unwrap();
        assert_eq!(named.url().as_str(), format!("file://{}/", cold.display()));
        let url = Store::open(named.url().as_str(), []).unwrap();
        assert_eq!(url.root, named.root);
        let bucket = Store::open("s3://bucket/a/b", []).unwrap();
        assert!(bucket.root.is_none());
        assert_eq!(bucket.objects().to_string(), "PrefixObjectStore(a/b)");
    }

    #[test]
    fn what_is_no_place_says_what_to_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for place in ["gopher://x/y", file.path().to_str().unwrap()] {
            let error = Store::open(place, []).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("--cold"), "{error}");
        }
    }
}
