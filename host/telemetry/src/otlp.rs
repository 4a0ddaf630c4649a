//! Hands spans to an OpenTelemetry collector, over OTLP (HTTP, protobuf). What
//! is not said here, the SDK reads from the standard variables `OTEL_...`.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use opentelemetry::Key;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::runtime::{Runtime, RuntimeChannel, Tokio};
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::{info, warn};

use floodgate_flow::masked;
use floodgate_http::client::{connector, with_causes};
use floodgate_process::tasks::TRACES;

/// One of them names the collector; an empty one is as if it were not set.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// The longest that one request to the collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

const SERVICE_NAME: Key = Key::from_static_str("service.name");

/// `None` where nobody collects, or where it is switched off.
///
/// # Errors
/// Where the collector's address or another setting of it is not one.
pub(super) fn provider() -> anyhow::Result<Option<SdkTracerProvider>> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_switched_off() {
        return Ok(None);
    }
    let Some(variable) = ENDPOINTS.iter().find(|name| is_set(name)) else {
        return Ok(None);
    };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(HyperClient::new(connector(), TIMEOUT, None))
        .build()
        .map_err(|error| {
            anyhow!(
                "export traces: look at {variable} and the other variables \
                 OTEL_EXPORTER_OTLP_...: {}",
                without(&with_causes(&error), variable)
            )
        })?;
    let collector = Collector {
        exporter,
        away: AtomicBool::new(false),
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_span_processor(BatchSpanProcessor::builder(collector, Supervised).build());
    Ok(Some(provider.build()))
}

/// Masks the collector's URL, which may have a token in it.
fn without(text: &str, variable: &str) -> String {
    let url = std::env::var(variable).unwrap_or_default();
    masked::text(&text.replace(&url, "***"))
}

/// The SDK of this language leaves `OTEL_SDK_DISABLED` to us. By the
/// specification of these variables no other word than `true` counts.
fn is_switched_off() -> bool {
    let said = std::env::var("OTEL_SDK_DISABLED");
    said.is_ok_and(|said| said.eq_ignore_ascii_case("true"))
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, and where they say
/// nothing of it, `floodgate` as the service's name.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = said.get(&SERVICE_NAME).map(|name| name.to_string());
    // What the SDK calls a service of which nothing was said.
    let named = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let resource = Resource::builder();
    match named {
        true => resource.build(),
        false => resource.with_service_name("floodgate").build(),
    }
}

/// Starts the task of the SDK as one of the table of this process.
#[derive(Clone, Debug)]
struct Supervised;

impl Runtime for Supervised {
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        tokio::spawn(TRACES.run(task));
    }

    fn delay(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }
}

impl RuntimeChannel for Supervised {
    type Receiver<T: Debug + Send> = <Tokio as RuntimeChannel>::Receiver<T>;
    type Sender<T: Debug + Send> = <Tokio as RuntimeChannel>::Sender<T>;

    fn batch_message_channel<T: Debug + Send>(
        &self,
        capacity: usize,
    ) -> (Self::Sender<T>, Self::Receiver<T>) {
        Tokio.batch_message_channel(capacity)
    }
}

/// Says once that the collector is away, and once that it is back: the SDK
/// keeps to itself what becomes of its spans.
#[derive(Debug)]
struct Collector {
    exporter: opentelemetry_otlp::SpanExporter,
    away: AtomicBool,
}

impl SpanExporter for Collector {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        // A panic while some spans are exported loses only these, and no later ones.
        let taken = TRACES.survive(self.exporter.export(spans)).await;
        let panicked = || Err(OTelSdkError::InternalFailure("it panicked".to_owned()));
        let taken = taken.unwrap_or_else(panicked);
        match (&taken, self.away.swap(taken.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => warn!(
                error = masked::text(&error.to_string()),
                "collector takes no traces, they are dropped"
            ),
            (Ok(()), true) => info!("collector takes traces again"),
            _ => {}
        }
        taken
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
