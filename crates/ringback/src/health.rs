//! `/healthz`, `/readyz`, `/metrics` and `/openapi.json`: what needs no key.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use ringback_core::Timestamp;
use ringback_worker::Ports;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

use crate::document::openapi;
use crate::process::Role;
use crate::scrapes::Scrapes;

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

/// What one look at the ports found: what is wrong with each, if anything is.
#[derive(Clone)]
pub(crate) struct Findings {
    pub(crate) broker: Result<(), String>,
    pub(crate) store: Result<(), String>,
    pub(crate) idempotency: Result<(), String>,
}

/// What was found last, and since when that is so.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) findings: Findings,
    /// Of broker, store and idempotency.
    pub(crate) since: [Timestamp; 3],
}

impl Standing {
    /// What was found at this moment, after what was before it.
    fn after(before: Option<&Self>, findings: Findings, now: Timestamp) -> Self {
        let mut since = [now; 3];
        if let Some(before) = before {
            let (is_up, was_up) = (findings.are_up(), before.findings.are_up());
            for (index, since) in since.iter_mut().enumerate() {
                if is_up[index] == was_up[index] {
                    *since = before.since[index];
                }
            }
        }
        Self { findings, since }
    }
}

impl Findings {
    /// Whether broker, store and idempotency are.
    fn are_up(&self) -> [bool; 3] {
        [self.broker.is_ok(), self.store.is_ok(), self.idempotency.is_ok()]
    }
}

pub(crate) fn router(checkup: Arc<Checkup>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || Json(openapi())))
        .with_state(checkup)
}

/// Looks at the ports at most once a second, whoever asks: a look costs a commit, and asking takes no key.
pub(crate) struct Checkup {
    role: Role,
    ports: Ports,
    last: Mutex<Option<(Instant, Findings)>>,
    standing: std::sync::Mutex<Option<Standing>>,
    scrapes: Scrapes,
}

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A port that says nothing for so long is not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// What these calls are, described.
pub(crate) fn described() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(health, readiness, metrics), components(schemas(Readiness)))]
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
    let findings = checkup.findings().await;
    let (status, readiness) = judge(checkup.role, &findings);
    (status, Json(readiness)).into_response()
}

/// What is counted, in Prometheus' text format: docs/metrics.md says what there is. It is written down once a second at
/// the most.
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"))
)]
async fn metrics(State(checkup): State<Arc<Checkup>>) -> Response {
    match checkup.scrapes.text().await {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, ringback_metrics::MEDIA_TYPE.to_owned()),
                // So that who reads can tell when it is broken off.
                (header::CONTENT_LENGTH, text.len().to_string()),
            ];
            (headers, Body::from_stream(text.pieces())).into_response()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no metrics can be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Checkup {
    pub(crate) fn new(role: Role, ports: Ports) -> Arc<Self> {
        let scrapes = Scrapes::of(ports.metrics.clone());
        let standing = std::sync::Mutex::default();
        Arc::new(Self { role, ports, last: Mutex::default(), standing, scrapes })
    }

    /// What a look at the ports finds, or found a moment ago.
    pub(crate) async fn findings(&self) -> Findings {
        let mut last = self.last.lock().await;
        if let Some((at, findings)) = &*last
            && at.elapsed() < CHECK_INTERVAL
        {
            return findings.clone();
        }
        let Ports { broker, store, idempotency, .. } = &self.ports;
        let (broker, store, idempotency) = tokio::join!(
            verdict(broker.ready()),
            verdict(store.ready()),
            verdict(idempotency.ready())
        );
        let findings = Findings { broker, store, idempotency };
        *last = Some((Instant::now(), findings.clone()));
        let mut standing = self.standing.lock().expect("nobody panics holding it");
        let now = self.ports.clock.now();
        *standing = Some(Standing::after(standing.as_ref(), findings.clone(), now));
        findings
    }

    /// What the last look found, without another one: the sampler looks every few seconds.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.standing.lock().expect("nobody panics holding it").clone()
    }
}

/// Without what it needs a process is not ready. Without what it can do without it is, and says what is missing.
fn judge(role: Role, findings: &Findings) -> (StatusCode, Readiness) {
    let Findings { broker, store, idempotency } = findings;
    let needed = match role {
        // An ingest lets those in whose keys it knows, without asking the store.
        Role::Ingest => vec![broker],
        // A console shows what there is while the queue is away; what needs it is refused one by one.
        Role::Console => vec![store],
        Role::All | Role::Worker => vec![broker, store],
    };
    let all = [broker, store, idempotency];
    let (status_code, status) = if !needed.iter().all(|check| check.is_ok()) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    } else if !all.iter().all(|check| check.is_ok()) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ready")
    };
    let said = |check: &Result<(), String>| match check {
        Ok(()) => "ok".to_owned(),
        Err(why) => why.clone(),
    };
    let [broker, store, idempotency] = all.map(said);
    (status_code, Readiness { status, checks: Checks { broker, store, idempotency } })
}

async fn verdict<E: std::error::Error>(
    check: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    let Ok(checked) = tokio::time::timeout(ANSWER_WITHIN, check).await else {
        return Err(format!("no answer within {ANSWER_WITHIN:?}"));
    };
    checked.map_err(|error| ringback_runtime::with_causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when_is_told_of_each_by_itself_and_changes_when_it_goes_and_comes() {
        let at = Timestamp::from_ms;
        let up = Findings { broker: Ok(()), store: Ok(()), idempotency: Ok(()) };
        let away = |why: &str| Findings { broker: Err(why.to_owned()), ..up.clone() };
        let first = Standing::after(None, up.clone(), at(1));
        let second = Standing::after(Some(&first), away("refused"), at(2));
        assert_eq!(second.since, [at(2), at(1), at(1)]);
        let third = Standing::after(Some(&second), away("silent"), at(3));
        assert_eq!(third.since, [at(2), at(1), at(1)], "it is away as before");
        assert_eq!(Standing::after(Some(&third), up, at(4)).since, [at(4), at(1), at(1)]);
    }
}
