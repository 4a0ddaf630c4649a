//! Statements as long and as deep as they may be, and longer: the process ends
//! where its stack does, and then it answers nobody.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::rig::{Entry, Rig};
use super::service::Service;

/// Bytes of a statement.
const LONGEST: usize = 64 * 1024;

/// What a refusal of a statement that goes too far names.
const LIMITS: [&str; 3] = ["signs and keywords", "brackets in brackets", "in a row"];

/// A statement that repeats something, and how often it is still let in.
struct Shape(&'static str, usize, fn(usize) -> String);

fn each(times: usize, part: impl Fn(usize) -> String) -> String {
    (0..times).map(part).collect()
}

const SHAPES: [Shape; 26] = [
    Shape("or", 320, |n| {
        let or = each(n, |n| format!(" OR id = 'a{n}'"));
        format!("SELECT count(*) FROM events WHERE id = 'a'{or}")
    }),
    Shape("and", 320, |n| {
        let and = each(n, |n| format!(" AND seq <> {n} + 1"));
        format!("SELECT count(*) FROM events WHERE true{and}")
    }),
    Shape("plus", 980, |n| {
        format!("SELECT seq{} FROM events", " + 1".repeat(n))
    }),
    Shape("constant", 980, |n| format!("SELECT 1{}", "+1".repeat(n))),
    Shape("text", 490, |n| {
        format!("SELECT id{} FROM events", "||id".repeat(n))
    }),
    Shape("json", 10, |n| {
        format!("SELECT body{} FROM events", " -> 'a'".repeat(n))
    }),
    Shape("not", 980, |n| format!("SELECT {}true", "NOT ".repeat(n))),
    Shape("minus", 980, |n| format!("SELECT {}1", "- ".repeat(n))),
    Shape("is null", 480, |n| {
        format!("SELECT id{} FROM events", " IS NULL".repeat(n))
    }),
    Shape("cast", 480, |n| {
        format!("SELECT seq{} FROM events", "::BIGINT".repeat(n))
    }),
    Shape("item", 980, |n| {
        format!("SELECT reasons{} FROM events", "[1]".repeat(n))
    }),
    Shape("time zone", 240, |n| {
        format!("SELECT at{} FROM events", " AT TIME ZONE 'UTC'".repeat(n))
    }),
    Shape("brackets", 16, |n| {
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n))
    }),
    Shape("no end", 16, |n| format!("SELECT {}", "CAST(".repeat(n))),
    Shape("interval", 16, |n| {
        format!("SELECT {}", "INTERVAL ".repeat(n))
    }),
    Shape("function", 15, |n| {
        format!(
            "SELECT {}id{} FROM events",
            "lower(".repeat(n),
            ")".repeat(n)
        )
    }),
    Shape("in a case", 190, |n| {
        let case = "CASE WHEN true THEN ".repeat(n);
        format!("SELECT {case}1{}", " END".repeat(n))
    }),
    Shape("case", 320, |n| {
        let when = each(n, |n| format!(" WHEN seq = {n} THEN {n}"));
        format!("SELECT CASE{when} END FROM events")
    }),
    Shape("union", 320, |n| {
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n))
    }),
    Shape("joined", 90, |n| {
        let join = each(n, |n| format!(" JOIN events e{n} ON e{n}.id = e.id"));
        format!("SELECT count(*) FROM events e{join}")
    }),
    Shape("together", 190, |n| {
        let and = each(n, |n| format!(", generate_series(1, 1) AS t{n}"));
        format!("SELECT count(*) FROM generate_series(1, 1){and}")
    }),
    Shape("with", 120, |n| {
        let and = each(n, |n| {
            format!(", t{} AS (SELECT x + 1 AS x FROM t{n})", n + 1)
        });
        format!("WITH t0 AS (SELECT seq AS x FROM events){and} SELECT x FROM t{n}")
    }),
    Shape("from", 16, |n| {
        let from = "SELECT * FROM (".repeat(n);
        format!("{from}SELECT 1{}", ")".repeat(n))
    }),
    Shape("queries", 90, |n| {
        let and = each(n, |_| ", (SELECT max(seq) FROM events)".to_owned());
        format!("SELECT 1{and}")
    }),
    Shape("windows", 120, |n| {
        let and = each(n, |n| format!(", sum(seq) OVER (ORDER BY seq + {n})"));
        format!("SELECT 1{and} FROM events")
    }),
    Shape("type", 300, |n| {
        let list = "ARRAY<".repeat(n);
        format!("SELECT CAST(NULL AS {list}INT{})", " >".repeat(n))
    }),
];

fn longest(of: fn(usize) -> String) -> String {
    let mut n = LONGEST * 1000 / of(1000).len();
    while of(n).len() > LONGEST {
        n -= n / 50 + 1;
    }
    of(n)
}

async fn said(service: &Service, path: &str, sql: &str) -> (StatusCode, Value) {
    let mut question = json!({"flow": "events", "sql": sql});
    if path == "/query" {
        question["timeout_ms"] = json!(60_000);
    }
    service.call("POST", path, Some(question)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_that_goes_far_is_answered_or_refused_and_so_is_the_next() {
    let rig = Rig::embedded();
    let entry = Entry {
        id: "a".to_owned(),
        at: "2026-01-01T00:00:00Z".to_owned(),
        body: json!({"user_id": "u"}),
    };
    rig.keep("events", &[entry]).await;
    let service = Service::start(&rig, &[]);
    for Shape(name, most, of) in SHAPES {
        let longest = longest(of);
        for path in ["/plan", "/query"] {
            let (status, refused) = said(&service, path, &longest).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {refused}");
            let names = |said: &Value| LIMITS.iter().any(|limit| said.to_string().contains(limit));
            assert!(names(&refused), "{name}: {refused}");
            let (status, answer) = said(&service, path, &of(most)).await;
            let refused = [StatusCode::BAD_REQUEST, StatusCode::INSUFFICIENT_STORAGE];
            assert!(
                status == StatusCode::OK || refused.contains(&status),
                "{name}: {status} {answer}"
            );
            assert!(!names(&answer), "{name}: {answer}");
        }
        let (status, next) = said(&service, "/query", "SELECT count(*) FROM events").await;
        assert_eq!((status, &next["rows"]), (StatusCode::OK, &json!([[1]])));
    }
    let many = each(4000, |n| format!(", 'a{n}'"));
    let many = format!("SELECT count(*) FROM events WHERE id IN ('a'{many})");
    let (status, answer) = said(&service, "/query", &many).await;
    assert_eq!((status, &answer["rows"]), (StatusCode::OK, &json!([[1]])));
    assert!(service.stop());
}
