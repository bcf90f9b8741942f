//! Deliveries: the list, and one with every attempt.

mod attempts;
mod curl;
mod one;
mod outcome;
mod standing;
mod table;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::Account;
use ringback_store::{DeliveryQuery, Page, StatusFilter};

use super::ROOT;
use super::filters::{
    Filter, account_field, callback_field, choice_field, text_field, time_fields,
};
use super::known::callbacks;
use super::layout::{Section, page};
use super::parts::{self, ROWS, nothing, pager, text_of};
use super::said::Asked;
use super::visitor::Visitor;
use crate::Console;
use crate::deliveries::Status;

pub(super) use outcome::LastOutcomes;
pub(super) use table::{name_link, table, table_of_callback};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/deliveries", get(list))
        .route("/deliveries/{id}", get(one::show))
        .route("/deliveries/{id}/retry", post(one::retry))
        .route("/deliveries/{id}/cancel", get(one::cancelling).post(one::cancel))
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let known = callbacks(&console).await?;
    let mut filter = Filter::of(query);
    let account = filter.take::<Account>("account")?;
    let mut wanted = DeliveryQuery {
        account: None,
        callback: filter.take_callback(&known, &visitor.caller)?,
        event: filter.take("event")?,
        status: filter.take("status")?.map(|Status(status)| status),
        since: filter.moment("since")?,
        until: filter.moment("until")?,
    };
    let after = filter.take_exact("cursor")?;
    filter.end()?;
    wanted.account = visitor.account_for(account)?;
    let found = match filter.is_right() {
        true => console.store.deliveries(&wanted, ROWS, after.as_ref()).await?,
        false => Page { items: Vec::new(), next: None },
    };
    let outcomes = LastOutcomes::of(&console, &found.items).await?;
    let is_filtered = address(&filter, &wanted) != format!("{ROOT}/deliveries");
    let body = html! {
        div.head { h1 { "Deliveries" } }
        form.filters method="get" action={ (ROOT) "/deliveries" } {
            (callback_field(&filter, &known, &visitor.caller))
            (status_field(&filter))
            (account_field(&filter, &visitor))
            (text_field(&filter, "Event’s id", "event", None))
            (time_fields(wanted.since, wanted.until))
            div.actions {
                button.primary type="submit" { "Show" }
                a.button href={ (ROOT) "/deliveries" } { "Show all" }
            }
        }
        div #deliveries data-live[after.is_none()] {
            @if !found.items.is_empty() {
                (table(&visitor, &known, (&found.items, &outcomes)))
            } @else if filter.is_right() {
                div.card.bare-list { (none(is_filtered)) }
            }
        }
        (pager(&address(&filter, &wanted), after.is_none(), found.next.as_ref()))
    };
    Ok(page(&visitor, Section::Deliveries, "Deliveries", body))
}

fn status_field(filter: &Filter) -> Markup {
    let statuses = StatusFilter::ALL.map(|status| {
        let word = status.as_str().to_owned();
        (word.clone(), word)
    });
    choice_field(filter, "Status", "status", ("All", &statuses))
}

fn none(is_filtered: bool) -> Markup {
    if is_filtered {
        let all = html! { "Ask for less, or " a href={ (ROOT) "/deliveries" } { "show all" } "." };
        return nothing("Nothing matches", all);
    }
    let hint = html! {
        "There is a delivery for each event and each enabled callback that matches it. Look at the "
        a href={ (ROOT) "/events" } { "events" } " that came in."
    };
    nothing("No deliveries yet", hint)
}

/// The list's address, with its filter.
fn address(filter: &Filter, wanted: &DeliveryQuery) -> String {
    let (since, until) = (text_of(wanted.since), text_of(wanted.until));
    let parameters = [
        ("callback", filter.text("callback")),
        ("status", filter.text("status")),
        ("account", filter.text("account")),
        ("event", filter.text("event")),
        ("since", &since),
        ("until", &until),
    ];
    parts::address("/deliveries", &parameters)
}
