//! The statistics that ship, against SQL on the ledger before anything was moved.

use floodgate_archive::cold::State;
use floodgate_archive::moving::{Hook, Step};
use serde_json::{Value, json};

use super::rig::{Cells, Entry, Rig, cells, events};

const DAU: &str = include_str!("../../../../flows/stats/dau.sql");
const TOP: &str = include_str!("../../../../flows/stats/top-events.sql");
const DAILY: &str = include_str!("../../../../flows/stats/retention.daily.sql");
const COHORT: &str = include_str!("../../../../flows/stats/retention.cohort.sql");

const SEGMENTS: [Option<(&str, &str)>; 4] = [
    None,
    Some(("event_type", "purchase")),
    Some(("properties.country", "UA")),
    Some(("properties.country", "'; DROP TABLE events; --")),
];

/// The days that are asked about: three of them cold in the end, and one hot.
const FROM: &str = "2026-01-02";
const TO: &str = "2026-01-05";

/// Days 1 to 4 ended more than a week ago.
const NOW: &str = "2026-01-12T12:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statistics_agree_before_during_and_after_archiving_on_postgres() {
    agree(Rig::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statistics_agree_before_during_and_after_archiving_on_the_embedded_ledger() {
    agree(Rig::embedded()).await;
}

async fn agree(rig: Rig) {
    rig.keep("events", &events()).await;
    let mut plainly = Vec::new();
    for segment in SEGMENTS {
        plainly.push(all_plainly(&rig, segment).await);
    }
    assert!(
        plainly[0].iter().all(|cells| !cells.is_empty()),
        "{plainly:?}"
    );
    assert_eq!(answers(&rig).await, plainly, "before");

    let mut mover = rig.mover();
    mover.limits.removed = 25;
    mover.hook = Hook::new(|step| assert_ne!(step, Step::Removed, "stopped here"));
    let stopped = mover.run(&rig.load(), NOW.parse().unwrap()).await;
    let files = rig.ledger.files(Some("events")).await.unwrap();
    assert!(
        files.iter().any(|file| file.state == State::Moving),
        "{stopped:?} {files:?}"
    );
    let left = rig.ask_plainly("SELECT count(*) FROM decisions").await;
    let left: u32 = left[0][0].parse().unwrap();
    // Some rows of a file that counts are gone, and some are there still.
    assert!(!left.is_multiple_of(60) && left < 360, "{left}");
    assert_eq!(answers(&rig).await, plainly, "during");

    rig.archive(NOW).await;
    let left = rig.ask_plainly("SELECT count(*) FROM decisions").await;
    assert_eq!(left, [["120"]]);
    assert_eq!(answers(&rig).await, plainly, "after");
}

async fn answers(rig: &Rig) -> Vec<Vec<Cells>> {
    let mut answers = Vec::new();
    for segment in SEGMENTS {
        answers.push(all(rig, segment).await);
    }
    answers
}

fn parameters(segment: Option<(&str, &str)>, others: Value) -> Value {
    let date = |date: &str| json!({"type": "date", "value": date});
    let text = |text: Option<&str>| json!({"type": "text", "value": text});
    let mut parameters = json!({
        "from": date(FROM),
        "to": date(TO),
        "start_date": date(FROM),
        "segment_field": text(segment.map(|(field, _)| field)),
        "segment_value": text(segment.map(|(_, value)| value)),
        "limit": {"type": "integer", "value": 10},
        "windows": {"type": "integer", "value": 3},
    });
    for (name, value) in others.as_object().unwrap() {
        parameters[name] = json!({"type": "text", "value": value});
    }
    parameters
}

/// Every statistic, with windows that nobody was in left out.
async fn all(rig: &Rig, segment: Option<(&str, &str)>) -> Vec<Cells> {
    let mut all = Vec::new();
    for (sql, window) in [(DAU, ""), (TOP, ""), (DAILY, "day"), (DAILY, "week")] {
        let parameters = parameters(segment, json!({"window": window}));
        let answer = rig.ask("events", sql, parameters).await.unwrap();
        let mut cells = cells(&answer);
        if sql == DAILY {
            assert_eq!(cells.len(), 3);
            cells.retain(|row| row[1] != "0");
        }
        all.push(cells);
    }
    for window in ["day", "week"] {
        let parameters = parameters(segment, json!({"window": window}));
        let answer = rig.ask("events", COHORT, parameters).await.unwrap();
        let mut cells = cells(&answer);
        assert_eq!(cells.len(), 3);
        let whole: f64 = cells[0][1].parse().unwrap();
        for row in &mut cells {
            let share: f64 = row.pop().unwrap().parse().unwrap();
            let users: f64 = row[1].parse().unwrap();
            assert!((users - share * whole).abs() < 1e-9, "{row:?} {share}");
        }
        cells.retain(|row| row[1] != "0");
        all.push(cells);
    }
    all
}

/// The same, by the ledger.
async fn all_plainly(rig: &Rig, segment: Option<(&str, &str)>) -> Vec<Cells> {
    let (day, user, kind) = (rig.day(), rig.field("user_id"), rig.field("event_type"));
    let segment = match segment {
        Some((field, value)) => {
            format!("{} = '{}'", rig.field(field), value.replace('\'', "''"))
        }
        None => "1 = 1".to_owned(),
    };
    let of = format!("FROM decisions WHERE flow = 'events' AND {segment}");
    let between = format!("{day} >= '{FROM}' AND {day} <= '{TO}'");
    let dau = format!(
        "SELECT {day}, count(DISTINCT {user}) {of} AND {between} AND {user} IS NOT NULL \
         GROUP BY 1 ORDER BY 1"
    );
    let top = format!(
        "SELECT {kind}, count(*) {of} AND {between} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
    );
    let mut all = vec![rig.ask_plainly(&dau).await, rig.ask_plainly(&top).await];
    let since = rig.days_since(FROM);
    for (cohort, width) in [(false, 1), (false, 7), (true, 1), (true, 7)] {
        let first = format!(
            "SELECT {user} AS first_user {of} AND {user} IS NOT NULL \
             GROUP BY 1 HAVING min({since}) = 0"
        );
        let only = match cohort {
            true => format!("AND {user} IN ({first})"),
            false => String::new(),
        };
        let windows = format!(
            "SELECT {since} / {width}, count(DISTINCT {user}) {of} AND {user} IS NOT NULL \
             AND {since} >= 0 AND {since} < {} {only} GROUP BY 1 ORDER BY 1",
            3 * width
        );
        let mut cells = rig.ask_plainly(&windows).await;
        for row in &mut cells {
            let window: i32 = row[0].parse().unwrap();
            row[0] = format!("2026-01-{:02}", 2 + window * width);
        }
        all.push(cells);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_is_whole_and_ends_before_midnight() {
    let rig = Rig::embedded();
    let event = |id: &str, at: &str| Entry {
        id: id.to_owned(),
        at: at.to_owned(),
        body: json!({"user_id": id, "event_type": "login"}),
    };
    let events = [
        event("before", "2026-03-28T23:59:59.999Z"),
        event("first", "2026-03-29T00:00:00Z"),
        event("last", "2026-03-29T23:59:59.999Z"),
        event("after", "2026-03-30T00:00:00Z"),
    ];
    rig.keep("events", &events).await;
    let day = json!({
        "from": {"type": "date", "value": "2026-03-29"},
        "to": {"type": "date", "value": "2026-03-29"},
        "segment_field": {"type": "text", "value": null},
        "segment_value": {"type": "text", "value": null},
    });
    for _ in 0..2 {
        let answer = rig.ask("events", DAU, day.clone()).await.unwrap();
        assert_eq!(cells(&answer), [["2026-03-29", "2"]]);
        let by_time =
            "SELECT id FROM events WHERE at >= '2026-03-29' AND at < '2026-03-30' ORDER BY at";
        assert_eq!(rig.cells("events", by_time).await, [["first"], ["last"]]);
        rig.archive("2026-06-01T00:00:00Z").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_ships_for_transactions_counts() {
    let rig = Rig::embedded();
    let sent = |n: usize, from: &str| Entry {
        id: format!("0x{n}"),
        at: format!("2026-01-01T0{}:30:00Z", n % 3),
        body: json!({"from_address": from, "to_address": "0xb", "value_eth": 1.5, "gas_price_gwei": 30}),
    };
    let entries: Vec<Entry> = (0..9)
        .map(|n| sent(n, if n < 6 { "0xa" } else { "0xc" }))
        .collect();
    rig.keep("transactions", &entries).await;
    let ask = async |sql: &str| {
        let parameters = json!({
            "from": {"type": "date", "value": "2026-01-01"},
            "to": {"type": "date", "value": "2026-01-01"},
            "limit": {"type": "integer", "value": 1},
            "buckets": {"type": "integer", "value": 2},
        });
        cells(&rig.ask("transactions", sql, parameters).await.unwrap())
    };
    let decisions = ask(include_str!(
        "../../../../flows/stats/transactions-decisions.sql"
    ))
    .await;
    assert_eq!(decisions[2], ["2026-01-01T02:00:00Z", "HIGH", "3"]);
    let reasons = ask(include_str!(
        "../../../../flows/stats/transactions-reasons.sql"
    ))
    .await;
    assert_eq!(reasons, [["one", "9"]]);
    let senders = ask(include_str!(
        "../../../../flows/stats/transactions-senders.sql"
    ))
    .await;
    assert_eq!(senders, [["0xa", "6", "9.0", "0.9"]]);
    let scores = ask(include_str!(
        "../../../../flows/stats/transactions-scores.sql"
    ))
    .await;
    assert_eq!(scores, [["0.0", "0.5", "0"], ["0.5", "1.0", "9"]]);
}

/// Each is in the bucket whose bounds it is between, however a product of it is
/// rounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_score_is_counted_between_its_bounds() {
    let rig = Rig::embedded();
    let hundredths = (0..=100).map(|n| f64::from(n) / 100.0);
    let below = (1..=100).map(|n| (f64::from(n) / 100.0).next_down());
    let scores: Vec<f64> = hundredths.chain(below).collect();
    for (n, score) in scores.iter().enumerate() {
        let entry = Entry {
            id: format!("0x{n}"),
            at: "2026-01-01T00:30:00Z".to_owned(),
            body: json!({}),
        };
        rig.keep("transactions", &[entry]).await;
        let update = format!("UPDATE decisions SET score = {score:?} WHERE id = '0x{n}'");
        rig.run(&update).await;
    }
    // As they are there: the ledger may read a decimal otherwise.
    let scores = rig.ask_plainly("SELECT score FROM decisions").await;
    let scores: Vec<f64> = scores.iter().map(|row| row[0].parse().unwrap()).collect();
    let sql = include_str!("../../../../flows/stats/transactions-scores.sql");
    for buckets in [1_u32, 7, 10, 100] {
        let parameters = json!({
            "from": {"type": "date", "value": "2026-01-01"},
            "to": {"type": "date", "value": "2026-01-01"},
            "buckets": {"type": "integer", "value": buckets},
        });
        let counted = cells(&rig.ask("transactions", sql, parameters).await.unwrap());
        let bound = |n: u32| f64::from(n) / f64::from(buckets);
        let expected: Vec<u64> = (0..buckets)
            .map(|n| {
                let last = n + 1 == buckets;
                let inside = |score: &&f64| **score >= bound(n) && (last || **score < bound(n + 1));
                scores.iter().filter(inside).count() as u64
            })
            .collect();
        let counts: Vec<u64> = counted.iter().map(|row| row[2].parse().unwrap()).collect();
        assert_eq!(counts, expected, "{buckets} buckets");
        assert_eq!(counts.iter().sum::<u64>(), 201);
    }
}
