//! `/healthz`, `/readyz` and `/openapi.json`: what needs no key.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ringback_worker::Ports;
use serde::Serialize;
use utoipa::openapi::{Info, OpenApi};

/// What stands in the way of doing the job.
#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    broker: String,
    store: String,
    idempotency: String,
}

pub(crate) fn router(ports: Ports) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/openapi.json", get(async || Json(openapi())))
        .with_state(ports)
}

async fn readiness(State(ports): State<Ports>) -> (StatusCode, Json<Readiness>) {
    let checks = Checks {
        broker: verdict(ports.broker.ready().await),
        store: verdict(ports.store.ready().await),
        idempotency: verdict(ports.idempotency.ready().await),
    };
    let all = [&checks.broker, &checks.store, &checks.idempotency];
    if all.iter().all(|check| *check == "ok") {
        (StatusCode::OK, Json(Readiness { status: "ready", checks }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not ready", checks }))
    }
}

fn verdict<E: std::error::Error>(checked: Result<(), E>) -> String {
    match checked {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{error}{cause}")
        }
    }
}

/// The whole API, put together from what each crate serves.
fn openapi() -> OpenApi {
    let mut whole = ringback_ingest::openapi();
    whole.merge(ringback_console::openapi());
    let mut info = Info::new("Ringback", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Delivers events to callbacks over HTTP, at least once. Errors are problem details (RFC 9457); lists come in \
         pages, newest first."
            .to_owned(),
    );
    whole.info = info;
    whole
}
