//! The long-lived tasks of a process, and what happens when one of them panics.
//!
//! A task that is gone while its process looks healthy is worse than a process
//! that ends: somebody starts that one again. So every task is either started
//! again after a pause, or it takes the process with it, or its end is counted
//! and nobody needs it. A task that returns has done what it was for.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt;
use metrics::Counter;
use tokio::sync::watch;
use tracing::{error, info};

use crate::metrics::table::TASK_PANICS;

/// A task or a thread that is started again, after a pause, when it panics.
pub struct Restarted(&'static str);

/// A task without which the process is of no use: when it panics, the process
/// drains as if it had been told to stop, and ends with exit code 1.
pub struct Vital(&'static str);

/// A task that is not started again, because nobody here can make it anew, and
/// without which the process does its work all the same.
pub struct Expendable(&'static str);

macro_rules! table {
    ($($(#[doc = $does:literal])* $kind:ident $task:ident $name:literal;)*) => {
        $($(#[doc = $does])* pub static $task: $kind = $kind($name);)*

        #[cfg(test)]
        static NAMES: &[&str] = &[$($name),*];
    };
}

table! {
    /// Accepts connections of the front end.
    Vital FRONT_END "front-end";
    /// Gathers what was admitted into groups and appends them.
    Vital APPENDER "appender";
    /// Accepts connections of the admin address.
    Vital ADMIN "admin";
    /// Follows the flows and works on their partitions.
    Vital WORKER "worker";
    /// Writes down which components were taken and chosen: what it has not
    /// written yet would be forgotten.
    Vital LEDGER_WRITER "ledger-writer";
    /// Works on one partition: prepares it, and leaves it at the end.
    Restarted PARTITION "partition";
    /// Reads one partition.
    Restarted READER "reader";
    /// Takes over what is due again or was forgotten.
    Restarted RECLAIMER "reclaimer";
    /// Judges, decides, stores and acknowledges batches.
    Restarted LANE "lane";
    /// Renews leases, says that the worker lives, trims the stream.
    Restarted ROUNDS "rounds";
    /// Follows the flows and hands on their decisions.
    Restarted DELIVERERS "deliverers";
    /// Hands the decisions of one flow to one downstream.
    Restarted DELIVERER "deliverer";
    /// Publishes what the worker knows.
    Restarted REPORTS "reports";
    /// Looks for another file of one oracle.
    Restarted ORACLE_FILES "oracle-files";
    /// Follows what was chosen of the oracles elsewhere.
    Restarted ORACLE_CHOICES "oracle-choices";
    /// Tries again the oracles that hold a flow.
    Restarted ORACLE_TRIALS "oracle-trials";
    /// Reads changed flow files.
    Restarted FLOW_FILES "flow-files";
    /// Reads a changed key file.
    Restarted KEY_FILE "key-file";
    /// Refuses entries of flows whose oracle is missing.
    Restarted WAITING "waiting";
    /// Asks how much is open, for the front end's Retry-After.
    Restarted BACKLOG "backlog";
    /// Brings the ledger up to date once it is there.
    Restarted MIGRATIONS "migrations";
    /// Refuses entries while nothing can be stored in the ledger.
    Restarted LEDGER_USABILITY "ledger-usability";
    /// Has floodgate-archive check the queries of the flows.
    Restarted ARCHIVE_QUERIES "archive-queries";
    /// Has floodgate-archive move what is due.
    Restarted ARCHIVE_MOVES "archive-moves";
    /// Looks at everything for the dashboard.
    Restarted DASHBOARD "dashboard";
    /// Keeps what histograms took in small.
    Restarted METRICS "metrics";
    /// Counts the time of oracles, on a thread of its own: without it none
    /// would ever be cut off.
    Restarted ORACLE_EPOCH "oracle-epoch";
    /// Writes the database file, on a thread of its own.
    Restarted FILE_WRITER "file-writer";
    /// Keeps the floodgate-archive running that `floodgate dev` started.
    Restarted ARCHIVE_PROCESS "archive-process";
    /// Hands spans to a collector. A panic over some of them costs these.
    Expendable TRACES "traces";
}

/// How long a task is left alone after its first panic, and after the latest
/// of many.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whoever ran for this long has got over what made it panic.
const SOUND: Duration = Duration::from_secs(60);

/// The vital task that panicked first. One process, one table: as with the
/// metrics, there is nothing to choose and nobody to ask.
static ENDED: LazyLock<watch::Sender<Option<&'static str>>> =
    LazyLock::new(|| watch::Sender::new(None));

impl Restarted {
    pub const fn name(&self) -> &'static str {
        self.0
    }

    /// Runs what `make` makes until that returns, and makes it anew after each
    /// panic. The first one is made before this future is polled.
    pub fn run<F: Future<Output = ()>>(
        &'static self,
        mut make: impl FnMut() -> F,
    ) -> impl Future<Output = ()> {
        let name = self.0;
        let panics = TASK_PANICS.of([name]);
        let first = make();
        async move {
            let mut next = Some(first);
            let mut pauses = Pauses::default();
            loop {
                let began = Instant::now();
                let task = next.take().unwrap_or_else(&mut make);
                if survive(named(name, task), &panics).await.is_some() {
                    return;
                }
                tokio::time::sleep(pauses.after(name, began)).await;
            }
        }
    }

    /// Runs `work` on a thread of its own until it returns, and again after
    /// each panic.
    ///
    /// # Errors
    /// Where the machine has no thread left.
    pub fn on_a_thread(
        &'static self,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let name = self.0;
        let thread = move || {
            let mut pauses = Pauses::default();
            loop {
                let began = Instant::now();
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    panic_if_told(name);
                    work();
                }));
                if ran.is_ok() {
                    return;
                }
                self.panicked();
                thread::sleep(pauses.after(name, began));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(thread)
    }

    /// Counts a panic of it that was survived on the spot.
    pub fn panicked(&self) {
        TASK_PANICS.of([self.0]).increment(1);
    }
}

impl Vital {
    /// Runs `task`; a panic of it ends the process.
    pub fn run(&'static self, task: impl Future<Output = ()>) -> impl Future<Output = ()> {
        let name = self.0;
        let panics = TASK_PANICS.of([name]);
        async move {
            if survive(named(name, task), &panics).await.is_none() {
                error!(task = name, "task panicked, the process ends");
                ENDED.send_if_modified(|ended| ended.replace(name).is_none());
            }
        }
    }
}

impl Expendable {
    /// Runs `task`, whose panic is counted and told.
    pub fn run(&'static self, task: impl Future<Output = ()>) -> impl Future<Output = ()> {
        let name = self.0;
        async move {
            if survive(task, &TASK_PANICS.of([name])).await.is_none() {
                error!(task = name, "task panicked, the process goes on without it");
            }
        }
    }

    /// Runs a part of it to its end; `None` where that was a panic, which is
    /// counted.
    pub async fn survive<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        survive(named(self.0, part), &TASK_PANICS.of([self.0])).await
    }
}

/// Waits until a vital task has panicked, and names it.
pub async fn vital_one_panicked() -> &'static str {
    let mut ended = ENDED.subscribe();
    loop {
        if let Some(name) = *ended.borrow_and_update() {
            return name;
        }
        // Its sender is a static.
        if ended.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs `task` to its end; `None` where that was a panic, which is counted.
pub async fn survive<T>(task: impl Future<Output = T>, panics: &Counter) -> Option<T> {
    let survived = AssertUnwindSafe(task).catch_unwind().await;
    if survived.is_err() {
        panics.increment(1);
    }
    survived.ok()
}

/// The task that is to panic once, to see what becomes of it.
static PANICKING: Mutex<Option<String>> = Mutex::new(None);

pub fn panic_once_in(task: &str) {
    *PANICKING.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.to_owned());
}

async fn named<T>(name: &str, task: impl Future<Output = T>) -> T {
    panic_if_told(name);
    task.await
}

#[allow(clippy::panic, reason = "this is what it is for")]
fn panic_if_told(name: &str) {
    let is_to_panic = {
        let mut panicking = PANICKING.lock().unwrap_or_else(PoisonError::into_inner);
        panicking.take_if(|task| task == name).is_some()
    };
    if is_to_panic {
        panic!("this task was to panic");
    }
}

/// How long a task is left alone after each of its panics.
#[derive(Default)]
struct Pauses(Option<ExponentialBackoff>);

impl Pauses {
    /// Returns the pause after a panic of `task`, which was started at `began`,
    /// and tells of both.
    fn after(&mut self, task: &str, began: Instant) -> Duration {
        if began.elapsed() > SOUND {
            self.0 = None;
        }
        let pauses = self.0.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .build()
        });
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        error!(task, ?pause, "task panicked, it is started again");
        pause
    }
}

/// From now on a panic is logged by its place. Its message is not, unless the
/// code has it as it stands: others quote what they stumbled over, and that
/// may be a body.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panicked: &PanicHookInfo<'_>| {
        let place = panicked.location().map(ToString::to_string);
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        let why = literal(panicked.payload());
        error!(place, why, "panicked");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            info!(%backtrace, "where it panicked");
        }
    }));
}

fn literal(payload: &(dyn Any + Send)) -> &'static str {
    let literal = payload.downcast_ref::<&'static str>();
    literal.copied().unwrap_or("not told, it may quote a body")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_until_it_returns() {
        static TASK: Restarted = Restarted("test");
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let task = TASK.run(move || {
            let counted = counted.clone();
            async move {
                let run = counted.fetch_add(1, Ordering::Relaxed);
                assert_eq!(run, 3, "not yet");
            }
        });
        task.await;
        assert_eq!(runs.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_vital_task_that_returns_ends_nothing_and_one_that_panics_is_named() {
        static TASK: Vital = Vital("of-a-test");
        TASK.run(async {}).await;
        assert_eq!(*ENDED.borrow(), None);
        TASK.run(async { panic!("on purpose") }).await;
        assert_eq!(vital_one_panicked().await, "of-a-test");
    }

    #[test]
    fn a_thread_that_panics_is_started_again_until_it_returns() {
        static TASK: Restarted = Restarted("thread");
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let thread = TASK.on_a_thread(move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            assert_eq!(run, 2, "not yet");
        });
        thread.unwrap().join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn an_expendable_task_that_panics_ends_nothing() {
        static TASK: Expendable = Expendable("expendable");
        TASK.run(async { panic!("on purpose") }).await;
        assert_eq!(TASK.survive(async { 1 }).await, Some(1));
        assert_ne!(*ENDED.borrow(), Some("expendable"));
    }

    #[test]
    fn a_message_that_was_put_together_is_not_told() {
        assert_eq!(literal(&"as it stands"), "as it stands");
        assert!(literal(&"of a body".to_owned()).starts_with("not told"));
    }

    #[test]
    fn every_task_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = NAMES.iter().collect();
        assert_eq!(names.len(), NAMES.len());
    }
}
