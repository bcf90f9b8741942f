//! Events: looked for, and one with where it went.

mod one;
mod replaying;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::{Account, Event, EventId, EventName, Variables};
use ringback_store::{Cursor, EventSearch, EventsFound, VariableIs};
use serde_json::value::RawValue;

use super::ROOT;
use super::filters::{Filter, account_field, hinted_field, shortened, text_field, time_fields};
use super::layout::{Section, page};
use super::parts::{self, ROWS, nothing, number, pager, text_of, time};
use super::said::Asked;
use super::visitor::Visitor;
use crate::Console;

const NAME_HINT: &str = "Upper and lower case count. COMMENT_* finds all that begin so.";
/// How many variables of an event a row shows, and how much of each.
const VARIABLES_SHOWN: usize = 3;
const VARIABLE_LEN_SHOWN: usize = 40;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/events", get(list))
        .route("/events/{id}", get(one::show))
        .route("/events/{id}/replay", get(replaying::show).post(one::replay))
        .route("/events/{id}/cancel", get(one::cancelling).post(one::cancel))
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Response, Problem> {
    let mut filter = Filter::of(query);
    let account = filter.take::<Account>("account")?;
    let account = visitor.account_for(account)?;
    let id = filter.take::<EventId>("id")?;
    let mut search = EventSearch {
        account,
        name: None,
        name_begins: None,
        variable: None,
        since: filter.moment("since")?,
        until: filter.moment("until")?,
    };
    (search.name, search.name_begins) = name(&mut filter)?;
    search.variable = variable(&mut filter)?;
    let after = filter.take_exact::<Cursor>("cursor")?;
    filter.end()?;
    if let Some(id) = id {
        if let Some(event) = console.store.event(id, search.account.as_ref()).await? {
            return Ok(Redirect::to(&event_address(&event)).into_response());
        }
        filter.refuse("id", "There is no event with this id.");
    }
    let is_filtered = address(&filter, &search) != format!("{ROOT}/events");
    let found = match filter.is_right() {
        true => console.store.search_events(&search, ROWS, after.as_ref()).await?,
        false => EventsFound { events: Vec::new(), next: None, looked_back_to: None },
    };
    let body = html! {
        div.head { h1 { "Events" } }
        (form(&console, &visitor, (&filter, &search)).await)
        @if filter.is_right() {
            div #events data-live[after.is_none()] { (list_of(&visitor, &found, is_filtered)) }
            (further(&address(&filter, &search), after.is_none(), &found))
        }
    };
    Ok(page(&visitor, Section::Events, "Events", body).into_response())
}

/// A name, or the beginning of some with `*` after it.
fn name(filter: &mut Filter) -> Result<(Option<EventName>, Option<EventName>), Problem> {
    let Some(text) = filter.take::<String>("name")? else { return Ok((None, None)) };
    let (text, is_beginning) = match text.strip_suffix('*') {
        Some("") => return Ok((None, None)),
        Some(beginning) => (beginning, true),
        None => (&*text, false),
    };
    match text.parse() {
        Ok(name) if is_beginning => Ok((None, Some(name))),
        Ok(name) => Ok((Some(name), None)),
        Err(error) => {
            filter.refuse("name", format!("{error}"));
            Ok((None, None))
        }
    }
}

/// A variable and what it is to be. One says nothing without the other.
fn variable(filter: &mut Filter) -> Result<Option<VariableIs>, Problem> {
    let name = filter.take::<String>("variable")?;
    let value = filter.take::<String>("value")?;
    match (name, value) {
        (Some(name), Some(value)) => return Ok(Some(VariableIs { name, value })),
        (Some(_), None) => filter.refuse("value", "Say what the variable is to be."),
        (None, Some(_)) => filter.refuse("variable", "Say which variable is to be that."),
        (None, None) => {}
    }
    Ok(None)
}

async fn form(
    console: &Console,
    visitor: &Visitor,
    (filter, search): (&Filter, &EventSearch),
) -> Markup {
    let types = console.reference.types().await;
    html! {
        form.filters method="get" action={ (ROOT) "/events" } {
            (hinted_field(filter, "Name", "name", (Some("names"), NAME_HINT)))
            datalist #names {
                @for (kind, _) in types.catalog().iter() { option value=(kind.name) {} }
            }
            (account_field(filter, visitor))
            (text_field(filter, "Id", "id", None))
            (text_field(filter, "Variable", "variable", None))
            (text_field(filter, "Variable’s value", "value", None))
            (time_fields(search.since, search.until))
            div.actions {
                button.primary type="submit" { "Search" }
                a.button href={ (ROOT) "/events" } { "Show all" }
            }
        }
    }
}

fn list_of(visitor: &Visitor, found: &EventsFound, is_filtered: bool) -> Markup {
    if found.events.is_empty() {
        let (what, hint) = match found.looked_back_to {
            Some(_) => ("Nothing matches so far", html! { "There may be some further back." }),
            None if is_filtered => (
                "Nothing matches",
                html! { "Search for less, or " a href={ (ROOT) "/events" } { "show all" } "." },
            ),
            None => (
                "No events yet",
                html! {
                    "An event is sent to " code { "POST /v1/events" } ". See its types and their variables in the "
                    a href={ (ROOT) "/reference" } { "reference" } "."
                },
            ),
        };
        return html! { div.card.bare-list { (nothing(what, hint)) } };
    }
    html! {
        div.card.bare-list {
            table.list {
                thead {
                    tr {
                        th scope="col" { "Event" }
                        @if visitor.is_administrator() { th scope="col" { "Account" } }
                        th scope="col" { "Accepted" }
                        th scope="col" { "Variables" }
                    }
                }
                tbody {
                    @for event in &found.events {
                        tr {
                            th scope="row" { a href=(event_address(event)) { (event.name) } }
                            @if visitor.is_administrator() { td data-label="Account" { (event.account) } }
                            td data-label="Accepted" { (time(event.accepted_at)) }
                            td data-label="Variables" { (first_of(&event.variables)) }
                        }
                    }
                }
            }
        }
    }
}

fn first_of(variables: &Variables) -> Markup {
    let left_out = variables.len().saturating_sub(VARIABLES_SHOWN);
    html! {
        span {
            @for (index, (name, value)) in variables.iter().take(VARIABLES_SHOWN).enumerate() {
                @if index > 0 { ", " }
                span.muted { (shortened(name, VARIABLE_LEN_SHOWN)) ": " }
                (shortened(&plain(value), VARIABLE_LEN_SHOWN))
            }
            @if left_out > 0 { span.muted { " and " (left_out) " more" } }
            @if variables.is_empty() { span.muted { "none" } }
        }
    }
}

/// A variable as people read it: a text without its quotes.
fn plain(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

/// Leads on: to the next page, or further back than a search looks at once.
fn further(address: &str, is_first: bool, found: &EventsFound) -> Markup {
    let Some(back_to) = found.looked_back_to else {
        return pager(address, is_first, found.next.as_ref());
    };
    let sign = if address.contains('?') { '&' } else { '?' };
    html! {
        div.banner.busy {
            p {
                "Looked at the last " (number(ringback_store::LOOKED_MAX.into())) " events"
                @if !is_first { " from there" }
                ", back to " (time(back_to)) ". "
                @if let Some(next) = &found.next {
                    a href={ (address) (sign) "cursor=" (next) } { "Look further" }
                }
            }
        }
        (pager(address, is_first, None))
    }
}

/// The search's address, with what it asks for.
fn address(filter: &Filter, search: &EventSearch) -> String {
    let (since, until) = (text_of(search.since), text_of(search.until));
    let parameters = [
        ("name", filter.text("name")),
        ("account", filter.text("account")),
        ("variable", filter.text("variable")),
        ("value", filter.text("value")),
        ("since", &since),
        ("until", &until),
    ];
    parts::address("/events", &parameters)
}

/// The address of an event's page: its id alone may be another account's, too.
fn event_address(event: &Event) -> String {
    parts::address(&format!("/events/{}", event.id), &[("account", event.account.as_str())])
}
