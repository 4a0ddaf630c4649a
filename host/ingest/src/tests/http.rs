use super::*;
use crate::Hindered;
use floodgate_flow::FlowName;

#[tokio::test]
async fn an_admitted_transaction_is_answered_as_the_contract_says() {
    let front = Front::start().await;
    for (number, path) in [(1, "/transactions"), (2, "/transactions/")] {
        let mut request = post(body(number));
        *request.uri_mut() = path.parse().unwrap();
        let answer = front.send(request).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("idempotent-replayed"), None);
        let expected = format!(
            r#"{{"status":"accepted","tx_hash":"{}","message":"Transaction queued for processing"}}"#,
            hash(number)
        );
        assert_eq!(answer.body, expected);
        assert_eq!(
            front.backbone.entry(&hash(number)).unwrap().body,
            body(number)
        );
    }
}

#[tokio::test]
async fn an_upper_case_hash_is_the_same_transaction_and_the_rest_is_kept() {
    let front = Front::start().await;
    let lower = body(0xab).replace("12.5", "1.250e1 ");
    let upper = lower.replace(&hash(0xab)[60..], &hash(0xab)[60..].to_uppercase());
    assert_ne!(upper, lower);
    let answer = front.post(upper).await;
    let reply: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(reply["tx_hash"], hash(0xab));
    assert_eq!(front.backbone.entry(&hash(0xab)).unwrap().body, lower);
    let again = front.post(lower).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn the_same_body_again_is_answered_as_the_first_time() {
    let front = Front::start().await;
    let first = front.post(body(1)).await;
    let again = front.post(body(1)).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(front.backbone.len(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_id_is_a_conflict() {
    let front = Front::start().await;
    front.post(body(1)).await;
    let answer = front.post(body(1).replace("12.5", "13.5")).await;
    assert_eq!(answer.status, 409);
    assert!(answer.detail().contains("the first one stands"));
    assert_eq!(front.backbone.entry(&hash(1)).unwrap().body, body(1));
}

#[tokio::test]
async fn a_body_that_is_not_json_we_can_keep_is_400() {
    let front = Front::start().await;
    let twice = body(1).replace(r#""value_eth""#, r#""timestamp":1,"value_eth""#);
    let nul = body(1).replace(r#""0x""#, r#""\u0000""#);
    let deep = "[".repeat(1000);
    let huge = body(1).replace("12.5", "1e999");
    for bad in ["", "{", "nonsense", &twice, &nul, &deep, &huge] {
        let answer = front.post(bad.to_owned()).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.detail().ends_with("nothing was queued"));
        assert!(!answer.detail().contains("nonsense"));
    }
    let latin1 = body(1).replace("0x\"", "\u{e9}\"");
    let latin1: Vec<u8> = latin1.chars().map(|char| char as u8).collect();
    assert_eq!(front.post(latin1).await.status, 400);
    assert!(front.backbone.groups().is_empty(), "nothing was queued");
}

#[tokio::test]
async fn a_body_that_does_not_satisfy_the_schema_is_422_with_pointers() {
    let front = Front::start().await;
    let bad = r#"{"value_eth": -1, "tx_hash": "secret", "gas_price_gwei": 1.5, "timestamp": "now",
        "from_address": null, "to_address": "0x12", "input_data": "0x"}"#;
    let answer = front.post(bad).await;
    assert_eq!(answer.status, 422);
    let problem = answer.problem();
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    let mut once = pointers.clone();
    once.dedup();
    let expected = [
        "/value_eth",
        "/tx_hash",
        "/gas_price_gwei",
        "/timestamp",
        "/from_address",
        "/to_address",
    ];
    assert_eq!(once, expected);
    assert!(errors.iter().all(|error| error["message"].is_string()));
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test]
async fn every_member_of_a_transaction_is_required_and_others_are_kept() {
    let front = Front::start().await;
    let whole = transaction(1);
    for key in whole.as_object().unwrap().keys() {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(key);
        let answer = front.post(part.to_string()).await;
        assert_eq!(answer.status, 422, "{key}");
        assert_eq!(answer.problem()["errors"][0]["pointer"], "");
    }
    let more = body(1).replacen('{', r#"{"extra":[1],"#, 1);
    assert_eq!(front.post(more.clone()).await.status, 202);
    assert_eq!(front.backbone.entry(&hash(1)).unwrap().body, more);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let front = Front::start().await;
    for path in [
        "/",
        "//",
        "/transaction",
        "/transactions//",
        "/transactions/1",
        "/Transactions",
    ] {
        let answer = front.send(request("POST", path)).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.problem();
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "BREW"] {
        let answer = front.send(request(method, "/transactions")).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
        answer.problem();
    }
    let head = front.send(request("HEAD", "/transactions")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (405, 0));
    let options = front.send(request("OPTIONS", "/transactions")).await;
    assert_eq!((options.status.as_u16(), options.body.len()), (204, 0));
    assert_eq!(options.header("allow"), Some("POST, OPTIONS"));
}

#[tokio::test]
async fn a_body_must_be_json_by_its_type() {
    let front = Front::start().await;
    for (name, value, status) in [
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("content-encoding", "gzip", 415),
        ("content-type", "application/json; charset=utf-8", 202),
        ("content-type", "application/cloudevents+json", 202),
        ("idempotency-key", "anything", 202),
        ("idempotency-key", "any thing", 400),
    ] {
        let mut request = post(body(1));
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = front.send(request).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_413() {
    let front = Front::start().await;
    let limit = 64 << 10;
    let padded = |size: usize| {
        let body = body(1);
        let padding = " ".repeat(size - body.len());
        body + &padding
    };
    assert_eq!(front.post(padded(limit)).await.status, 202);
    let answer = front.post(padded(limit + 1)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.detail().contains("64.0 KiB"), "{}", answer.detail());
}

#[tokio::test]
async fn a_full_backlog_is_503_with_the_time_to_come_back() {
    let front = Front::start().await;
    front.post(body(1)).await;
    front.backbone.set_full(true);
    let answer = front.post(body(2)).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    assert!(answer.detail().contains("sending it again is safe"));
    assert_eq!(
        front.post(body(1)).await.status,
        202,
        "what is in stays accepted"
    );
    front.backbone.set_full(false);
    assert_eq!(front.post(body(2)).await.status, 202);
}

#[tokio::test]
async fn a_backbone_that_is_away_is_503_until_it_is_back() {
    let front = Front::start().await;
    front.backbone.set_away(true);
    for number in 0..3 {
        let answer = front.post(body(number)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.detail().contains("sending it again is safe"));
    }
    front.backbone.set_away(false);
    assert_eq!(front.post(body(0)).await.status, 202);
}

#[tokio::test]
async fn a_flow_that_waits_for_its_oracle_is_503_until_it_is_there() {
    let front = Front::start().await;
    let flow = FlowName::new("transactions");
    let missing = Hindered::Waiting("mempool-risk".to_owned());
    for (by, code) in [(missing, "waiting"), (Hindered::Held, "held")] {
        front.ingest.hinder(&flow, Some(by));
        let answer = front.post(body(1)).await;
        assert_eq!(answer.status, 503);
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["type"], format!("urn:floodgate:problem:{code}"));
        assert!(answer.header("retry-after").is_some());
    }
    front.ingest.hinder(&flow, None);
    assert_eq!(front.post(body(1)).await.status, 202);
}

#[tokio::test]
async fn healthz_names_the_part_that_is_away() {
    let front = Front::start().await;
    let well = front.send(request("GET", "/healthz")).await;
    assert_eq!(well.status, 200);
    assert_eq!(well.body, r#"{"status":"ok","redis":"ok","postgres":"ok"}"#);
    let head = front.send(request("HEAD", "/healthz")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(front.send(request("POST", "/healthz")).await.status, 405);
    front.backbone.set_away(true);
    let ill = front.send(request("GET", "/healthz/")).await;
    assert_eq!(ill.status, 503);
    assert_eq!(
        ill.body,
        r#"{"status":"degraded","redis":"error","postgres":"ok"}"#
    );
}
