use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Failed, Watched};
use floodgate_process::tasks::FILE_WRITER;

/// Calls that are committed together at most: the first of them waits for the
/// last.
const GROUP: usize = 256;

/// Does one call, or is told why it cannot be done; returns what to do with
/// the outcome of the commit.
type Job = Box<dyn FnOnce(Result<&Connection, Failed>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), Failed>) + Send>;

/// The thread that writes.
pub(super) struct Writer {
    // Dropped first: that is what ends the thread.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// # Errors
    /// Where the machine has no thread left.
    pub fn start(connection: Connection, mut watched: Watched) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let run = move || run(&connection, &waiting, &mut watched);
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(FILE_WRITER.on_a_thread(run)?),
        })
    }

    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let (answer, answered) = oneshot::channel();
        let job = |connection: Result<&Connection, Failed>| -> Reply {
            let done = connection.and_then(|connection| in_savepoint(connection, job));
            Box::new(|committed| {
                // Whoever asked may have gone away.
                let _ = answer.send(done.and_then(|done| committed.map(|()| done)));
            })
        };
        let stopped = || Failed::stopped("see the log before this");
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Box::new(job)).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, waiting: &Receiver<Job>, watched: &mut Watched) {
    // Of a run that panicked.
    roll_back(connection);
    while let Ok(first) = waiting.recv() {
        let others = waiting.try_iter().take(GROUP - 1);
        let jobs = std::iter::once(first).chain(others);
        // Whoever waits hears that nobody answers; the next are written again,
        // without the pause after a panic of the thread.
        let group = AssertUnwindSafe(|| commit(connection, watched, jobs));
        if catch_unwind(group).is_err() {
            FILE_WRITER.panicked();
            roll_back(connection);
        }
    }
}

/// All of them with one fsync.
fn commit(connection: &Connection, watched: &mut Watched, jobs: impl Iterator<Item = Job>) {
    let begin = || connection.execute_batch("BEGIN IMMEDIATE");
    let begun = watched.look().and_then(|()| Ok(begin()?));
    if let Err(failed) = begun {
        for job in jobs {
            job(Err(failed.clone()))(Ok(()));
        }
        return;
    }
    let mut replies = Vec::new();
    for job in jobs {
        replies.push(job(Ok(connection)));
        // A full disk and its like roll everything back on the spot.
        if connection.is_autocommit() {
            break;
        }
    }
    let committed = match connection.is_autocommit() {
        true => Err(Failed::rolled_back()),
        false => connection.execute_batch("COMMIT").map_err(Failed::from),
    };
    if committed.is_err() {
        roll_back(connection);
    }
    for reply in replies {
        reply(committed.clone());
    }
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // Where that fails too, the next BEGIN says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Failed> {
    connection.prepare_cached("SAVEPOINT job")?.execute(())?;
    let done = job(connection);
    if connection.is_autocommit() {
        return done.map_err(Failed::from);
    }
    let end = match done {
        Ok(_) => "RELEASE job",
        Err(_) => "ROLLBACK TO job; RELEASE job",
    };
    if let Err(error) = connection.execute_batch(end) {
        // What it wrote must not be committed with the others.
        roll_back(connection);
        return Err(error.into());
    }
    Ok(done?)
}
