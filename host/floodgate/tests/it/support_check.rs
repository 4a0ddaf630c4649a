//! The harness itself: a test that cannot fail is worse than none.

use std::process::{Command, Stdio};
use std::time::Duration;

use redis::AsyncCommands;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{self, Floodgate, PrivateRedis, eventually, request};

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

#[tokio::test]
#[should_panic(expected = "floodgate ended")]
async fn a_floodgate_that_ends_at_start_is_not_waited_for() {
    // Without a Redis there is nothing to serve.
    Floodgate::serve(&[], &[]).url().await;
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    let server = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut received = String::new();
        while !received.ends_with("the body") {
            let mut buffer = [0; 1024];
            let read = peer.read(&mut buffer).await.unwrap();
            received += std::str::from_utf8(&buffer[..read]).unwrap();
        }
        let answer = b"HTTP/1.1 418 x\r\nx-seen: yes\r\ncontent-length: 2\r\n\r\nhi";
        peer.write_all(answer).await.unwrap();
        received
    };
    let sent = request("PUT", &url, &[("x-key", "k")], "the body");
    let (received, (status, headers, body)) = tokio::join!(server, sent);
    assert!(received.starts_with("PUT /path HTTP/1.1\r\n"), "{received}");
    assert!(received.contains("x-key: k\r\n"), "{received}");
    assert_eq!((status.as_u16(), &body[..]), (418, &b"hi"[..]));
    assert_eq!(headers["x-seen"], "yes");
}
