//! API keys: listed, made and removed.

use std::sync::Arc;

use axum::extract::{FromRef as _, State};
use axum::response::{Redirect, Response};
use maud::{Markup, html};
use ringback_api::{Caller, Keys, PageQuery, PathId, Problem};
use ringback_core::{Account, ApiKeyId};
use ringback_store::{ApiKey, Scope};

use super::{PATH, form_page, inputs, refused, shown_once, whose, whose_fields};
use crate::Console;
use crate::api_keys;
use crate::pages::inputs::{Mistakes, once};
use crate::pages::layout::{Section, page};
use crate::pages::parts::opens;
use crate::pages::posted::{Fields, Posted};
use crate::pages::said::Said;
use crate::pages::visitor::Visitor;
use crate::pages::{ROOT, parts};
use crate::wire::api_key::NewApiKey;

/// All keys, newest first.
pub(super) async fn list(
    console: &Console,
    caller: &Caller,
    asked: &PageQuery,
) -> Result<Markup, Problem> {
    let found = api_keys::found(console, caller, asked).await?;
    let address = format!("{ROOT}{PATH}");
    Ok(html! {
        section aria-labelledby="api-keys" {
            div.head {
                h2 #api-keys { "API keys" }
                a.button href={ (address) "/keys/new" } { "Make an API key" }
                p.lead { "Programs call the API with them, and people sign in with them." (admin_key(console)) }
            }
            div.card.bare-list {
                @if found.items.is_empty() {
                    (parts::nothing("No API keys", html! {
                        "Make one for the program that sends events, and one for each account whose people manage their callbacks."
                    }))
                } @else {
                    (table(caller, &found.items))
                }
            }
            (parts::pager(&address, asked.after.is_none(), found.next.as_ref()))
        }
    })
}

/// What is said of the key that is in no list.
fn admin_key(console: &Console) -> Markup {
    html! {
        @if Arc::<Keys>::from_ref(console).has_admin_key() {
            " Besides these there is the key of the setting " code { "admin_key" } ", which goes when the setting does."
        }
    }
}

fn table(caller: &Caller, keys: &[ApiKey]) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { "What it is for" }
                    th scope="col" { "Opens" }
                    th scope="col" { "Made" }
                    th scope="col" { span.visually-hidden { "Actions" } }
                }
            }
            tbody {
                @for key in keys {
                    tr {
                        th scope="row" {
                            span { (name(key)) @if is_own(caller, key) { " " (parts::badge("quiet", "yours")) } }
                        }
                        td data-label="Opens" { span { (opens(account(key))) } }
                        td data-label="Made" { (parts::time(key.created_at)) }
                        td.actions-cell {
                            a.button.small.danger data-dialog href={ (ROOT) (PATH) "/keys/" (key.id) "/remove" }
                                aria-label={ "Remove the key “" (name(key)) "”" } { "Remove" }
                        }
                    }
                }
            }
        }
    }
}

/// Whether this is the key that somebody came by.
fn is_own(caller: &Caller, key: &ApiKey) -> bool {
    caller.key == key.hash
}

fn name(key: &ApiKey) -> &str {
    if key.description.is_empty() { "No description" } else { &key.description }
}

fn account(key: &ApiKey) -> Option<&Account> {
    match &key.scope {
        Scope::Instance => None,
        Scope::Account(account) => Some(account),
    }
}

/// The form to make one.
pub(super) async fn form(
    State(console): State<Console>,
    visitor: Visitor,
) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    Ok(form_with(&console, &visitor, &Fields::default(), &Mistakes::default()))
}

fn form_with(console: &Console, visitor: &Visitor, fields: &Fields, mistakes: &Mistakes) -> Markup {
    let inputs = inputs(fields, mistakes);
    let form = html! {
        (inputs.summary())
        (once::field(fields, console.clock.now()))
        (inputs.text("description", "Such as: the billing service. At most 1,000 characters."))
        (whose_fields(&inputs))
    };
    form_page(visitor, "Make an API key", "/settings/keys/new", form, "Make the key")
}

/// Makes one and shows it.
pub(super) async fn make(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    visitor.require_administrator()?;
    let making = async {
        let description = fields.text("description").trim().to_owned();
        let new = NewApiKey { account: whose(&fields)?, description };
        api_keys::make(&console, &visitor.caller, new).await
    };
    let made = console.shown_once.make((&visitor, &fields), console.clock.now(), making).await;
    match made {
        Ok((key, about)) => Ok(made_page(&visitor, key.reveal(), &about)),
        Err(problem) => {
            refused(problem, |mistakes| form_with(&console, &visitor, &fields, mistakes))
        }
    }
}

fn made_page(visitor: &Visitor, key: &str, about: &ApiKey) -> Response {
    let hint = html! {
        p {
            "This key opens " (opens(account(about))) ". Programs send it as "
            code { "Authorization: Bearer rbk_…" } "; people sign in to this console with it."
        }
    };
    shown_once(visitor, "The API key is made", key, hint)
}

/// Asks whether one is to go, and says what goes with it.
pub(super) async fn ask(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    let keys = console.store.api_keys().await?;
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| Problem::not_found("API key"))?;
    let is_the_last = api_keys::is_the_last(&console, &keys, id);
    let body = html! {
        p.crumbs { a href={ (ROOT) (PATH) } { "Settings" } }
        div.head { h1 { "Remove this API key?" } }
        dl.facts {
            dt { "What it is for" } dd { (name(key)) }
            dt { "Opens" } dd { (opens(account(key))) }
            dt { "Made" } dd { (parts::time(key.created_at)) }
        }
        @if is_the_last {
            div.banner.bad.below { p { "It can’t be removed: " (api_keys::THE_LAST) "." } }
            p { a.button href={ (ROOT) (PATH) } { "Back" } }
        } @else {
            (consequences(&visitor.caller, key))
            (confirmation(&visitor, id))
        }
    };
    Ok(page(&visitor, Section::Settings, "Remove this API key?", body))
}

fn consequences(caller: &Caller, key: &ApiKey) -> Markup {
    html! {
        div.banner.bad.below {
            p { "From that moment on, and for good:" }
            ul {
                li { "programs that call the API with it are refused (401), those that send events among them;" }
                li { "whoever signed in to this console with it, or by a link that was made with it, is signed out;" }
                li { "links that were made with it and not used yet open nothing." }
                @if is_own(caller, key) {
                    li { strong { "You came by this key: you are signed out as well." } }
                }
            }
            p { "Callbacks and what is under way to them stay as they are." }
        }
    }
}

fn confirmation(visitor: &Visitor, id: ApiKeyId) -> Markup {
    html! {
        form method="post" action={ (ROOT) (PATH) "/keys/" (id) "/remove" } {
            (parts::token(visitor))
            div.actions {
                button.danger type="submit" { "Remove the key" }
                a.button href={ (ROOT) (PATH) } { "Keep it" }
            }
        }
    }
}

/// Removes one.
pub(super) async fn remove(
    State(console): State<Console>,
    PathId(id): PathId<ApiKeyId>,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    visitor.require_administrator()?;
    api_keys::take_away(&console, &visitor.caller, id).await?;
    Ok(Said::KeyRemoved.at(&format!("{ROOT}{PATH}")))
}
