//! Instance callbacks, for administrators: the list and the form of the callbacks.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::Markup;
use ringback_api::Problem;

use super::callbacks::list::{self, Reach};
use super::callbacks::{add_integration, adding_integration};
use super::posted::Posted;
use super::said::Asked;
use super::visitor::Visitor;
use crate::Console;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/integrations", get(show).post(add))
        .route("/integrations/new", get(adding))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    list::page(&console, &visitor, query, Reach::Instance).await
}

async fn adding(State(console): State<Console>, visitor: Visitor) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    Ok(adding_integration(&console, &visitor).await)
}

async fn add(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    visitor.require_administrator()?;
    add_integration(&console, &visitor, &fields).await
}
