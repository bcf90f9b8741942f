//! Sending an event again: asked for on a page of its own, to all that match it or to some.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use maud::{Markup, html};
use ringback_api::{PageQuery, PathId, Problem};
use ringback_core::{Account, Callback, CallbackId, Event, EventId};
use ringback_store::{DeliveryQuery, StatusFilter};

use super::event_address;
use super::one::{deliveries_of, found};
use crate::pages::ROOT;
use crate::pages::filters::CHOICES_MAX;
use crate::pages::inputs::once;
use crate::pages::known::callbacks;
use crate::pages::layout::{Section, page};
use crate::pages::parts::{name_of, so_many, token};
use crate::pages::posted::Fields;
use crate::pages::problem::{not_possible, sentence};
use crate::pages::said::Asked;
use crate::pages::visitor::Visitor;
use crate::{Console, again};

pub(super) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<EventId>,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let account = query.take::<Account>("account")?;
    let ticked = query.take::<CallbackId>("callback")?;
    query.end()?;
    let event = found(&console, &visitor, id, account).await?;
    let ticked = ticked.map(|id| ("callback".to_owned(), id.to_string()));
    let fields = Fields::from_iter(ticked);
    question(&console, &visitor, &event, (&fields, &Refused::default())).await
}

/// Why an event is not sent again.
#[derive(Default)]
pub(super) struct Refused {
    /// As things stand.
    at_all: Option<String>,
    /// To those that were chosen.
    chosen: Option<String>,
}

impl Refused {
    /// None were chosen.
    pub(super) fn none_chosen() -> Self {
        Self { at_all: None, chosen: Some("Choose at least one.".to_owned()) }
    }

    /// What is to be said on the page.
    ///
    /// # Errors
    /// The problem, if it is of another kind.
    pub(super) fn of(problem: Problem) -> Result<Self, Problem> {
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

    pub(super) const fn status(&self) -> StatusCode {
        if self.chosen.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::CONFLICT }
    }
}

/// The page that asks to whom. `fields` are those of the form, if it was sent and something is wrong with it.
pub(super) async fn question(
    console: &Console,
    visitor: &Visitor,
    event: &Event,
    (fields, refused): (&Fields, &Refused),
) -> Result<Markup, Problem> {
    let known = callbacks(console).await?;
    let takes = |callback: &&Callback| callback.state.is_enabled() && again::takes(callback, event);
    let all = known.of(&visitor.caller).map(AsRef::as_ref);
    let mut choices: Vec<&Callback> = all.filter(takes).collect();
    choices.sort_by_cached_key(|callback| name_of(callback).to_lowercase());
    let having = having(console, event).await?;
    let title = format!("Send {} again?", event.name);
    let asking = Asking { console, visitor, event, choices, having, fields, refused };
    let is_about_some = refused.chosen.is_some() || fields.has("callback");
    let body = html! {
        p.crumbs { a href=(event_address(event)) { (event.name) } }
        @if let Some(refused) = &refused.at_all { (not_possible(refused)) }
        div.head {
            h1 { (title) }
            p.lead { "Each callback that it is sent to gets a new delivery, also if it has the event already." }
        }
        @if is_about_some { (asking.of_some()) (asking.of_all()) }
        @else { (asking.of_all()) (asking.of_some()) }
        p { a href=(event_address(event)) { "Leave it" } }
    };
    Ok(page(visitor, Section::Events, &title, body))
}

/// The callbacks that have taken it, of as many deliveries as can be read at once.
async fn having(console: &Console, event: &Event) -> Result<HashSet<CallbackId>, Problem> {
    let query = DeliveryQuery { status: Some(StatusFilter::Delivered), ..deliveries_of(event) };
    let found = console.store.deliveries(&query, PageQuery::LIMIT_MAX, None).await?;
    Ok(found.items.iter().map(|delivery| delivery.callback).collect())
}

/// To whom it may go.
struct Asking<'a> {
    console: &'a Console,
    visitor: &'a Visitor,
    event: &'a Event,
    choices: Vec<&'a Callback>,
    having: HashSet<CallbackId>,
    fields: &'a Fields,
    refused: &'a Refused,
}

impl Asking<'_> {
    fn of_all(&self) -> Markup {
        let matches = |callback: &&&Callback| callback.events.matches(&self.event.name);
        let matching: Vec<_> = self.choices.iter().filter(matches).collect();
        let having = matching.iter().filter(|callback| self.having.contains(&callback.id)).count();
        html! {
            section.card aria-labelledby="to-all" {
                h2 #to-all { "To all that match" }
                @if matching.is_empty() {
                    p { "No enabled callback matches it now." }
                } @else {
                    p {
                        "Send it again to " strong { (so_many(matching.len(), "callback")) } "? "
                        @match having {
                            0 => {}
                            1 if matching.len() == 1 => "It has it already.",
                            1 => "1 of them has it already.",
                            having => { (having) " of them have it already." },
                        }
                    }
                    form method="post" action={ (ROOT) "/events/" (self.event.id) "/replay" } {
                        (self.carried())
                        button type="submit" { "Replay to all " (matching.len()) " that match" }
                    }
                }
            }
        }
    }

    /// To some, whether they match or not.
    fn of_some(&self) -> Markup {
        let wrong = self.refused.chosen.as_deref();
        html! {
            section.card aria-labelledby="to-some" {
                h2 #to-some { "To these" }
                @if self.choices.is_empty() {
                    // The page that it was chosen on may be older than what became of the callbacks.
                    @if let Some(wrong) = wrong { p.error { (wrong) } }
                    p { "There is no enabled callback that it may go to." }
                } @else {
                    form method="post" action={ (ROOT) "/events/" (self.event.id) "/replay" } {
                        (self.carried())
                        input type="hidden" name="to" value="chosen";
                        fieldset aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "chosen-error")] {
                            legend { "Callbacks" }
                            p.hint { "They get it whether they match it or not." }
                            (self.choice())
                            @if let Some(wrong) = wrong { p.error #chosen-error { (wrong) } }
                        }
                        button type="submit" { "Replay to these" }
                    }
                }
            }
        }
    }

    fn choice(&self) -> Markup {
        if self.choices.len() > CHOICES_MAX {
            return html! {
                label for="callback" { "Callback’s id" }
                input #callback type="text" name="callback" value=(self.fields.text("callback")) autocomplete="off" spellcheck="false";
            };
        }
        let is_ticked = |id: CallbackId| self.fields.all("callback").any(|it| it == id.to_string());
        html! {
            @for callback in &self.choices {
                label.check {
                    input type="checkbox" name="callback" value=(callback.id) checked[is_ticked(callback.id)];
                    span {
                        (name_of(callback))
                        @if self.having.contains(&callback.id) { span.muted { " has it already" } }
                    }
                }
            }
        }
    }

    fn carried(&self) -> Markup {
        html! {
            (token(self.visitor))
            (once::field(self.fields, self.console.clock.now()))
            input type="hidden" name="account" value=(self.event.account);
        }
    }
}
