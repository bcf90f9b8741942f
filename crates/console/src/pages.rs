//! The web console: pages for people, made on the server.
//!
//! Each page is a module with its handlers and its HTML. It asks the same functions as the API's handlers do, so that a page
//! can do nothing that the API refuses. Whatever is asked for here goes through [`visitor`] (who is it?), and whatever is
//! changed through [`posted`] (did this person's own page send it?). What goes wrong is a `Problem`, as in the API, and is
//! made a page on its way out ([`problem`]).
//!
//! Nothing needs script. `assets/script.js` adds the viewer's time zone, dialogs, live updates and copying.

// Who may, and what goes wrong.
mod posted;
mod problem;
mod signing_in;
mod visitor;

// What pages are made of.
mod assets;
mod chart;
mod filters;
mod inputs;
mod known;
mod lately;
mod layout;
mod live;
mod parts;
mod ready;
mod said;
mod span;
mod sure;
mod traffic;
mod waiting;

// The pages.
mod callback;
mod callbacks;
mod deliveries;
mod event_notification;
mod events;
mod failed;
mod integrations;
mod log;
mod overview;
mod reference;
mod replays;
mod settings;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Redirect;
use axum::routing::{get, post};
use ringback_api::Problem;

use crate::Console;

pub(crate) use inputs::once::ShownOnce;
pub(crate) use known::KnownCallbacks;
pub(crate) use lately::Lately;
pub(crate) use traffic::LastDay;
pub(crate) use visitor::new_token;
pub(crate) use waiting::{Late, Pending};

/// Where the pages are.
pub(crate) const ROOT: &str = "/console";

/// Serves the pages.
pub(crate) fn router(console: &Console) -> Router<Console> {
    let pages = Router::new()
        .route("/login", get(signing_in::form).post(signing_in::with_key))
        .route("/arrived", get(signing_in::arrived))
        .route("/enter/{token}", get(signing_in::link).post(signing_in::with_link))
        .route("/logout", post(signing_in::out))
        .route("/live", get(live::changes))
        .route(assets::STYLE.path, get(assets::style))
        .route(assets::SCRIPT.path, get(assets::script))
        .route(assets::ICON.path, get(assets::icon))
        .merge(overview::router())
        .merge(callbacks::router())
        .merge(callback::router())
        .merge(integrations::router())
        .merge(events::router())
        .merge(deliveries::router())
        .merge(failed::router())
        .merge(replays::router())
        .merge(event_notification::router())
        .merge(log::router())
        .merge(reference::router())
        .merge(settings::router())
        .route("/{*unknown}", get(unknown))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(console.clone(), problem::as_page))
        .layer(map_response(layout::with_headers));
    let to_root = async || Redirect::to(ROOT);
    Router::new().nest(ROOT, pages).route("/console/", get(to_root)).route("/", get(to_root))
}

async fn unknown() -> Problem {
    Problem::not_found("page")
}
