//! One event: what is known of it, where it went, and where it may go again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::delivery::Delivery;
use ringback_core::{Account, Callback, Event, EventId, Variables};
use ringback_store::{DeliveryQuery, Page};

use super::{event_address, plain};
use crate::pages::ROOT;
use crate::pages::deliveries;
use crate::pages::filters::CHOICES_MAX;
use crate::pages::known::{Callbacks, callbacks};
use crate::pages::layout::{Section, page};
use crate::pages::parts::{self, ROWS, name_of, nothing, time, token};
use crate::pages::posted::{Fields, Posted};
use crate::pages::problem::{not_possible, sentence};
use crate::pages::reference;
use crate::pages::said::{Asked, Said};
use crate::pages::visitor::Visitor;
use crate::wire::replay::EventReplay;
use crate::{Console, again, cancelling};

pub(super) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<EventId>,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let account = query.take::<Account>("account")?;
    query.end()?;
    let event = found(&console, &visitor, id, account).await?;
    one(&console, &visitor, &event, &Refused::default()).await
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
        true => Refused { chosen: Some("Choose at least one.".to_owned()), ..Refused::default() },
        false => {
            let wanted = EventReplay { callbacks: is_chosen.then_some(named) };
            match again::again(&console, &visitor.caller, event.clone(), &wanted).await {
                Ok(_) => return Ok(Said::EventReplayed.at(&event_address(&event)).into_response()),
                Err(problem) => Refused::of(problem)?,
            }
        }
    };
    let page = one(&console, &visitor, &event, &refused).await?;
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

/// The account that tells equal ids apart, in a form.
fn account_in(fields: &Fields) -> Result<Option<Account>, Problem> {
    let text = fields.text("account");
    let account = (!text.is_empty()).then(|| text.parse()).transpose();
    account.map_err(|error| Problem::malformed(format!("field `account`: {error}")))
}

async fn found(
    console: &Console,
    visitor: &Visitor,
    id: EventId,
    account: Option<Account>,
) -> Result<Event, Problem> {
    let account = visitor.caller.account_for(account)?;
    let found = console.store.event(id, account.as_ref()).await?;
    found.ok_or_else(|| Problem::not_found("event"))
}

/// Why an event is not delivered again.
#[derive(Default)]
struct Refused {
    /// As things stand.
    at_all: Option<String>,
    /// To those that were chosen.
    chosen: Option<String>,
}

impl Refused {
    /// What is to be said on the event's page.
    ///
    /// # Errors
    /// The problem, if it is of another kind.
    fn of(problem: Problem) -> Result<Self, Problem> {
        match problem.status() {
            StatusCode::CONFLICT => {
                Ok(Self { at_all: Some(problem.detail().to_owned()), chosen: None })
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let mut details: Vec<_> =
                    problem.errors().iter().map(|error| sentence(&error.detail)).collect();
                details.dedup();
                Ok(Self { at_all: None, chosen: Some(details.join(" ")) })
            }
            _ => Err(problem),
        }
    }

    const fn status(&self) -> StatusCode {
        if self.chosen.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::CONFLICT }
    }
}

async fn one(
    console: &Console,
    visitor: &Visitor,
    event: &Event,
    refused: &Refused,
) -> Result<Markup, Problem> {
    let of_event = DeliveryQuery {
        account: Some(event.account.clone()),
        event: Some(event.id),
        ..DeliveryQuery::default()
    };
    let found = console.store.deliveries(&of_event, ROWS, None).await?;
    let known = callbacks(console).await?;
    let is_pending = found.next.is_some() || found.items.iter().any(|one| !one.state.is_settled());
    let body = html! {
        p.crumbs { a href={ (ROOT) "/events" } { "Events" } }
        @if let Some(refused) = &refused.at_all { (not_possible(refused)) }
        div.head {
            h1 { (event.name) }
            div.actions {
                (action(visitor, event, ("replay", "Replay to all that match", "primary")))
                @if is_pending { (action(visitor, event, ("cancel", "Cancel what is pending", "danger"))) }
            }
        }
        (facts(event))
        (variables(&event.variables))
        section aria-labelledby="where" {
            h2 #where { "Deliveries" }
            (where_it_went(visitor, &known, (event, &found)))
        }
        (chosen(visitor, &known, (event, refused)))
    };
    Ok(page(visitor, Section::Events, event.name.as_str(), body))
}

fn action(visitor: &Visitor, event: &Event, (what, label, class): (&str, &str, &str)) -> Markup {
    html! {
        form.inline method="post" action={ (ROOT) "/events/" (event.id) "/" (what) } {
            (token(visitor))
            input type="hidden" name="account" value=(event.account);
            button class=(class) type="submit" { (label) }
        }
    }
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
    (event, found): (&Event, &Page<Delivery>),
) -> Markup {
    let (id, account) = (event.id.to_string(), event.account.as_str());
    let all = parts::address("/deliveries", &[("event", &id), ("account", account)]);
    let hint = html! { "It goes to each enabled callback that matches it, usually at once. If none does, it goes nowhere." };
    html! {
        div #deliveries data-live {
            @if found.items.is_empty() {
                div.card.bare-list { (nothing("No deliveries yet", hint)) }
            } @else {
                (deliveries::table(visitor, known, &found.items))
            }
            @if found.next.is_some() { p { a href=(all) { "All its deliveries" } } }
        }
    }
}

/// Delivering it again to some, whether they match or not.
fn chosen(visitor: &Visitor, known: &Callbacks, (event, refused): (&Event, &Refused)) -> Markup {
    let takes = |callback: &&std::sync::Arc<Callback>| {
        callback.state.is_enabled() && again::takes(callback, event)
    };
    let mut choices: Vec<_> = known.of(&visitor.caller).filter(takes).collect();
    choices.sort_by_cached_key(|callback| name_of(callback).to_lowercase());
    let wrong = refused.chosen.as_deref();
    html! {
        details.block open[wrong.is_some()] {
            summary { "Replay to chosen callbacks" }
            @if choices.is_empty() {
                // The page that it was chosen on may be older than what became of the callbacks.
                @if let Some(wrong) = wrong { p.error { (wrong) } }
                p { "There is no enabled callback that it may go to." }
            } @else {
                form method="post" action={ (ROOT) "/events/" (event.id) "/replay" } {
                    (token(visitor))
                    input type="hidden" name="account" value=(event.account);
                    input type="hidden" name="to" value="chosen";
                    fieldset aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "chosen-error")] {
                        legend { "To these" }
                        p.hint { "They get it whether they match it or not." }
                        @if choices.len() > CHOICES_MAX {
                            label for="callback" { "Callback’s id" }
                            input #callback type="text" name="callback" autocomplete="off" spellcheck="false";
                        } @else {
                            @for callback in &choices {
                                label.check {
                                    input type="checkbox" name="callback" value=(callback.id);
                                    span { (name_of(callback)) }
                                }
                            }
                        }
                        @if let Some(wrong) = wrong { p.error #chosen-error { (wrong) } }
                    }
                    button type="submit" { "Replay to these" }
                }
            }
        }
    }
}
