//! Which call is served by which handler, and the document that says so.

use axum::Router;
use axum::routing::{delete, get, post, put};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::{
    Console, accounts, again, api_keys, callbacks, cancelling, console_links, deliveries,
    event_types, events, live, pages, pausing, reference, registration, replays, rotation, sink,
    trial, wire,
};

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
        .route("/v1/callbacks/{id}/secret/rotate", post(rotation::rotate_secret))
        .route("/v1/callbacks/{id}/test", post(trial::test))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/events/{id}/cancel", post(cancelling::of_event))
        .route("/v1/events/{id}/replay", post(again::replay))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::show))
        .route("/v1/deliveries/{id}/cancel", post(cancelling::one))
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
        .route("/v1/replays", post(replays::create).get(replays::list))
        .route("/v1/replays/{id}", get(replays::show))
        .route("/v1/replays/{id}/cancel", post(replays::cancel))
        .route("/v1/attempts/live", get(live::attempts))
        .route("/v1/sink/log", get(sink::logged))
        .route("/api/callback/register", put(registration::register).get(registration::show))
        .route("/system.ashx", get(sink::take).post(sink::take))
        .route("/v1/api-keys", post(api_keys::create).get(api_keys::list))
        .route("/v1/api-keys/{id}", delete(api_keys::remove))
        .route("/v1/console-links", post(console_links::create))
        .route("/v1/event-types", get(event_types::list))
        .route(
            "/v1/event-types/{name}",
            get(event_types::show).put(event_types::put).delete(event_types::remove),
        )
        .route("/v1/catalog", get(event_types::export).put(event_types::import))
        .route("/v1/accounts/{account}", get(accounts::show).put(accounts::put))
        .route(reference::PATH, get(reference::page))
        .merge(pages::router(&console))
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
        rotation::rotate_secret,
        trial::test,
        events::list,
        events::show,
        cancelling::of_event,
        again::replay,
        deliveries::list,
        deliveries::show,
        cancelling::one,
        deliveries::retry,
        replays::create,
        replays::list,
        replays::show,
        replays::cancel,
        live::attempts,
        registration::register,
        registration::show,
        sink::take,
        sink::logged,
        api_keys::create,
        api_keys::list,
        api_keys::remove,
        console_links::create,
        event_types::list,
        event_types::show,
        event_types::put,
        event_types::remove,
        event_types::export,
        event_types::import,
        accounts::show,
        accounts::put,
    ),
    components(schemas(
        ringback_api::ProblemDetails,
        ringback_api::FieldError,
        wire::delivery::LiveAttemptAnswer
    )),
    security(("api_key" = [])),
)]
struct Document;
