//! What a statement may do and take.

use std::time::{Duration, Instant};

use floodgate_archive::query::{Error, Limits};
use serde_json::json;

use super::rig::{Entry, Rig, cells, events, limits, question};

async fn filled() -> Rig {
    let rig = Rig::embedded();
    rig.keep("events", &events()).await;
    rig.archive("2026-01-12T12:00:00Z").await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_reads_its_flow_and_nothing_else() {
    let rig = filled().await;
    for sql in [
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM events",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'",
        "COPY events TO '/tmp/floodgate-must-not-be'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE events",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "SELECT * FROM decisions",
        "SELECT * FROM transactions",
        "SELECT * FROM cold",
        "SELECT * FROM hot",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x')",
        "SELECT repeat('x', 1000000000)",
        "SELECT nothing FROM events",
        "SELEKT",
        "",
    ] {
        let answer = rig.ask("events", sql, json!({})).await;
        assert!(
            matches!(answer, Err(Error::Statement(_))),
            "{sql}: {answer:?}"
        );
        let checked = rig.engine.check("events", sql, &Default::default()).await;
        assert!(
            matches!(checked, Err(Error::Statement(_))),
            "{sql}: {checked:?}"
        );
    }
    let nobody = rig.ask("nobody", "SELECT 1", json!({})).await;
    assert!(matches!(nobody, Err(Error::NoFlow(_))), "{nobody:?}");
    assert_eq!(
        rig.cells("events", "SELECT count(*) FROM \"events\"").await,
        [["360"]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_parameter_is_a_value_of_its_type_and_may_be_null() {
    let rig = filled().await;
    let sql = "SELECT $d, $t, $i, $n, $s, $b FROM events LIMIT 1";
    let parameters = json!({
        "d": {"type": "date", "value": "2026-02-28"},
        "t": {"type": "time", "value": "2026-02-28T01:00:00+01:00"},
        "i": {"type": "integer", "value": i64::MIN},
        "n": {"type": "number", "value": -1.5e300},
        "s": {"type": "text", "value": "a' OR '1' = '1"},
        "b": {"type": "boolean", "value": true},
    });
    let row = cells(&rig.ask("events", sql, parameters).await.unwrap()).remove(0);
    assert_eq!(
        row[..3],
        ["2026-02-28", "2026-02-28T00:00:00Z", "-9223372036854775808"]
    );
    assert_eq!(row[3].parse::<f64>().unwrap(), -1.5e300);
    assert_eq!(row[4..], ["a' OR '1' = '1", "true"]);
    for kind in ["date", "time", "integer", "number", "text", "boolean"] {
        let none = json!({"x": {"type": kind, "value": null}});
        let answer = rig
            .ask("events", "SELECT $x, $x IS NULL FROM events LIMIT 1", none)
            .await;
        assert_eq!(cells(&answer.unwrap()), [["null", "true"]], "{kind}");
    }
    let injected = json!({"id": {"type": "text", "value": "' OR 1 = 1 --"}});
    let answer = rig
        .ask(
            "events",
            "SELECT count(*) FROM events WHERE id = $id",
            injected,
        )
        .await;
    assert_eq!(cells(&answer.unwrap()), [["0"]]);
    let missing = rig.ask("events", "SELECT $x", json!({})).await;
    assert!(matches!(&missing, Err(Error::Parameters(wrong)) if wrong[0].parameter == "x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_query_that_takes_too_long_ends() {
    let rig = filled().await;
    let sql = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b \
               WHERE (a.value * b.value) % 7 = 3";
    let mut question = question("events", sql, json!({}));
    question.timeout = Duration::from_millis(300);
    let started = Instant::now();
    let answer = rig.engine.answer(question).await;
    assert!(matches!(answer, Err(Error::TooLong(_))), "{answer:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    // One place is enough for the next: its work has ended, too.
    assert_eq!(
        rig.cells("events", "SELECT count(*) FROM events").await,
        [["360"]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_query_that_takes_too_much_is_told_which_limit_it_met() {
    let memory = Limits {
        memory: 4 << 20,
        spill_most: 1 << 20,
        ..limits()
    };
    let rig = Rig::with_limits(memory);
    let sql = "SELECT value % 1000000007 AS n, count(*) FROM generate_series(1, 3000000) \
               GROUP BY n ORDER BY n DESC LIMIT 1";
    let answer = rig.ask("events", sql, json!({})).await;
    assert!(
        matches!(answer, Err(Error::Memory(_) | Error::Disk(_))),
        "{answer:?}"
    );
    let text = "x".repeat(100);
    let sql = format!("SELECT value, '{text}' FROM generate_series(1, 100000)");
    let wide = rig.ask("events", &sql, json!({})).await;
    assert!(matches!(wide, Err(Error::Memory(_))), "{wide:?}");
    let long = rig
        .ask(
            "events",
            "SELECT value FROM generate_series(1, 100001)",
            json!({}),
        )
        .await;
    assert!(matches!(long, Err(Error::TooMuch(_))), "{long:?}");
    let most = rig
        .cells("events", "SELECT value FROM generate_series(1, 100000)")
        .await;
    assert_eq!(most.len(), 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_question_is_answered_again_until_its_answer_is_old() {
    let rig = filled().await;
    let ask = async |cache: u64, n: i64| {
        let parameters = json!({"n": {"type": "integer", "value": n}});
        let sql = "SELECT count(*) + $n FROM events";
        let mut question = question("events", sql, parameters);
        question.cache = Duration::from_millis(cache);
        let (answer, cached) = rig.engine.answer(question).await.unwrap();
        (cells(&answer)[0][0].clone(), cached)
    };
    assert_eq!(ask(3_600_000, 0).await, ("360".to_owned(), false));
    let late = Entry {
        id: "late".to_owned(),
        at: "2026-01-06T00:00:00Z".to_owned(),
        body: json!({}),
    };
    rig.keep("events", &[late]).await;
    assert_eq!(ask(3_600_000, 0).await, ("360".to_owned(), true));
    assert_eq!(
        ask(3_600_000, 1).await,
        ("362".to_owned(), false),
        "another value"
    );
    assert_eq!(ask(0, 0).await, ("361".to_owned(), false), "not cached");
    assert_eq!(ask(1, 0).await.0, "361");
    rig.engine.forget();
    assert_eq!(ask(3_600_000, 0).await, ("361".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_not_asked_for_is_not_read() {
    let rig = filled().await;
    let scanned = async |sql: &str| rig.ask("events", sql, json!({})).await.unwrap().scanned;
    let cold = scanned("SELECT count(DISTINCT user_id) FROM events WHERE day = '2026-01-02'").await;
    assert_eq!((cold.files, cold.cold_rows, cold.hot_rows), (1, 60, 0));
    let between = "SELECT count(DISTINCT user_id) FROM events \
                   WHERE at >= '2026-01-02T00:00:00Z' AND at < '2026-01-03T00:00:00Z'";
    let between = scanned(between).await;
    assert_eq!((between.files, between.hot_rows), (1, 0));
    let hot = scanned("SELECT count(DISTINCT user_id) FROM events WHERE day >= '2026-01-06'").await;
    assert_eq!((hot.files, hot.bytes, hot.hot_rows), (0, 0, 60));
    let id = scanned("SELECT body FROM events WHERE id = 'e-6-3'").await;
    assert_eq!(id.hot_rows, 1);
    let all = scanned("SELECT count(DISTINCT user_id) FROM events").await;
    assert_eq!((all.files, all.cold_rows, all.hot_rows), (4, 240, 120));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn json_is_read_by_its_path() {
    let rig = filled().await;
    let sql = "SELECT json_text(body, 'properties.country'), body -> 'properties' ->> 'country', \
               json_get_str(body, 'properties', 'country'), json_text(body, 'properties.nothing'), \
               json_get(body, 'properties') FROM events WHERE id = 'e-1-3'";
    let properties = "{\"country\":\"UA\",\"it's\":3}";
    let country = || "UA".to_owned();
    let expected = vec![
        country(),
        country(),
        country(),
        "null".to_owned(),
        properties.to_owned(),
    ];
    assert_eq!(rig.cells("events", sql).await, [expected]);
}
