//! One event: what is known of it, where it went, and where it may go again.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::delivery::Delivery;
use ringback_core::{Account, Event, EventId, Variables};
use ringback_store::{DeliveryQuery, Page, StatusFilter};

use super::replaying::{Refused, question};
use super::{event_address, plain};
use crate::pages::ROOT;
use crate::pages::deliveries::{self, LastOutcomes};
use crate::pages::known::{Callbacks, callbacks};
use crate::pages::layout::{Section, page};
use crate::pages::parts::{self, ASKED_ABOUT_MAX, ROWS, counted, nothing, time};
use crate::pages::posted::{Fields, Posted};
use crate::pages::reference;
use crate::pages::said::{Asked, Said};
use crate::pages::sure::Sure;
use crate::pages::visitor::Visitor;
use crate::wire::replay::EventReplay;
use crate::{Console, again, cancelling};

pub(super) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<EventId>,
    asked: Asked,
) -> Result<Markup, Problem> {
    let event = asked_for(&console, &visitor, id, asked).await?;
    one(&console, &visitor, &event).await
}

pub(super) async fn replay(
    State(console): State<Console>,
    PathId(id): PathId<EventId>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let event = found(&console, &visitor, id, account_in(&fields)?).await?;
    let is_chosen = fields.text("to") == "chosen";
    let named = fields.all("callback").map(|id| id.trim().to_owned());
    let named: Vec<_> = named.filter(|id| !id.is_empty()).collect();
    let refused = match is_chosen && named.is_empty() {
        true => Refused::none_chosen(),
        false => {
            let wanted = EventReplay { callbacks: is_chosen.then_some(named) };
            match again::again(&console, &visitor.caller, event.clone(), &wanted).await {
                Ok(_) => return Ok(Said::EventReplayed.at(&event_address(&event)).into_response()),
                Err(problem) => Refused::of(problem)?,
            }
        }
    };
    let page = question(&console, &visitor, &event, (&fields, &refused)).await?;
    Ok((refused.status(), page).into_response())
}

pub(super) async fn cancel(
    State(console): State<Console>,
    PathId(id): PathId<EventId>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let event = found(&console, &visitor, id, account_in(&fields)?).await?;
    let said = match cancelling::cancel_pending_of(&console, &event).await? {
        0 => Said::NothingPending,
        _ => Said::EventCancelled,
    };
    Ok(said.at(&event_address(&event)).into_response())
}

/// Asks whether what is pending is to be cancelled.
pub(super) async fn cancelling(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<EventId>,
    asked: Asked,
) -> Result<Markup, Problem> {
    let event = asked_for(&console, &visitor, id, asked).await?;
    let pending = DeliveryQuery { status: Some(StatusFilter::Pending), ..deliveries_of(&event) };
    let said = match console.store.count_deliveries(&pending, ASKED_ABOUT_MAX).await? {
        0 => html! { p { "Nothing of " strong { (event.name) } " is pending now." } },
        1 => html! {
            p { strong { "1 delivery" } " of " strong { (event.name) } " is pending. It is not tried again." }
        },
        count => html! {
            p {
                strong { (counted(count, ASKED_ABOUT_MAX)) " deliveries" } " of " strong { (event.name) }
                " are pending. They are not tried again."
            }
        },
    };
    let address = event_address(&event);
    let asked = Sure {
        title: "Cancel what is pending?",
        said,
        action: &format!("{ROOT}/events/{}/cancel", event.id),
        carried: &[("account", event.account.as_str())],
        label: "Cancel what is pending",
        back: (&address, event.name.as_str()),
    };
    Ok(asked.page(&visitor, Section::Events))
}

/// The event that an address names, with the account that tells equal ids apart.
async fn asked_for(
    console: &Console,
    visitor: &Visitor,
    id: EventId,
    Asked(mut query): Asked,
) -> Result<Event, Problem> {
    let account = query.take::<Account>("account")?;
    query.end()?;
    found(console, visitor, id, account).await
}

/// The account that tells equal ids apart, in a form.
fn account_in(fields: &Fields) -> Result<Option<Account>, Problem> {
    let text = fields.text("account");
    let account = (!text.is_empty()).then(|| text.parse()).transpose();
    account.map_err(|error| Problem::malformed(format!("field `account`: {error}")))
}

pub(super) async fn found(
    console: &Console,
    visitor: &Visitor,
    id: EventId,
    account: Option<Account>,
) -> Result<Event, Problem> {
    let account = visitor.account_for(account)?;
    let found = console.store.event(id, account.as_ref()).await?;
    found.ok_or_else(|| Problem::not_found("event"))
}

pub(super) fn deliveries_of(event: &Event) -> DeliveryQuery {
    DeliveryQuery {
        account: Some(event.account.clone()),
        event: Some(event.id),
        ..DeliveryQuery::default()
    }
}

async fn one(console: &Console, visitor: &Visitor, event: &Event) -> Result<Markup, Problem> {
    let found = console.store.deliveries(&deliveries_of(event), ROWS, None).await?;
    let outcomes = LastOutcomes::of(console, &found.items).await?;
    let known = callbacks(console).await?;
    let is_pending = found.next.is_some() || found.items.iter().any(|one| !one.state.is_settled());
    let body = html! {
        p.crumbs { a href={ (ROOT) "/events" } { "Events" } }
        div.head {
            h1 { (event.name) }
            div.actions {
                a.button href=(event_action(event, "replay")) data-dialog { "Send it again" }
                @if is_pending {
                    a.button.danger href=(event_action(event, "cancel")) data-dialog { "Cancel what is pending" }
                }
            }
        }
        (facts(event))
        (variables(&event.variables))
        section aria-labelledby="where" {
            h2 #where { "Deliveries" }
            (where_it_went(visitor, &known, (event, &found, &outcomes)))
        }
    };
    Ok(page(visitor, Section::Events, event.name.as_str(), body))
}

/// Where something is done to an event, once it was asked for twice.
fn event_action(event: &Event, what: &str) -> String {
    parts::address(&format!("/events/{}/{what}", event.id), &[("account", event.account.as_str())])
}

fn facts(event: &Event) -> Markup {
    html! {
        div.card {
            dl.facts {
                dt { "Type" } dd {
                    a href=(reference::address_of(&event.name)) { (event.name) } " in the reference"
                }
                dt { "Id" } dd { code { (event.id) } }
                dt { "Account" } dd { (event.account) }
                dt { "Happened" } dd { (time(event.time)) }
                dt { "Accepted" } dd { (time(event.accepted_at)) }
                @if let Some(at) = event.deliver_at { dt { "Deliver at" } dd { (time(at)) } }
            }
        }
    }
}

fn variables(variables: &Variables) -> Markup {
    html! {
        section.card aria-labelledby="variables" {
            h2 #variables { "Variables" }
            @if variables.is_empty() {
                p.muted { "It has none." }
            } @else {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
                    tbody {
                        @for (name, value) in variables.iter() {
                            tr { th scope="row" { (name) } td { (plain(value)) } }
                        }
                    }
                }
                div.actions { button.small type="button" hidden data-copy="json" { "Copy as JSON" } }
                details { summary { "As JSON" } pre #json tabindex="0" { (as_json(variables)) } }
            }
        }
    }
}

/// A variable a line, each value to the letter.
fn as_json(variables: &Variables) -> String {
    let member = |(name, value): (&str, &serde_json::value::RawValue)| {
        let name = serde_json::to_string(name).expect("texts always serialize");
        format!("  {name}: {}", value.get())
    };
    let members: Vec<_> = variables.iter().map(member).collect();
    format!("{{\n{}\n}}", members.join(",\n"))
}

fn where_it_went(
    visitor: &Visitor,
    known: &Callbacks,
    (event, found, outcomes): (&Event, &Page<Delivery>, &LastOutcomes),
) -> Markup {
    let (id, account) = (event.id.to_string(), event.account.as_str());
    let all = parts::address("/deliveries", &[("event", &id), ("account", account)]);
    let hint = html! { "It goes to each enabled callback that matches it, usually at once. If none does, it goes nowhere." };
    html! {
        div #deliveries data-live {
            @if found.items.is_empty() {
                div.card.bare-list { (nothing("No deliveries yet", hint)) }
            } @else {
                (deliveries::table(visitor, known, (&found.items, outcomes)))
            }
            @if found.next.is_some() { p { a href=(all) { "All its deliveries" } } }
        }
    }
}
