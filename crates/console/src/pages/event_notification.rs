//! What is registered for an account, which events it gets, on and off (Conga Sign: Admin, Event Notification).
//!
//! A registration is what `PUT /api/callback/register` makes, and this page makes it by the same function.

mod form;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{FieldError, Problem};
use ringback_core::callback::Authorization;
use ringback_core::{Account, Callback, CallbackId};

use self::form::{Form, OFF, TICK};
use super::filters::{Filter, text_field};
use super::inputs::{AS_OF, Mistakes};
use super::layout::{Section, page};
use super::parts::{address, callback_badge, nothing, time};
use super::posted::{Fields, Posted};
use super::said::{Asked, Said};
use super::sure::Sure;
use super::visitor::Visitor;
use super::{ROOT, known};
use crate::registration::{CHANGED, account_of, put};
use crate::state::Console;

const PATH: &str = "/event-notification";
const OFF_PATH: &str = "/event-notification/off";

pub(super) fn router() -> Router<Console> {
    Router::new().route(PATH, get(show).post(save)).route(OFF_PATH, get(switching_off))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let named = filter.take::<Account>("account")?;
    filter.end()?;
    let account = if filter.is_right() { own_account(&visitor, named)? } else { None };
    let Some(account) = account else {
        return Ok(accounts_page(&visitor, &filter, &registrations(&console, &visitor).await?));
    };
    let registered = registered(&console, &account).await?;
    let fields = form::of(registered.as_ref());
    Ok(account_page(&visitor, &account, registered.as_ref(), &fields, &Mistakes::default()))
}

/// Asks whether notifications are to be switched off, which [`save`] does.
async fn switching_off(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let named = query.take::<Account>("account")?;
    query.end()?;
    let account = own_account(&visitor, named)?.ok_or_else(unknown)?;
    let registered = registered(&console, &account).await?.ok_or_else(unknown)?;
    let asked = Sure {
        title: "Switch notifications off?",
        said: html! {
            p {
                "No Conga Sign notification of account " strong { (account) } " is sent to "
                code { (registered.url.as_str()) } " any more, and what is on its way there is cancelled. The settings stay."
            }
        },
        action: &format!("{ROOT}{PATH}"),
        carried: &[("account", account.as_str()), (OFF, "yes")],
        label: "Switch them off",
        back: (&address_of(&account), "Event Notification"),
    };
    Ok(asked.page(&visitor, Section::EventNotification))
}

async fn save(
    State(console): State<Console>,
    Posted { visitor, mut fields }: Posted,
) -> Result<Response, Problem> {
    let named = Some(fields.text("account")).filter(|account| !account.is_empty());
    let named = named.map(|account| account.parse().map_err(|_| unknown())).transpose()?;
    let account = own_account(&visitor, named)?.ok_or_else(unknown)?;
    let before = registered(&console, &account).await?;
    if fields.has(TICK) {
        fields = form::ticked(fields, before.as_ref());
        let page = account_page(&visitor, &account, before.as_ref(), &fields, &Mistakes::default());
        return Ok(page.into_response());
    }
    let registration = form::registration(&fields, before.as_ref());
    // Switching it off loses no setting that somebody else has changed.
    let (said, as_of) = match fields.has(OFF) {
        true => (Said::Unregistered, None),
        false => (Said::Registered, Some(fields.text(AS_OF))),
    };
    match put(&console, &visitor.caller, (&account, as_of), &registration).await {
        Ok(()) => Ok(said.at(&address_of(&account)).into_response()),
        Err(problem) if problem.detail() == CHANGED => {
            // Who saves again has been told: that form is of the registration as it is by now.
            let (fields, stored) = (fields.without(AS_OF), registered(&console, &account).await?);
            let mistakes = form::mistakes(&[FieldError::new("", CHANGED)]);
            let page = account_page(&visitor, &account, stored.as_ref(), &fields, &mistakes);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            let mistakes = form::mistakes(problem.errors());
            let page = account_page(&visitor, &account, before.as_ref(), &fields, &mistakes);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(problem) => Err(problem),
    }
}

/// The account that is meant; none: an administrator has named none yet. What is another's sounds like what is not there.
fn own_account(visitor: &Visitor, named: Option<Account>) -> Result<Option<Account>, Problem> {
    account_of(&visitor.caller, named).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("account with a registration")
}

async fn registered(console: &Console, account: &Account) -> Result<Option<Callback>, Problem> {
    Ok(console.store.callback(CallbackId::of_registration(account)).await?)
}

/// All that are registered, by their accounts.
async fn registrations(console: &Console, visitor: &Visitor) -> Result<Vec<Callback>, Problem> {
    let known = known::callbacks(console).await?;
    let is_registration = |callback: &&std::sync::Arc<Callback>| {
        let account = callback.account.as_ref();
        account.is_some_and(|account| CallbackId::of_registration(account) == callback.id)
    };
    let found = known.of(&visitor.caller).filter(is_registration);
    let mut found: Vec<_> = found.map(|callback| (**callback).clone()).collect();
    found.sort_by(|a, b| a.account.cmp(&b.account));
    Ok(found)
}

fn address_of(account: &Account) -> String {
    address(PATH, &[("account", account.as_str())])
}

/// Where switching an account's notifications off is asked for.
fn off_address(account: &Account) -> String {
    address(OFF_PATH, &[("account", account.as_str())])
}

/// For administrators: whose registration is it to be?
fn accounts_page(visitor: &Visitor, filter: &Filter, registered: &[Callback]) -> Markup {
    let body = html! {
        div.head {
            h1 { "Event Notification" }
            p.lead { "Where each account’s Conga Sign notifications go. There is one registration for each account." }
        }
        form.filters method="get" {
            (text_field(filter, "Account", "account", None))
            div.actions { button type="submit" { "Open" } }
        }
        div.card.bare-list {
            @if registered.is_empty() {
                (nothing("Nothing is registered yet", html! { "Type an account to register where its notifications go." }))
            } @else {
                table.list {
                    thead { tr {
                        th scope="col" { "Account" } th scope="col" { "URL" } th scope="col" { "State" } th scope="col" { "Registered" }
                    } }
                    tbody { @for callback in registered { (row(callback)) } }
                }
            }
        }
    };
    page(visitor, Section::EventNotification, "Event Notification", body)
}

fn row(callback: &Callback) -> Markup {
    html! {
        tr {
            th scope="row" {
                @if let Some(account) = &callback.account { a href=(address_of(account)) { (account) } }
            }
            td data-label="URL" { code { (callback.url.as_str()) } }
            td data-label="State" { (callback_badge(callback.state)) }
            td data-label="Registered" { (time(callback.created_at)) }
        }
    }
}

fn account_page(
    visitor: &Visitor,
    account: &Account,
    registered: Option<&Callback>,
    fields: &Fields,
    mistakes: &Mistakes,
) -> Markup {
    let form = Form { visitor, account, registered, fields, mistakes };
    let body = html! {
        @if visitor.is_administrator() {
            p.crumbs { a href={ (ROOT) (PATH) } { "All accounts" } }
        }
        div.head {
            h1 { "Event Notification" }
            p.lead { "Where the Conga Sign notifications of account " strong { (account) } " go." }
        }
        div.card {
            h2 { "What is registered" }
            @match registered {
                Some(callback) => (facts(callback)),
                None => p { "Nothing yet. Say below where notifications are to go." },
            }
        }
        (form.markup())
    };
    page(visitor, Section::EventNotification, "Event Notification", body)
}

fn facts(callback: &Callback) -> Markup {
    let (r#type, has_key) = match &callback.authorization {
        Authorization::None => ("None", false),
        Authorization::Basic { .. } => ("Basic", false),
        Authorization::Bearer { .. } => ("Bearer", false),
        Authorization::CallbackKey { .. } => ("None", true),
        Authorization::Header { .. } => ("A header of its own, set on the callback’s page", false),
    };
    html! {
        dl.facts {
            dt { "State" } dd { (callback_badge(callback.state)) }
            dt { "URL" } dd { code { (callback.url.as_str()) } }
            dt { "Authorization" } dd { (r#type) }
            dt { "Callback key" } dd { @if has_key { "Set" } @else { "Not set" } }
            dt { "Registered" } dd { (time(callback.created_at)) }
            dt { "Last changed" } dd { (time(callback.updated_at)) }
        }
        p { a href={ (ROOT) "/callbacks/" (callback.id) } { "Recent notifications, and what came of them" } }
    }
}
