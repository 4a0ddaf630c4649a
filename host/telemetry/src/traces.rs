//! The spans of traces, from a request to the decision on its entries. They
//! are made only where somebody collects them: otherwise nobody is interested
//! in their target, and making one costs as much as looking at a flag.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::{HeaderMap, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TracerProvider};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::field::Empty;
use tracing::{Level, Span, Subscriber, info_span, span_enabled};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use floodgate_flow::{Flow, FlowName, StreamId, TRACEPARENT};

/// Of all spans that are collected, and of nothing that is logged.
pub(super) const TARGET: &str = "floodgate::traces";

pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("floodgate"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(filter_fn(|metadata| {
            metadata.is_span() && metadata.target() == TARGET
        }))
}

/// Whether anybody collects.
pub fn are_collected() -> bool {
    span_enabled!(target: TARGET, Level::INFO)
}

/// Of a request to a flow; its parent is what the client says.
pub fn request(headers: &HeaderMap, flow: &Flow, request_id: &str) -> Span {
    let path = &*flow.admit.path;
    let span = info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = %format_args!("POST {path}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = path,
        http.response.status_code = Empty,
        floodgate.flow = %flow.name,
        floodgate.request_id = request_id,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        // It fails only on a span that has begun.
        let _set = span.set_parent(parent);
    }
    span
}

/// Notes what a request was answered with.
pub fn answered(span: &Span, status: StatusCode) {
    // The layer knows no unsigned numbers, and would make a text of it.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// What says of an entry that it came from this span. `None` where nobody
/// collects, or where the trace is not among those that are sampled.
pub fn traceparent(span: &Span) -> Option<Arc<str>> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut fields = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut fields);
    fields.remove(TRACEPARENT).map(Arc::from)
}

/// Where an entry came from, by its attribute `traceparent`. `None` where
/// that is none, or is not sampled.
pub fn origin(traceparent: &str) -> Option<SpanContext> {
    let fields = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &fields);
    let origin = context.span().span_context().clone();
    (origin.is_valid() && origin.is_sampled()).then_some(origin)
}

/// Of one attempt at an entry, from when it is judged until it is settled.
pub fn attempt(
    flow: &FlowName,
    stream_id: StreamId,
    request_id: Option<&str>,
    origin: SpanContext,
) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "decide",
        otel.kind = "consumer",
        otel.status_code = Empty,
        floodgate.flow = %flow,
        floodgate.stream_id = %stream_id,
        floodgate.request_id = request_id,
        floodgate.label = Empty,
        floodgate.score = Empty,
        floodgate.fault = Empty,
    );
    let parent = Context::new().with_remote_span_context(origin);
    let _set = span.set_parent(parent);
    span
}

/// Of a batch, linked to the requests that its entries came with.
pub fn batch(flow: &FlowName, size: usize, origins: &[SpanContext]) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "batch",
        otel.kind = "consumer",
        floodgate.flow = %flow,
        floodgate.entries = size as i64,
    );
    for origin in origins {
        span.add_link(origin.clone());
    }
    span
}
