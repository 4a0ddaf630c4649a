//! Posting a file to a running Floodgate, line by line, as any client would.
//!
//! Nothing is kept of how far it came: sending again is safe, so whoever is
//! interrupted begins anew, and what is there already is not added again.

mod bad;
mod post;
mod records;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::bad::BadLines;
use self::post::Poster;
use self::records::Records;
use floodgate_flow::{Digest, Flow, Identity};

pub use self::post::Target;

/// What is posted, and where.
pub struct Import {
    pub flow: Arc<Flow>,
    pub file: PathBuf,
    pub target: Target,
    /// Entries of one request, where the flow takes batches.
    pub batch: usize,
    /// Requests at a time.
    pub concurrency: usize,
}

/// How far it is; moves while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the file.
    pub bytes: AtomicU64,
    /// Lines that the flow took, those that it had already among them.
    pub taken: AtomicU64,
    pub already_there: AtomicU64,
    pub bad: AtomicU64,
}

/// A line that the flow will take, as far as can be told from here.
#[derive(Clone, Debug)]
struct Line {
    number: u64,
    json: Bytes,
}

impl Import {
    /// Runs until the end of the file, or until `stop`: then what was begun is
    /// finished. Bad lines are written to a file beside it, with their reasons.
    ///
    /// # Errors
    /// When the file cannot be read, or nobody takes anything: running it again
    /// goes on.
    pub async fn run(self, progress: Arc<Progress>, stop: CancellationToken) -> anyhow::Result<()> {
        let bad = Arc::new(BadLines::beside(&self.file)?);
        let file = match self.flow.admit.id {
            Identity::Field(_) => None,
            Identity::Uuid | Identity::Sequence => Some(self.digest().await?),
        };
        let (batches, queue) = mpsc::channel(self.concurrency * 2);
        let queue = Arc::new(Mutex::new(queue));
        let poster = Arc::new(Poster::new(
            self.target.clone(),
            Arc::clone(&self.flow),
            Arc::clone(&bad),
            Arc::clone(&progress),
            file,
            stop.clone(),
        ));
        let mut posting: JoinSet<anyhow::Result<()>> = JoinSet::new();
        for _ in 0..self.concurrency {
            let (queue, poster) = (Arc::clone(&queue), Arc::clone(&poster));
            posting.spawn(async move {
                loop {
                    let next = queue.lock().await.recv().await;
                    let Some(lines) = next else { return Ok(()) };
                    poster.post(lines).await?;
                }
            });
        }
        drop(queue);
        let bad_lines = Arc::clone(&bad);
        let reading =
            tokio::task::spawn_blocking(move || self.read(&batches, &bad_lines, &progress, &stop));
        while let Some(posted) = posting.join_next().await {
            // Whoever fails leaves the queue to the others; all of them end it.
            posted.context("post")??;
        }
        reading.await.context("read")??;
        bad.finish()
    }

    /// Of the whole file: the same line of another file is another entry.
    async fn digest(&self) -> anyhow::Result<Digest> {
        let path = self.file.clone();
        let read = tokio::task::spawn_blocking(move || -> std::io::Result<Digest> {
            Digest::of_reader(std::fs::File::open(path)?)
        });
        let reading = || format!("read {}", self.file.display());
        read.await.with_context(reading)?.with_context(reading)
    }

    /// Off the runtime: reading and checking keep a core busy.
    fn read(
        &self,
        batches: &mpsc::Sender<Vec<Line>>,
        bad: &BadLines,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut records = Records::open(&self.file, &self.flow.admit.schema)?;
        let mut gathered = Gathered::default();
        while let Some(record) = records.next()? {
            if stop.is_cancelled() {
                break;
            }
            progress.bytes.store(records.position(), Ordering::Relaxed);
            let json = record.json.and_then(|json| self.checked(json));
            match json {
                Ok(json) => gathered.add(Line {
                    number: record.line,
                    json,
                }),
                Err(reason) => {
                    progress.bad.fetch_add(1, Ordering::Relaxed);
                    bad.write(record.line, &reason, &record.text)?;
                }
            }
            if self.is_full(&gathered) && batches.blocking_send(gathered.take()).is_err() {
                return Ok(()); // whoever posted has said why it does not any more
            }
        }
        if !gathered.lines.is_empty() {
            let _left = batches.blocking_send(gathered.take());
        }
        Ok(())
    }

    fn checked(&self, json: Vec<u8>) -> Result<Bytes, String> {
        let json = Bytes::from(json);
        match self.flow.admit.admit(json.clone()) {
            Ok(_) => Ok(json),
            Err(inadmissible) => Err(post::reason(&inadmissible)),
        }
    }

    fn is_full(&self, gathered: &Gathered) -> bool {
        let admit = &self.flow.admit;
        match admit.batch {
            // The next line must have room, too.
            true => gathered.lines.len() >= self.batch || gathered.bytes > admit.max_body / 2,
            false => !gathered.lines.is_empty(),
        }
    }
}

#[derive(Default)]
struct Gathered {
    lines: Vec<Line>,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, line: Line) {
        self.bytes += line.json.len() + 1;
        self.lines.push(line);
    }

    fn take(&mut self) -> Vec<Line> {
        self.bytes = 0;
        std::mem::take(&mut self.lines)
    }
}

/// Reads a CSV file to its end.
#[cfg(feature = "fuzz")]
pub fn fuzz_csv(bytes: &[u8]) {
    let schema = br#"{"properties": {"n": {"type": "integer"}, "b": {"type": "boolean"}}}"#;
    let read = || -> anyhow::Result<()> {
        let schema = floodgate_flow::Schema::compile(schema)?;
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("fuzzed.csv");
        std::fs::write(&path, bytes)?;
        let mut records = records::Records::open(&path, &schema)?;
        while records.next()?.is_some() {}
        Ok(())
    };
    let _refused = read();
}
