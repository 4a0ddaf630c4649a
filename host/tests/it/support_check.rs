//! The harness itself: a test that cannot fail is worse than none.

use std::process::{Command, Stdio};
use std::time::Duration;

use redis::AsyncCommands;

use crate::support::{self, PrivateRedis, eventually};

#[tokio::test]
async fn every_test_has_a_redis_of_its_own() {
    let open = async || {
        let client = redis::Client::open(support::redis().await).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    };
    let (mut mine, mut yours) = (open().await, open().await);
    mine.set::<_, _, ()>("key", "mine").await.unwrap();
    assert_eq!(yours.get::<_, Option<String>>("key").await.unwrap(), None);
    let policy: (String, String) = redis::cmd("CONFIG")
        .arg("GET")
        .arg("appendfsync")
        .query_async(&mut mine)
        .await
        .unwrap();
    assert_eq!(policy.1, "always");
}

#[tokio::test]
async fn a_redis_that_is_killed_has_what_it_acknowledged_when_it_comes_back() {
    let mut server = PrivateRedis::start().await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    connection.set::<_, _, ()>("key", "value").await.unwrap();
    server.kill();
    assert!(client.get_multiplexed_async_connection().await.is_err());
    server.restart().await;
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(connection.get::<_, String>("key").await.unwrap(), "value");
}

#[tokio::test]
async fn a_paused_redis_answers_when_it_is_resumed() {
    let mut server = PrivateRedis::start().await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    server.pause();
    let set = connection.set::<_, _, ()>("key", "value");
    assert!(set.await.unwrap_err().is_timeout());
    server.resume();
    assert_eq!(connection.get::<_, String>("key").await.unwrap(), "value");
}

/// The test binary runs itself once more, has that killed, and looks for what it left.
#[tokio::test]
async fn servers_die_with_a_test_process_that_is_killed() {
    const STARTS: &str = "FLOODGATE_TEST_STARTS_SERVERS_IN";
    if let Some(directory) = std::env::var_os(STARTS) {
        support::redis().await;
        support::postgres().await;
        std::fs::write(std::path::Path::new(&directory).join("started"), "").unwrap();
        std::future::pending::<()>().await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The servers run as another user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(path, open).unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "support_check::servers_die_with_a_test_process_that_is_killed",
        ])
        .env(STARTS, path)
        .env("TMPDIR", path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = path.join("started");
    let minute = Duration::from_secs(60);
    eventually(minute, "servers start", async || started.exists()).await;
    let left = || std::fs::read_dir(path).unwrap().count() - 1;
    assert_eq!(left(), 2, "a directory of Redis and one of Postgres");
    process.kill().unwrap();
    process.wait().unwrap();
    eventually(minute, "their directories are removed", async || {
        left() == 0
    })
    .await;
}
