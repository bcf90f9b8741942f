//! The route of ingest.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ringback_api::{Caller, Keys, Problem};
use ringback_core::TraceContext;
use ringback_metrics::Source;
use utoipa::OpenApi;

use crate::accept::{Form, Ingest, Submission};
use crate::cloud_event::{self, Attributes};
use crate::wire::{Answer, Answers, CloudEvent, NewEvent, NewEvents, OneOrSeveral};

/// The most that a request may have, however many events are in it: 16 MiB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone)]
struct Shared(Arc<Ingest>);

impl FromRef<Shared> for Arc<Keys> {
    fn from_ref(shared: &Shared) -> Self {
        shared.0.keys.clone()
    }
}

/// `POST /v1/events`.
pub fn router(ingest: Arc<Ingest>) -> Router {
    Router::new().route("/v1/events", post(accept_events)).with_state(Shared(ingest))
}

/// What [`router`] serves, described.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(accept_events), components(schemas(NewEvent, CloudEvent, Answer, Answers)))]
    struct Document;

    Document::openapi()
}

/// Accept one event, or an array of up to 1,000.
///
/// 202 is answered once the events are durable. The answers to an array stand in the array's order; events that are
/// wrong are rejected there, and the others are accepted. The same `id` twice for one account is one event: the second
/// answer says `"duplicate": true`. Ids and keys are remembered for 24 hours.
///
/// CloudEvents 1.0 are taken too: structured, as a batch, and binary, with the attributes in `ce-` headers.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    request_body(
        description = "One event, or an array of up to 1,000",
        content(
            (NewEvents = "application/json"),
            (CloudEvent = "application/cloudevents+json"),
            (Vec<CloudEvent> = "application/cloudevents-batch+json"),
        )
    ),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body: the first answer again"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context: the trace that goes on to the receivers"),
        ("tracestate" = Option<String>, Header, description = "The same: what tracing systems pass to each other"),
    ),
    responses(
        (status = 202, description = "Durable, and on its way", body = OneOrSeveral),
        Problem,
    )
)]
async fn accept_events(
    State(Shared(ingest)): State<Shared>,
    caller: Result<Caller, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let read = async {
        let (caller, form) = (caller?, form(&headers)?);
        let body = ringback_api::read_body(&headers, body, BODY_BYTES_MAX).await?;
        Ok((caller, form, body, idempotency_key(&headers)?))
    };
    let read = read.await.inspect_err(|problem| ingest.count_refused(problem, 1));
    let (caller, form, body, idempotency_key) = read?;
    let began = Instant::now();
    let trace = trace(&headers);
    let submission = Submission { caller: &caller, idempotency_key, body: &body, trace, form };
    let reply = ingest.accept(submission).await?;
    ingest.metrics.took(Source::Http, began.elapsed(), 1);
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::ACCEPTED, json, reply.to_json()).into_response())
}

/// How the body is written, say the headers.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    const TAKEN: &str = "application/json` or, with a CloudEvent, `application/cloudevents+json` or \
                         `application/cloudevents-batch+json";
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/cloudevents+json" => return Ok(Form::CloudEvent),
        "application/cloudevents-batch+json" => return Ok(Form::CloudEvents),
        other if other.starts_with("application/cloudevents") => {
            return Err(Problem::unsupported_media_type(TAKEN));
        }
        _ => {}
    }
    // One of them is enough to tell what was meant, and that others are missing.
    let is_binary = ["ce-specversion", "ce-type", "ce-source", "ce-id"]
        .iter()
        .any(|name| headers.contains_key(*name));
    if !is_binary {
        return ringback_api::require_json(headers).map(|()| Form::Plain);
    }
    // Without a body there is nothing that it could be the type of.
    if !media_type.is_empty() && !cloud_event::is_json(&media_type) {
        return Err(Problem::unsupported_media_type(TAKEN));
    }
    let attributes = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix("ce-")?, value.as_bytes())));
    Ok(Form::BinaryCloudEvent(Attributes::of_http(attributes)))
}

/// Where in a trace the request stands. One that says so twice says nothing; a list of states may be spread over several
/// headers.
fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (parent, None) = (parents.next()?, parents.next()) else { return None };
    let states: Option<Vec<_>> =
        headers.get_all("tracestate").iter().map(|value| value.to_str().ok()).collect();
    let state = states.filter(|states| !states.is_empty()).map(|states| states.join(","));
    TraceContext::parse(parent.to_str().ok()?.trim(), state.as_deref())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Problem::malformed(
            "the Idempotency-Key header is 1 to 255 visible ASCII characters",
        )),
    }
}
