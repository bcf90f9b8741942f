//! What can be done to a callback: the buttons, and what they do.

use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::callback::CallbackState;
use ringback_core::{Callback, CallbackId};
use ringback_store::{DeliveryQuery, StatusFilter};

use super::{address_of, crumb, section_of};
use crate::callbacks::{delete, own, update};
use crate::pages::ROOT;
use crate::pages::layout::{Section, page};
use crate::pages::parts::{COUNTED_MAX, counted, name_of, post_button, token};
use crate::pages::posted::Posted;
use crate::pages::said::{Asked, Said};
use crate::pages::visitor::Visitor;
use crate::pausing::{keep, let_go};
use crate::state::Console;
use crate::wire::callback::CallbackSettings;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/callbacks/{id}/enable", post(enable))
        .route("/callbacks/{id}/disable", get(disabling).post(disable))
        .route("/callbacks/{id}/pause", post(pause))
        .route("/callbacks/{id}/resume", post(resume))
        .route("/callbacks/{id}/delete", get(deleting).post(remove))
}

/// The buttons of a callback's page.
pub(in crate::pages) fn actions(visitor: &Visitor, callback: &Callback) -> Markup {
    let address = address_of(callback);
    html! {
        div.actions {
            a.button href={ (address) "/edit" } data-dialog { "Edit" }
            @if callback.state.is_enabled() {
                a.button href={ (address) "/test" } data-dialog { "Send a test event" }
            }
            (switch(visitor, callback, "", ""))
            @if callback.state.is_enabled() {
                a.button href={ (address) "/disable" } data-dialog { "Disable" }
            }
            a.button href={ (address) "/secret" } data-dialog { "Signing secret" }
            a.button.danger href={ (address) "/delete" } data-dialog { "Delete" }
        }
    }
}

/// The buttons of a row in a list, which lead back to it.
pub(super) fn row_actions(visitor: &Visitor, callback: &Callback) -> Markup {
    let address = address_of(callback);
    let whose = name_of(callback);
    html! {
        div.actions {
            a.button.small href={ (address) "/edit" } data-dialog aria-label={ "Edit " (whose) } { "Edit" }
            @if callback.state.is_enabled() {
                a.button.small href={ (address) "/test" } data-dialog aria-label={ "Test " (whose) } { "Test" }
            }
            (switch(visitor, callback, "?to=list", "small"))
        }
    }
}

/// What changes how it stands and harms nothing.
fn switch(visitor: &Visitor, callback: &Callback, query: &str, class: &str) -> Markup {
    let (verb, label) = match callback.state {
        CallbackState::Enabled => ("pause", "Pause"),
        CallbackState::Paused => ("resume", "Resume"),
        CallbackState::Disabled(_) => ("enable", "Enable"),
    };
    let action = format!("{}/{verb}{query}", address_of(callback));
    post_button(visitor, &action, label, class)
}

async fn enable(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    asked: Asked,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    let callback = switched(&console, &visitor, id, Switch::On).await?;
    back(&callback, asked, Said::CallbackEnabled)
}

async fn disable(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    asked: Asked,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    let callback = switched(&console, &visitor, id, Switch::Off).await?;
    back(&callback, asked, Said::CallbackDisabled)
}

async fn pause(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    asked: Asked,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    let callback = keep(&console, &visitor.caller, id).await?;
    back(&callback, asked, Said::CallbackPaused)
}

async fn resume(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    asked: Asked,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    let callback = let_go(&console, &visitor.caller, id).await?;
    back(&callback, asked, Said::CallbackResumed)
}

async fn remove(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    delete(&console, &visitor.caller, id).await?;
    Ok(Said::CallbackDeleted.at(&list_of(&callback)))
}

#[derive(Clone, Copy)]
enum Switch {
    On,
    Off,
}

async fn switched(
    console: &Console,
    visitor: &Visitor,
    id: CallbackId,
    to: Switch,
) -> Result<Callback, Problem> {
    let enabled = matches!(to, Switch::On);
    update(console, &visitor.caller, id, |stored| {
        Ok(CallbackSettings { enabled, ..CallbackSettings::of(stored) })
    })
    .await
}

/// To the callback's page, or to the list that somebody came from.
fn back(callback: &Callback, Asked(mut query): Asked, said: Said) -> Result<Redirect, Problem> {
    let is_from_list = query.take::<String>("to")?.is_some();
    query.end()?;
    Ok(said.at(&if is_from_list { list_of(callback) } else { address_of(callback) }))
}

fn list_of(callback: &Callback) -> String {
    match section_of(callback) {
        Section::Integrations => format!("{ROOT}/integrations"),
        _ => format!("{ROOT}/callbacks"),
    }
}

async fn disabling(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let lost = lost(&console, &callback).await?;
    let said = html! {
        p { "New events will not be sent to it. " (lost) }
        p { "To keep what comes and send it later, pause it instead." }
    };
    Ok(sure(&visitor, &callback, ("Disable", "disable"), &said))
}

async fn deleting(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let lost = lost(&console, &callback).await?;
    let said = html! {
        p { "Its settings, its authorization and its signing secret are gone for good. " (lost) }
        p { "The history of what was sent stays, until its time is over." }
    };
    Ok(sure(&visitor, &callback, ("Delete", "delete"), &said))
}

/// What can't be brought back.
async fn lost(console: &Console, callback: &Callback) -> Result<Markup, Problem> {
    let (callback, status) = (Some(callback.id), Some(StatusFilter::Pending));
    let query = DeliveryQuery { callback, status, ..DeliveryQuery::default() };
    let pending = console.store.count_deliveries(&query, COUNTED_MAX).await?;
    Ok(match pending {
        0 => html! { "Nothing is on its way to it now." },
        1 => html! { strong { "1 delivery" } " that is on its way to it is cancelled." },
        pending => html! {
            strong { (counted(pending, COUNTED_MAX)) " deliveries" }
            " that are on their way to it are cancelled."
        },
    })
}

/// Asks once more.
fn sure(
    visitor: &Visitor,
    callback: &Callback,
    (label, verb): (&str, &str),
    said: &Markup,
) -> Markup {
    let title = format!("{label} this callback?");
    let body = html! {
        (crumb(callback))
        div.head { h1 { (title) } }
        p { strong { (name_of(callback)) } " sends to " code { (callback.url.as_str()) } "." }
        (said)
        form method="post" action={ (address_of(callback)) "/" (verb) } {
            (token(visitor))
            div.actions {
                button.danger type="submit" { (label) " it" }
                a.button href=(address_of(callback)) { "Leave it" }
            }
        }
    };
    page(visitor, section_of(callback), &title, body)
}
