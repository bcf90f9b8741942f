//! Callbacks: the list, the form, and what can be done to one.

mod actions;
mod fields;
mod form;
pub(super) mod list;
mod preview;
mod secret;
mod trial;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::{FieldError, PathId, Problem};
use ringback_core::{Callback, CallbackId};
use serde_json::json;

use self::form::{Form, PURPOSE, Purpose};
use self::list::Reach;
use super::inputs::{AS_OF, Mistakes, once};
use super::layout::Section;
use super::parts::name_of;
use super::posted::{Fields, Posted};
use super::said::{Asked, Said};
use super::visitor::Visitor;
use crate::callbacks::{checked, make, own, update, with_settings};
use crate::state::Console;
use crate::wire::callback::CallbackSettings;
use crate::wire::settings::Rules;

pub(super) use actions::actions;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/callbacks", get(show).post(add))
        .route("/callbacks/new", get(adding))
        .route("/callbacks/preview", post(preview))
        .route("/callbacks/{id}/edit", get(editing).post(save))
        .merge(actions::router())
        .merge(secret::router())
        .merge(trial::router())
}

/// Which part of the console a callback belongs to.
pub(super) fn section_of(callback: &Callback) -> Section {
    if callback.account.is_some() { Section::Callbacks } else { Section::Integrations }
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    list::page(&console, &visitor, query, Reach::Account).await
}

async fn adding(State(console): State<Console>, visitor: Visitor) -> Markup {
    blank(&console, &visitor, Purpose::Callback).await
}

/// The form of a new callback, with what is taken unless something else is said.
pub(super) async fn adding_integration(console: &Console, visitor: &Visitor) -> Markup {
    blank(console, visitor, Purpose::Integration).await
}

async fn blank(console: &Console, visitor: &Visitor, purpose: Purpose) -> Markup {
    let defaults = json!({ "url": "" });
    let defaults: CallbackSettings =
        serde_json::from_value(defaults).expect("all other members have a default");
    show_settings(console, visitor, &purpose, &defaults).await
}

async fn editing(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let settings = CallbackSettings::of(&callback);
    let purpose = Purpose::Change(Box::new(callback));
    Ok(show_settings(&console, &visitor, &purpose, &settings).await)
}

async fn show_settings(
    console: &Console,
    visitor: &Visitor,
    purpose: &Purpose,
    settings: &CallbackSettings,
) -> Markup {
    let fields = fields::of(settings, console.reference.types().await.catalog());
    show_typed(console, visitor, purpose, &fields, &Mistakes::default()).await
}

async fn show_typed(
    console: &Console,
    visitor: &Visitor,
    purpose: &Purpose,
    fields: &Fields,
    mistakes: &Mistakes,
) -> Markup {
    let types = console.reference.types().await;
    let rules = Rules { address_policy: &console.address_policy };
    let now = console.clock.now();
    Form { visitor, purpose, fields, mistakes, catalog: types.catalog(), rules: &rules, now }.page()
}

async fn add(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    make_of(&console, &visitor, Purpose::Callback, &fields).await
}

/// Makes a callback of what was typed, or shows the form again with what is wrong.
pub(super) async fn add_integration(
    console: &Console,
    visitor: &Visitor,
    fields: &Fields,
) -> Result<Response, Problem> {
    make_of(console, visitor, Purpose::Integration, fields).await
}

async fn make_of(
    console: &Console,
    visitor: &Visitor,
    purpose: Purpose,
    fields: &Fields,
) -> Result<Response, Problem> {
    let (mut settings, mut wrong) = fields::settings(fields, None);
    settings.account = account(visitor, &purpose, fields);
    if matches!(purpose, Purpose::Callback) && settings.account == Some(None) {
        wrong.push(FieldError::new("/account", NO_ACCOUNT));
    }
    let id = id(console, visitor, fields, &settings)?;
    let made = match wrong.is_empty() {
        true => make(console, &visitor.caller, id, &settings).await,
        false => Err(besides(wrong, checked(console, &visitor.caller, id, &settings))),
    };
    match refused(made, &settings)? {
        Ok(callback) => Ok(saved(&callback, Said::CallbackAdded, Said::CallbackAddedForAll)),
        Err(mistakes) => Ok(again(console, visitor, &purpose, fields, &mistakes).await),
    }
}

/// What is said of a callback of nobody's: one of all accounts gets what is everybody's, and is not made by leaving a field
/// empty.
const NO_ACCOUNT: &str = "Name the account. For all accounts, add an integration.";

/// What settings have no room for, with what is wrong with the rest of them: all of it is told at once.
fn besides(mut wrong: Vec<FieldError>, checked: Result<Callback, Problem>) -> Problem {
    match checked {
        Err(problem) if problem.status() != StatusCode::UNPROCESSABLE_ENTITY => problem,
        checked => {
            wrong.extend(checked.err().map(Problem::into_field_errors).unwrap_or_default());
            Problem::invalid(wrong)
        }
    }
}

/// The id of the callback that this form makes, however often it is sent.
fn id(
    console: &Console,
    visitor: &Visitor,
    fields: &Fields,
    settings: &CallbackSettings,
) -> Result<CallbackId, Problem> {
    let settings = serde_json::to_string(settings).expect("texts and numbers always serialize");
    // The settings mask them.
    let [password, token, value, key] = fields::SECRETS.map(|name| fields.text(name));
    let made = [&*settings, password, token, value, key];
    let (at, random) = once::parts(visitor, fields, &made, console.clock.now())?;
    Ok(CallbackId::from_parts(at, random))
}

/// Whose callback is asked for: an account's visitor has no choice.
fn account(visitor: &Visitor, purpose: &Purpose, fields: &Fields) -> Option<Option<String>> {
    let typed = fields.text("account").trim();
    match purpose {
        Purpose::Integration => Some(None),
        _ if !visitor.is_administrator() => None,
        _ => Some((!typed.is_empty()).then(|| typed.to_owned())),
    }
}

async fn save(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, mut fields }: Posted,
) -> Result<Response, Problem> {
    let stored = own(&console, &visitor.caller, id).await?;
    let (settings, wrong) = fields::settings(&fields, Some(&stored));
    let as_of = fields.text(AS_OF);
    let changed = match wrong.is_empty() {
        true => {
            let changed = update(&console, &visitor.caller, id, |stored| {
                if stored.updated_at.to_string() == as_of {
                    return Ok(settings.clone());
                }
                Err(Problem::conflict(CHANGED))
            });
            changed.await
        }
        false => {
            let at = stored.updated_at;
            Err(besides(wrong, with_settings(&console, &stored, at, &settings)))
        }
    };
    let is_late = changed.as_ref().is_err_and(|problem| problem.detail() == CHANGED);
    let changed = match is_late {
        true => Err(Mistakes::default()),
        false => refused(changed, &settings)?,
    };
    match changed {
        Ok(callback) => Ok(saved(&callback, Said::CallbackSaved, Said::CallbackSavedForAll)),
        Err(mut mistakes) => {
            let stored = own(&console, &visitor.caller, id).await?;
            if is_late {
                // Who saves again has been told: that form is of the callback as it is by now.
                fields = fields.without(AS_OF);
                let said = changed_meanwhile(&settings, &CallbackSettings::of(&stored));
                mistakes = fields::mistakes(&[FieldError::new("", said)], &[]);
            }
            let purpose = Purpose::Change(Box::new(stored));
            Ok(again(&console, &visitor, &purpose, &fields, &mistakes).await)
        }
    }
}

const CHANGED: &str = "this callback was changed after you opened the form";

/// What is said then: in which fields that which was typed differs from what the callback is by now.
fn changed_meanwhile(typed: &CallbackSettings, stored: &CallbackSettings) -> String {
    let labels = fields::different(typed, stored).join(", ");
    let differs = match labels.is_empty() {
        true => String::new(),
        false => format!(" (what differs from what you typed: {labels})"),
    };
    format!("Somebody else changed this callback meanwhile{differs}. Save again to overwrite it.")
}

/// Tells what is wrong with the settings from all else that can go wrong.
fn refused(
    done: Result<Callback, Problem>,
    settings: &CallbackSettings,
) -> Result<Result<Callback, Mistakes>, Problem> {
    match done {
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Err(fields::mistakes(problem.errors(), &settings.events)))
        }
        done => done.map(Ok),
    }
}

fn saved(callback: &Callback, said: Said, said_of_all: Said) -> Response {
    let said = if callback.events.matches_all() { said_of_all } else { said };
    said.at(&address_of(callback)).into_response()
}

/// Leads from a page about a callback back to its own.
fn crumb(callback: &Callback) -> Markup {
    html! { p.crumbs { a href=(address_of(callback)) { (name_of(callback)) } } }
}

fn address_of(callback: &Callback) -> String {
    format!("{}/callbacks/{}", super::ROOT, callback.id)
}

async fn again(
    console: &Console,
    visitor: &Visitor,
    purpose: &Purpose,
    fields: &Fields,
    mistakes: &Mistakes,
) -> Response {
    let page = show_typed(console, visitor, purpose, fields, mistakes).await;
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// The form with what was typed, and what a request would be. Nothing is saved.
async fn preview(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Markup, Problem> {
    let purpose = match fields.text(PURPOSE) {
        "callback" => Purpose::Callback,
        "integration" if visitor.is_administrator() => Purpose::Integration,
        id => {
            let id = id.parse().map_err(|_| Problem::not_found("callback"))?;
            Purpose::Change(Box::new(own(&console, &visitor.caller, id).await?))
        }
    };
    Ok(show_typed(&console, &visitor, &purpose, &fields, &Mistakes::default()).await)
}
