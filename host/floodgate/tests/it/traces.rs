//! Traces, as a collector sees them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::host::{DEADLINE, Ground, Ground as Rig, Host, MISBEHAVING, Site, told_to};
use crate::metrics::told::until_told;
use crate::support::{eventually, eventually_some, request};

contract!([servers, embedded] {
    a_trace_runs_from_the_request_to_the_decision_and_to_the_fault,
    a_request_that_is_not_sampled_leaves_no_trace,
});

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// So that a test does not wait for the spans of a batch to be enough.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");

/// A collector of this process: what it was handed, by whom.
struct Collector {
    url: String,
    seen: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&seen)));
        Self { url, seen, serving }
    }

    fn spans(&self) -> Vec<Span> {
        let seen = self.seen.lock().unwrap();
        let resources = seen.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The span of this name in the trace, once it is there.
    async fn span(&self, trace: &str, name: &str) -> Span {
        let what = format!("{name} of {trace} was handed over");
        eventually_some(DEADLINE, &what, async || {
            let spans = self.spans().into_iter();
            let mut found =
                spans.filter(|span| hex::encode(&span.trace_id) == trace && span.name == name);
            found.next()
        })
        .await
    }

    fn services(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let resources = seen.iter().flat_map(|request| &request.resource_spans);
        let names = resources.map(|spans| {
            let resource = spans.resource.as_ref().unwrap();
            text(&resource.attributes, "service.name").unwrap()
        });
        names.collect()
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<ExportTraceServiceRequest>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let seen = Arc::clone(&seen);
        let collect = service_fn(move |request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                assert_eq!(request.uri().path(), "/v1/traces");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                seen.lock().unwrap().push(request);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), collect));
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let mut named = attributes.iter().filter(|attribute| attribute.key == name);
    match named.next()?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

fn trace(number: u64) -> String {
    format!("0af7651916cd43dd{number:016x}")
}

/// Posts it as part of a trace, under the span `b7ad6b7169203331`.
async fn post(host: &Host, trace: &str, flags: &str, body: &serde_json::Value) {
    let status = post_to(&host.url, trace, flags, body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

async fn post_to(url: &str, trace: &str, flags: &str, body: &serde_json::Value) -> StatusCode {
    let traceparent = format!("00-{trace}-b7ad6b7169203331-{flags}");
    let headers = [("traceparent", &*traceparent), ("x-request-id", "traced")];
    request("POST", url, &headers, body.to_string()).await.0
}

async fn start(ground: Ground, endpoint: &str) -> Host {
    let site = Site::on(ground)
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1");
    let host = Host::start_in(site, &[(ENDPOINT, endpoint), SOON]).await;
    host.accepted(&told_to(0, "high")).await;
    host
}

async fn a_trace_runs_from_the_request_to_the_decision_and_to_the_fault(ground: Ground) {
    let collector = Collector::start().await;
    let host = start(ground, &collector.url).await;
    post(&host, &trace(1), "01", &told_to(1, "high")).await;
    let served = collector.span(&trace(1), "POST /transactions").await;
    assert_eq!(hex::encode(&served.parent_span_id), "b7ad6b7169203331");
    assert_eq!(served.kind, i32::from(SpanKind::Server));
    let told = |name| text(&served.attributes, name).unwrap();
    assert_eq!(told("http.response.status_code"), "202");
    assert_eq!(told("floodgate.flow"), "transactions");
    assert_eq!(told("floodgate.request_id"), "traced");

    let decided = collector.span(&trace(1), "decide").await;
    assert_eq!(decided.parent_span_id, served.span_id);
    assert!(decided.start_time_unix_nano >= served.start_time_unix_nano);
    let told = |name| text(&decided.attributes, name).unwrap();
    assert_eq!(
        (told("floodgate.label"), told("floodgate.score")),
        ("HIGH".to_owned(), "0.9".to_owned())
    );
    eventually(DEADLINE, "a batch is linked to it", async || {
        let batches = collector
            .spans()
            .into_iter()
            .filter(|span| span.name == "batch");
        let mut links = batches.flat_map(|batch| batch.links);
        links.any(|link| (&link.trace_id, &link.span_id) == (&served.trace_id, &served.span_id))
    })
    .await;

    post(&host, &trace(2), "01", &told_to(2, "trap")).await;
    let failed = collector.span(&trace(2), "decide").await;
    assert_eq!(text(&failed.attributes, "floodgate.fault").unwrap(), "trap");
    let services = collector.services();
    assert!(!services.is_empty() && services.iter().all(|name| name == "floodgate"));
}

async fn a_request_that_is_not_sampled_leaves_no_trace(ground: Ground) {
    let collector = Collector::start().await;
    let mut host = start(ground, &collector.url).await;
    post(&host, &trace(1), "00", &told_to(1, "high")).await;
    post(&host, &trace(2), "01", &told_to(2, "high")).await;
    host.until_kept(3).await;
    // What is left is handed over before the process ends.
    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    let spans = collector.spans();
    let of = |trace: String| {
        let spans = spans.iter();
        spans
            .filter(|span| hex::encode(&span.trace_id) == trace)
            .count()
    };
    assert_eq!((of(trace(1)), of(trace(2))), (0, 2));
    let sql = "SELECT CAST(attributes AS TEXT) FROM decisions ORDER BY id";
    let traced: Vec<bool> = host
        .site
        .query(sql)
        .await
        .iter()
        .map(|row| row[0].contains("traceparent"))
        .collect();
    assert_eq!(
        traced,
        [true, false, true],
        "the first began a trace of its own"
    );
}

#[tokio::test]
async fn a_trace_goes_on_in_the_process_that_decides() {
    let collector = Collector::start().await;
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let env = |name| {
        [
            (ENDPOINT, &*collector.url),
            SOON,
            ("OTEL_SERVICE_NAME", name),
        ]
    };
    let mut front = site.serve_in("api", &[], &env("front"));
    let _worker = site.serve_in("worker", &[], &env("worker"));
    let url = format!("{}/transactions", front.url().await);
    eventually(DEADLINE, "it is accepted", async || {
        post_to(&url, &trace(1), "01", &told_to(1, "high")).await == StatusCode::ACCEPTED
    })
    .await;
    collector.span(&trace(1), "decide").await;
    eventually(DEADLINE, "both have a part in it", async || {
        let services = collector.services();
        ["front", "worker"]
            .iter()
            .all(|name| services.iter().any(|service| service == name))
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_is_away_is_said_once_and_hurts_nobody() {
    let mut host = start(Ground::servers().await, "http://127.0.0.1:1").await;
    let away = "collector takes no traces";
    for number in 1..=20 {
        post(&host, &trace(number), "01", &told_to(number, "high")).await;
        if number == 10 {
            eventually(DEADLINE, "it is said", async || {
                host.floodgate.stderr().contains(away)
            })
            .await;
        }
    }
    host.until_kept(21).await;
    host.floodgate.sigterm();
    assert_eq!(host.floodgate.wait_exit().await, 0);
    assert_eq!(host.floodgate.stderr().matches(away).count(), 1);
}

#[tokio::test]
async fn a_panic_over_some_spans_costs_these_and_no_later_ones() {
    let collector = Collector::start().await;
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let env = [
        (ENDPOINT, &*collector.url),
        SOON,
        ("FLOODGATE_PANIC_ON", "task:traces"),
    ];
    let host = Host::start_in(site, &env).await;
    let panics = "floodgate_task_panics_total{task=\"traces\"}";
    host.accepted(&told_to(1, "high")).await;
    until_told(&host.admin, &[(panics, 1.0)]).await;
    post(&host, &trace(2), "01", &told_to(2, "high")).await;
    collector.span(&trace(2), "decide").await;
}

#[tokio::test]
async fn what_is_no_address_of_a_collector_is_an_error_at_start() {
    let site = Site::new().await;
    let mut floodgate = site.serve_in("all", &[], &[(ENDPOINT, "not an address")]);
    assert_eq!(floodgate.wait_exit().await, 1);
    let error = floodgate.stderr();
    assert!(error.contains(ENDPOINT), "{error}");
}

#[tokio::test]
async fn without_a_collector_no_entry_carries_a_trace() {
    no_entry_carries_a_trace(&[]).await;
}

#[tokio::test]
async fn switched_off_it_is_as_if_nobody_collected() {
    let collector = Collector::start().await;
    let endpoint = (ENDPOINT, &*collector.url);
    no_entry_carries_a_trace(&[endpoint, SOON, ("OTEL_SDK_DISABLED", "True")]).await;
    assert_eq!(collector.spans(), []);
}

async fn no_entry_carries_a_trace(env: &[(&str, &str)]) {
    let site = Site::new().await.with_oracle(MISBEHAVING);
    let host = Host::start_in(site, env).await;
    host.accepted(&told_to(0, "high")).await;
    post(&host, &trace(1), "01", &told_to(1, "high")).await;
    host.until_kept(2).await;
    // What is beside it is there.
    let sql = "SELECT CAST(attributes AS TEXT) FROM decisions";
    let attributes = host.site.query(sql).await;
    let has = |name| attributes.iter().map(move |row| row[0].contains(name));
    assert_eq!(has("request-id").collect::<Vec<_>>(), [true; 2]);
    assert_eq!(has("traceparent").collect::<Vec<_>>(), [false; 2]);
}
