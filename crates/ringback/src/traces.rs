//! Traces on their way to a collector, by OTLP over HTTP.
//!
//! The only place that knows OpenTelemetry's types. **Invariant:** nothing that is delivered waits for a collector. Spans
//! that can't be sent in time are lost, and that is said once for each stretch of losses.

mod post;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use ringback_core::secret::Secret;
use ringback_core::trace::Sampling;
use ringback_runtime::Shutdown;
use ringback_runtime::trace::{self, FinishedSpan, FinishedSpans, Ratio, Tracer, Value};
use url::Url;

use self::post::Post;
use crate::process::Role;

/// Spans of one request to the collector.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long one request to the collector may take, tries again after a failure included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last spans may take when the process stops: after whoever made them has used up most of its grace.
const FLUSH: Duration = Duration::from_secs(1);

/// Where traces go, and how many.
#[derive(Debug)]
pub(crate) struct TraceSettings {
    endpoint: Secret,
    ratio: Ratio,
}

/// The setting is not the URL of a collector. What was given is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "an http or https URL of a collector that takes OTLP over HTTP, such as http://localhost:4318"
)]
pub(crate) struct InvalidEndpoint;

/// Takes spans to the collector.
pub(crate) struct Exporter {
    spans: FinishedSpans,
    collector: SpanExporter,
    post: Post,
    scope: InstrumentationScope,
}

impl TraceSettings {
    /// Traces to this collector. `/v1/traces` is added to its path where it does not end so.
    ///
    /// # Errors
    /// [`InvalidEndpoint`].
    pub(crate) fn to(endpoint: &str, ratio: Ratio) -> Result<Self, InvalidEndpoint> {
        let mut url: Url = endpoint.parse().map_err(|_| InvalidEndpoint)?;
        let is_well = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_well {
            return Err(InvalidEndpoint);
        }
        let path = url.path().trim_end_matches('/');
        if !path.ends_with("/v1/traces") {
            let path = format!("{path}/v1/traces");
            url.set_path(&path);
        }
        Ok(Self { endpoint: Secret::new(String::from(url)), ratio })
    }
}

impl Exporter {
    /// Begins to take in spans; they are sent once it [runs](Self::run).
    ///
    /// # Errors
    /// If the certificates to trust can't be read, or the environment asks OpenTelemetry for something it can't do.
    pub(crate) fn new(
        settings: &TraceSettings,
        role: Role,
        ca_files: &[std::path::PathBuf],
    ) -> anyhow::Result<(Tracer, Self)> {
        let (tracer, spans) = Tracer::on(settings.ratio);
        let url: Url = settings.endpoint.reveal().parse().expect("it was checked");
        let post = Post::to(url, TIMEOUT, ca_files)?;
        let mut collector = SpanExporter::builder()
            .with_http()
            .with_http_client(post.clone())
            .with_endpoint(post.shown())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .build()
            .context("otlp_endpoint")?;
        collector.set_resource(&resource(role));
        let version = env!("CARGO_PKG_VERSION");
        let scope = InstrumentationScope::builder("ringback").with_version(version).build();
        Ok((tracer, Self { spans, collector, post, scope }))
    }

    /// Sends spans until nobody makes any more, and then the last ones for as long as [`FLUSH`] allows.
    ///
    /// # Errors
    /// None: without a collector spans are lost, and nothing else is.
    pub(crate) async fn run(mut self, unneeded: Shutdown) -> Result<(), std::convert::Infallible> {
        let out_of_patience = async {
            unneeded.requested().await;
            tokio::time::sleep(FLUSH).await;
        };
        let all_sent = async {
            while let Some(batch) = self.gather(&unneeded).await {
                self.send(batch).await;
            }
        };
        tokio::select! {
            () = all_sent => {}
            () = out_of_patience => {
                tracing::info!("the last traces were not taken in time, and are lost");
            }
        }
        Ok(())
    }

    /// The next spans, as soon as there are many or the first has waited; none: there won't be any more.
    async fn gather(&mut self, unneeded: &Shutdown) -> Option<Vec<FinishedSpan>> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        tokio::select! {
            biased;
            () = self.spans.next(&mut batch, BATCH_MAX) => {}
            () = unneeded.requested() => return None,
        }
        let more = async {
            while batch.len() < BATCH_MAX {
                let room = BATCH_MAX - batch.len();
                self.spans.next(&mut batch, room).await;
            }
        };
        tokio::select! {
            biased;
            () = more => {}
            () = tokio::time::sleep(GATHER) => {}
            () = unneeded.requested() => {}
        }
        Some(batch)
    }

    async fn send(&mut self, batch: Vec<FinishedSpan>) {
        let lost = self.spans.lost();
        if lost > 0 {
            self.post.tell_lost(lost);
        }
        let count = batch.len() as u64;
        let batch = batch.into_iter().map(|span| span_data(span, &self.scope)).collect();
        // Why not is told where it was found out.
        if self.collector.export(batch).await.is_err() {
            self.post.tell_lost(count);
        }
    }
}

fn resource(role: Role) -> Resource {
    let text = |name: &'static str, value: String| KeyValue::new(name, value);
    Resource::builder_empty()
        .with_attributes([
            text("service.name", "ringback".to_owned()),
            text("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            text("service.instance.id", instance()),
            text("ringback.role", role.name().to_owned()),
        ])
        .build()
}

/// Tells one process from another of the same role.
fn instance() -> String {
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}

fn span_data(span: FinishedSpan, scope: &InstrumentationScope) -> SpanData {
    let context = &span.context;
    let flags = match context.sampling() {
        Sampling::Recorded => TraceFlags::SAMPLED,
        Sampling::PassedOn => TraceFlags::NOT_SAMPLED,
    };
    let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok());
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(context.trace.bytes()),
            SpanId::from_bytes(context.span.bytes()),
            flags,
            false,
            state.unwrap_or_default(),
        ),
        parent_span_id: span
            .parent
            .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.bytes())),
        // An event's way is: producer, queue, worker.
        parent_span_is_remote: span.parent.is_some(),
        span_kind: match span.kind {
            trace::SpanKind::Server => SpanKind::Server,
            trace::SpanKind::Consumer => SpanKind::Consumer,
            trace::SpanKind::Client => SpanKind::Client,
        },
        name: span.name.into(),
        start_time: span.started_at,
        end_time: span.started_at + span.duration,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        // What went wrong stands in `error.type`; the history has the rest.
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_a_collector_and_its_path_is_completed() {
        let to = |endpoint: &str| {
            TraceSettings::to(endpoint, Ratio::ALL).map(|it| it.endpoint.reveal().to_owned())
        };
        for (given, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://u:p@c.example/otlp/", "https://u:p@c.example/otlp/v1/traces"),
            ("https://c.example/v1/traces", "https://c.example/v1/traces"),
        ] {
            assert_eq!(to(given).expect("a collector"), expected);
        }
        for bad in ["localhost:4318", "grpc://localhost:4317", "http://", "http://h/?a=1", "x"] {
            assert!(to(bad).is_err(), "{bad}");
        }
    }
}
