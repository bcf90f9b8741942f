//! Who gets in (API keys, links), strict accounts, and what this instance is set to.

mod accounts;
mod instance;
mod keys;
mod links;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::{FieldError, PageQuery, Problem};
use ringback_core::Account;

use super::inputs::{Inputs, Mistakes};
use super::layout::{Section, page};
use super::parts::ROWS;
use super::posted::Fields;
use super::said::Asked;
use super::visitor::Visitor;
use super::{ROOT, parts};
use crate::Console;

const PATH: &str = "/settings";

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route(PATH, get(show))
        .route("/settings/keys/new", get(keys::form).post(keys::make))
        .route("/settings/keys/{id}/remove", get(keys::ask).post(keys::remove))
        .route("/settings/links/new", get(links::form).post(links::make))
        .route("/settings/accounts/new", get(accounts::form).post(accounts::make_strict))
        .route("/settings/accounts/{account}/lenient", post(accounts::make_lenient))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let after = query.take("cursor")?;
    query.end()?;
    let body = match visitor.caller.account() {
        Some(account) => accounts::own(&console, &visitor.caller, account).await?,
        None => {
            let asked = PageQuery { limit: ROWS, after };
            html! {
                div.settings {
                    (keys::list(&console, &visitor.caller, &asked).await?)
                    (links::card())
                    (accounts::list(&console, &visitor).await?)
                    (instance::cards(&console))
                }
            }
        }
    };
    Ok(page(
        &visitor,
        Section::Settings,
        "Settings",
        html! { div.head { h1 { "Settings" } } (body) },
    ))
}

/// A page with a form, below the settings.
fn form_page(visitor: &Visitor, title: &str, action: &str, form: Markup, does: &str) -> Markup {
    let settings = format!("{ROOT}{PATH}");
    let body = html! {
        p.crumbs { a href=(settings) { "Settings" } }
        div.head { h1 { (title) } }
        form.modest method="post" action={ (ROOT) (action) } {
            (parts::token(visitor))
            (form)
            div.actions {
                button.primary type="submit" { (does) }
                a.button href=(settings) { "Cancel" }
            }
        }
    };
    page(visitor, Section::Settings, title, body)
}

/// A page with something that is shown this once.
fn shown_once(visitor: &Visitor, title: &str, what: &str, hint: Markup) -> Response {
    let body = html! {
        p.crumbs { a href={ (ROOT) (PATH) } { "Settings" } }
        div.head { h1 { (title) } }
        div.banner.busy role="status" { p { strong { "Copy it now: it is not shown again." } } }
        div.card {
            pre #made { (what) }
            div.actions.below { button type="button" hidden data-copy="made" { "Copy" } }
        }
        (hint)
        p { a.button href={ (ROOT) (PATH) } { "Done" } }
    };
    page(visitor, Section::Settings, title, body).into_response()
}

/// The form once more, with what is wrong with it; what is not the form's fault goes on.
fn refused(problem: Problem, form: impl FnOnce(&Mistakes) -> Markup) -> Result<Response, Problem> {
    if problem.status() != StatusCode::UNPROCESSABLE_ENTITY {
        return Err(problem);
    }
    let mistakes = Mistakes::in_place(problem.errors());
    Ok((problem.status(), form(&mistakes)).into_response())
}

fn inputs<'a>(fields: &'a Fields, mistakes: &'a Mistakes) -> Inputs<'a> {
    Inputs { fields, mistakes, label_of: label }
}

fn label(field: &str) -> &'static str {
    match field {
        "opens" => "What it opens",
        "account" => "Account",
        "description" => "What it is for",
        "expires_in_seconds" => "Good for",
        _ => "This form",
    }
}

/// The fields that say what something opens.
fn whose_fields(inputs: &Inputs<'_>) -> Markup {
    let choices = [("account", "One account"), ("instance", "The whole instance")];
    html! {
        (inputs.choice("opens", "The whole instance is for those who look after it: all accounts, and these settings.", &choices))
        (inputs.text("account", "Of one account: its name, as in its events."))
    }
}

/// What [`whose_fields`] say: an account; none: the whole instance. Nobody opens all of it by leaving a field empty.
fn whose(fields: &Fields) -> Result<Option<Account>, Problem> {
    let account = fields.text("account").trim();
    let wrong = |detail: String| Problem::invalid(vec![FieldError::new("/account", detail)]);
    match fields.text("opens") {
        "instance" if account.is_empty() => Ok(None),
        "instance" => Err(wrong("leave it empty for the whole instance".to_owned())),
        _ if account.is_empty() => Err(wrong("say which".to_owned())),
        _ => account.parse().map(Some).map_err(|error| wrong(format!("{error}"))),
    }
}
