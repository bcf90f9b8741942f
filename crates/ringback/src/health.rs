//! `/healthz`, `/readyz` and `/openapi.json`: what needs no key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use ringback_worker::Ports;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::document::openapi;
use crate::process::Role;

/// What stands in the way of doing the job.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready`; `degraded`: at work, but something is missing; `not ready`.
    status: &'static str,
    checks: Checks,
}

/// `ok`, or what is wrong.
#[derive(Serialize, ToSchema)]
struct Checks {
    broker: String,
    store: String,
    idempotency: String,
}

pub(crate) fn router(role: Role, ports: Ports) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/openapi.json", get(async || Json(openapi())))
        .with_state(Arc::new(Checkup { role, ports, last: Mutex::default() }))
}

/// Looks at the ports at most once a second, whoever asks: a look costs a commit, and asking takes no key.
struct Checkup {
    role: Role,
    ports: Ports,
    last: Mutex<Option<(Instant, StatusCode, String)>>,
}

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What these calls are, described.
pub(crate) fn described() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(health, readiness), components(schemas(Readiness)))]
    struct Document;

    Document::openapi()
}

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It is", body = String))
)]
async fn health() -> &'static str {
    "ok\n"
}

/// Whether it can do its job, and if not, what is missing.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It can; `degraded`: all the same", body = Readiness),
        (status = 503, description = "It can't", body = Readiness)
    )
)]
async fn readiness(State(checkup): State<Arc<Checkup>>) -> Response {
    let mut last = checkup.last.lock().await;
    let (status, body) = match &*last {
        Some((at, status, body)) if at.elapsed() < CHECK_INTERVAL => (*status, body.clone()),
        _ => {
            let (status, readiness) = check(checkup.role, &checkup.ports).await;
            let body = serde_json::to_string(&readiness).expect("texts always serialize");
            *last = Some((Instant::now(), status, body.clone()));
            (status, body)
        }
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Without what it needs a process is not ready. Without what it can do without it is, and says what is missing.
async fn check(role: Role, ports: &Ports) -> (StatusCode, Readiness) {
    let checks = Checks {
        broker: verdict(ports.broker.ready().await),
        store: verdict(ports.store.ready().await),
        idempotency: verdict(ports.idempotency.ready().await),
    };
    let needed = match role {
        // An ingest lets those in whose keys it knows, without asking the store.
        Role::Ingest => vec![&checks.broker],
        Role::All | Role::Worker | Role::Console => vec![&checks.broker, &checks.store],
    };
    let all = [&checks.broker, &checks.store, &checks.idempotency];
    let is_ok = |check: &&String| *check == "ok";
    if !needed.iter().all(is_ok) {
        (StatusCode::SERVICE_UNAVAILABLE, Readiness { status: "not ready", checks })
    } else if !all.iter().all(is_ok) {
        (StatusCode::OK, Readiness { status: "degraded", checks })
    } else {
        (StatusCode::OK, Readiness { status: "ready", checks })
    }
}

fn verdict<E: std::error::Error>(checked: Result<(), E>) -> String {
    match checked {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let mut said = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                let _writing_to_a_string_does_not_fail = write!(said, ": {error}");
                cause = error.source();
            }
            said
        }
    }
}
