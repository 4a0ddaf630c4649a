//! Servers of their own for tests, the real binary, and waiting without sleeps.

mod floodgate;
mod http;
mod postgres;
mod redis;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ::floodgate_prove::servers::PgBouncer;
use tokio::sync::OnceCell;

pub use self::floodgate::Floodgate;
pub use self::http::{request, try_request};
pub use self::postgres::PrivatePostgres;
pub use self::redis::{PrivateRedis, tell_redis};

/// URL of an empty Redis database that nobody else uses. The server is shared
/// by the tests of this process: no FLUSHALL, no CONFIG SET; see [`PrivateRedis`].
pub async fn redis() -> String {
    static SERVER: OnceCell<PrivateRedis> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(PrivateRedis::start).await;
    format!("{}/{}", server.url(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// URL of an empty Postgres database that nobody else uses. The server is
/// shared by the tests of this process, and does not fsync.
pub async fn postgres() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    postgres_server().await.create_database(&name).await
}

async fn postgres_server() -> &'static PrivatePostgres {
    static SERVER: OnceCell<PrivatePostgres> = OnceCell::const_new();
    SERVER
        .get_or_init(PrivatePostgres::start_without_fsync)
        .await
}

/// URL of a database of [`postgres`] through a PgBouncer in transaction mode.
pub async fn through_pgbouncer(postgres: &str) -> String {
    static POOLER: OnceCell<PgBouncer> = OnceCell::const_new();
    let start = async || {
        let port = postgres_server().await.port();
        PgBouncer::start(&std::env::temp_dir(), port).await.unwrap()
    };
    let pooler = POOLER.get_or_init(start).await;
    let (_, name) = postgres.rsplit_once('/').unwrap();
    pooler.database(name)
}

/// Asserts that a file has the content that a test generated from the code. If the
/// environment variable `UPDATE` is set, writes that content into the file first.
///
/// # Panics
/// If the two differ. The message has the command that writes the file, for which
/// `test` is the name of the test.
pub fn holds(file: &std::path::Path, made: &str, test: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, made).unwrap();
    }
    assert!(
        std::fs::read_to_string(file).unwrap_or_default() == made,
        "{} is out of date: UPDATE=1 cargo test --package floodgate --test it -- {test}",
        file.display()
    );
}

/// Waits until `check` says yes.
///
/// # Panics
/// With `what` when `deadline` has passed.
pub async fn eventually(deadline: Duration, what: &str, mut check: impl AsyncFnMut() -> bool) {
    eventually_some(deadline, what, async || check().await.then_some(())).await;
}

/// Waits until `check` finds something, and returns it.
///
/// # Panics
/// With `what` when `deadline` has passed.
pub async fn eventually_some<T>(
    deadline: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
