//! The route of ingest.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ringback_api::{Caller, Keys, Problem};
use utoipa::OpenApi;

use crate::accept::{Ingest, Submission};
use crate::wire::{Answer, Answers, NewEvent};

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
    #[openapi(paths(accept_events), components(schemas(NewEvent, Answer, Answers)))]
    struct Document;

    Document::openapi()
}

/// Accept one event, or an array of up to 1,000.
///
/// 202 is answered once the events are durable. The answers to an array stand in the array's order; events that are
/// wrong are rejected there, and the others are accepted. The same `id` twice for one account is one event: the second
/// answer says `"duplicate": true`. Ids and keys are remembered for 24 hours.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    request_body(content = NewEvent, description = "One event, or an array of up to 1,000"),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body: the first answer again")),
    responses(
        (status = 202, description = "Durable, and on its way", body = Answer),
        Problem,
    )
)]
async fn accept_events(
    State(Shared(ingest)): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    ringback_api::require_json(&headers)?;
    let body = ringback_api::read_body(&headers, body, BODY_BYTES_MAX).await?;
    let submission =
        Submission { caller: &caller, idempotency_key: idempotency_key(&headers)?, body: &body };
    let reply = ingest.accept(submission).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::ACCEPTED, json, reply.to_json()).into_response())
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
