//! Which call is served by which handler, and the document that says so.

use axum::Router;
use axum::routing::{delete, get, post};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::{Console, api_keys, callbacks, deliveries, events, live, pausing, wire};

/// Serves the management API. Unknown paths are for the whole server to answer.
pub fn router(console: Console) -> Router {
    Router::new()
        .route("/v1/callbacks", post(callbacks::create).get(callbacks::list))
        .route(
            "/v1/callbacks/{id}",
            get(callbacks::show)
                .put(callbacks::replace)
                .patch(callbacks::change)
                .delete(callbacks::remove),
        )
        .route("/v1/callbacks/{id}/pause", post(pausing::pause))
        .route("/v1/callbacks/{id}/resume", post(pausing::resume))
        .route("/v1/callbacks/{id}/secret", get(callbacks::secret))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::show))
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
        .route("/v1/attempts/live", get(live::attempts))
        .route("/v1/api-keys", post(api_keys::create).get(api_keys::list))
        .route("/v1/api-keys/{id}", delete(api_keys::remove))
        .with_state(console)
}

/// The OpenAPI 3.1 document of these calls.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("api_key", scheme);
    document
}

#[derive(OpenApi)]
#[openapi(
    paths(
        callbacks::create,
        callbacks::list,
        callbacks::show,
        callbacks::replace,
        callbacks::change,
        callbacks::remove,
        pausing::pause,
        pausing::resume,
        callbacks::secret,
        events::list,
        events::show,
        deliveries::list,
        deliveries::show,
        deliveries::retry,
        live::attempts,
        api_keys::create,
        api_keys::list,
        api_keys::remove,
    ),
    components(schemas(
        ringback_api::ProblemDetails,
        ringback_api::FieldError,
        wire::delivery::LiveAttemptAnswer
    )),
    security(("api_key" = [])),
)]
struct Document;
