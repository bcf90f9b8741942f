//! A collector of traces, as OpenTelemetry's: takes OTLP over HTTP, and remembers what it was told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;

use crate::receiver::{Behaviour, Received, Receiver};

/// Listens on a port of its own until it is dropped.
pub struct Collector(Receiver);

/// A span as it was told. Ids are hexadecimal, as in a `traceparent`.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Its trace.
    pub trace: String,
    /// Its own id.
    pub span: String,
    /// The span above it; empty if there is none.
    pub parent: String,
    /// The `tracestate` of its trace.
    pub state: String,
    /// What was done.
    pub name: String,
    /// On whose behalf.
    pub kind: SpanKind,
    /// Whether it failed.
    pub failed: bool,
    /// How long it took.
    pub duration: Duration,
    /// What is known of it, and of the process that it comes from.
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start() -> anyhow::Result<Self> {
        Receiver::start().await.map(Self)
    }

    /// Its endpoint: what the setting `otlp_endpoint` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.0.url("")
    }

    /// Tells it what to do with what it is told from now on. It is remembered all the same.
    pub fn on_spans(&self, behaviour: impl Into<Behaviour>) {
        self.0.on("/v1/traces", behaviour);
    }

    /// All spans that it was told of.
    ///
    /// # Panics
    /// If it was told something else.
    #[must_use]
    pub fn spans(&self) -> Vec<Collected> {
        self.0.requests().iter().flat_map(spans).collect()
    }

    /// The spans, once there are so many.
    ///
    /// # Panics
    /// If there are not by the deadline.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Collected> {
        let what = format!("{count} spans");
        let enough = |requests: &[Received]| requests.iter().flat_map(spans).count() >= count;
        self.0.wait_until(&what, deadline, enough).await;
        self.spans()
    }

    /// Returns once it was told something, be it that it does not answer.
    ///
    /// # Panics
    /// If it was not by the deadline.
    pub async fn wait_for_request(&self, deadline: Duration) {
        self.0.wait_for(1, deadline).await;
    }
}

fn spans(request: &Received) -> Vec<Collected> {
    assert_eq!(request.uri.path(), "/v1/traces");
    assert_eq!(request.header("content-type"), "application/x-protobuf");
    let told = ExportTraceServiceRequest::decode(request.body.clone()).expect("OTLP");
    let of_resources = told.resource_spans.into_iter().flat_map(|of_resource| {
        let resource = of_resource.resource.unwrap_or_default().attributes;
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.map(move |span| collected(span, &resource)).collect::<Vec<_>>()
    });
    of_resources.collect()
}

fn collected(span: Span, resource: &[KeyValue]) -> Collected {
    let took = span.end_time_unix_nano.checked_sub(span.start_time_unix_nano);
    Collected {
        kind: span.kind(),
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        duration: Duration::from_nanos(took.expect("it ends after it began")),
        attributes: resource.iter().chain(&span.attributes).map(attribute).collect(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state,
        name: span.name,
    }
}

fn attribute(attribute: &KeyValue) -> (String, String) {
    let value = match attribute.value.clone() {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}
