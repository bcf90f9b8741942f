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

use super::{address_of, section_of};
use crate::callbacks::{delete, own, update};
use crate::pages::ROOT;
use crate::pages::layout::Section;
use crate::pages::parts::{ASKED_ABOUT_MAX, counted, name_of, token};
use crate::pages::posted::{Fields, Posted};
use crate::pages::said::Said;
use crate::pages::sure::Sure;
use crate::pages::visitor::Visitor;
use crate::pausing::{keep, let_go};
use crate::state::Console;
use crate::wire::callback::CallbackSettings;

/// The field that holds the address of the list that somebody came from.
const BACK: &str = "back";

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
            (switch(visitor, callback, None))
            @if callback.state.is_enabled() {
                a.button href={ (address) "/disable" } data-dialog { "Disable" }
            }
            a.button href={ (address) "/secret" } data-dialog { "Signing secret" }
            a.button.danger href={ (address) "/delete" } data-dialog { "Delete" }
        }
    }
}

/// The buttons of a row in a list, which lead back to it.
pub(super) fn row_actions(visitor: &Visitor, callback: &Callback, list: &str) -> Markup {
    let address = address_of(callback);
    let whose = name_of(callback);
    html! {
        div.actions {
            a.button.small href={ (address) "/edit" } data-dialog aria-label={ "Edit " (whose) } { "Edit" }
            @if callback.state.is_enabled() {
                a.button.small href={ (address) "/test" } data-dialog aria-label={ "Test " (whose) } { "Test" }
            }
            (switch(visitor, callback, Some(list)))
        }
    }
}

/// What changes how it stands and harms nothing. `list` is the one that it stands in, as somebody has it before them.
fn switch(visitor: &Visitor, callback: &Callback, list: Option<&str>) -> Markup {
    let (verb, label) = match callback.state {
        CallbackState::Enabled => ("pause", "Pause"),
        CallbackState::Paused => ("resume", "Resume"),
        CallbackState::Disabled(_) => ("enable", "Enable"),
    };
    html! {
        form.inline method="post" action={ (address_of(callback)) "/" (verb) } {
            (token(visitor))
            @if let Some(list) = list { input type="hidden" name=(BACK) value=(list); }
            button class=[list.map(|_| "small")] type="submit" { (label) }
        }
    }
}

async fn enable(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Redirect, Problem> {
    let callback = switched(&console, &visitor, id, Switch::On).await?;
    Ok(back(&callback, &fields, Said::CallbackEnabled))
}

async fn disable(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Redirect, Problem> {
    let callback = switched(&console, &visitor, id, Switch::Off).await?;
    Ok(back(&callback, &fields, Said::CallbackDisabled))
}

async fn pause(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Redirect, Problem> {
    let callback = keep(&console, &visitor.caller, id).await?;
    Ok(back(&callback, &fields, Said::CallbackPaused))
}

async fn resume(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Redirect, Problem> {
    let callback = let_go(&console, &visitor.caller, id).await?;
    Ok(back(&callback, &fields, Said::CallbackResumed))
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
fn back(callback: &Callback, fields: &Fields, said: Said) -> Redirect {
    let list = list_of(callback);
    let Some(rest) = fields.text(BACK).strip_prefix(&list) else {
        return said.at(&address_of(callback));
    };
    // Written anew: whatever it holds, it leads nowhere but to this list.
    let pairs = form_urlencoded::parse(rest.trim_start_matches('?').as_bytes());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    said.at(&if query.is_empty() { list } else { format!("{list}?{query}") })
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
    let pending = console.store.count_deliveries(&query, ASKED_ABOUT_MAX).await?;
    Ok(match pending {
        0 => html! { "Nothing is on its way to it now." },
        1 => html! { strong { "1 delivery" } " that is on its way to it is cancelled." },
        pending => html! {
            strong { (counted(pending, ASKED_ABOUT_MAX)) " deliveries" }
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
    let address = address_of(callback);
    let asked = Sure {
        title: &format!("{label} this callback?"),
        said: html! {
            p { strong { (name_of(callback)) } " sends to " code { (callback.url.as_str()) } "." }
            (said)
        },
        action: &format!("{address}/{verb}"),
        carried: &[],
        label: &format!("{label} it"),
        back: (&address, name_of(callback)),
    };
    asked.page(visitor, section_of(callback))
}
