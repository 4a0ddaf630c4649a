//! What the cores read apart adds up to what one of them reads.

use std::sync::Arc;

use floodgate_archive::query::{Answer, Engine, Limits};
use serde_json::json;

use super::rig::{Cells, Entry, Rig, cells, events, limits, question};

const BY_DAY: &str = "SELECT day, count(DISTINCT user_id) FROM events
    WHERE day BETWEEN '2026-01-01' AND '2026-01-04' GROUP BY day";

/// Four days of files, of the second one two, and two days of hot rows.
async fn archived() -> Rig {
    let rig = Rig::embedded();
    rig.keep("events", &events()).await;
    rig.archive("2026-01-12T12:00:00Z").await;
    let late = Entry {
        id: "late".to_owned(),
        at: "2026-01-02T12:00:00Z".to_owned(),
        body: json!({"event_id": "late", "user_id": "u1", "event_type": "view"}),
    };
    rig.keep("events", &[late]).await;
    rig.archive("2026-01-12T12:00:00Z").await;
    rig
}

async fn ask(rig: &Rig, cores: usize, sql: &str) -> Answer {
    let limits = Limits { cores, ..limits() };
    let engine = Engine::new(
        rig.ledger.clone(),
        rig.store.clone(),
        rig.flows.clone(),
        &limits,
    );
    let mut question = question("events", sql, json!({}));
    question.explain = true;
    let (answer, _) = engine.unwrap().answer(question).await.unwrap();
    Arc::into_inner(answer).unwrap()
}

fn sorted(answer: &Answer) -> Cells {
    let mut cells = cells(answer);
    cells.sort();
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_cores_read_the_days_the_answer_is_the_same() {
    let rig = archived().await;
    for sql in [
        BY_DAY,
        "SELECT day, event_type, count(*) FROM events GROUP BY day, event_type",
        "SELECT DISTINCT day FROM events WHERE day < '2026-01-05'",
        "SELECT date_trunc('hour', at), count(*) FROM events WHERE day < '2026-01-05' GROUP BY ALL",
        "SELECT id, row_number() OVER (PARTITION BY day ORDER BY id) FROM events
         WHERE day < '2026-01-05'",
        // Each side shares the days out in its own way.
        "SELECT one.day, one.n, other.n FROM
            (SELECT day, count(*) AS n FROM events WHERE day < '2026-01-05' GROUP BY day) AS one
            JOIN (SELECT day, count(*) AS n FROM events
                  WHERE day BETWEEN '2026-01-02' AND '2026-01-03' GROUP BY day) AS other
            ON one.day = other.day",
        "SELECT one.day, count(*) FROM events AS one JOIN events AS other
            ON one.day = other.day AND one.user_id = other.user_id
         WHERE one.day < '2026-01-05' AND other.day BETWEEN '2026-01-02' AND '2026-01-03'
         GROUP BY one.day",
        "SELECT day, count(*) FROM (
            SELECT day, user_id FROM events WHERE day < '2026-01-03'
            UNION ALL SELECT day, user_id FROM events WHERE day < '2026-01-05') AS both
         GROUP BY day",
    ] {
        let by_one = sorted(&ask(&rig, 1, sql).await);
        assert!(!by_one.is_empty(), "{sql}");
        for cores in [2, 3, 4] {
            let answer = ask(&rig, cores, sql).await;
            assert_eq!(sorted(&answer), by_one, "{cores}: {sql}\n{:?}", answer.plan);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_in_files_only_is_grouped_by_day_where_it_is_read() {
    let rig = archived().await;
    let in_files = ask(&rig, 2, BY_DAY).await;
    assert_eq!((in_files.scanned.files, cells(&in_files).len()), (5, 4));
    let plan = in_files.plan.unwrap();
    assert!(!plan.contains("RepartitionExec"), "{plan}");
    let with_ledger = BY_DAY.replace("2026-01-04", "2026-01-05");
    let with_ledger = ask(&rig, 2, &with_ledger).await;
    assert_eq!(with_ledger.scanned.hot_rows, 60);
    assert_eq!(cells(&with_ledger).len(), 5);
}
