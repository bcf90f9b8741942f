//! One callback: its health, its deliveries, its settings.

mod health;
mod settings;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::callback::{Callback, CallbackState, DisabledReason};
use ringback_core::delivery::{Delivery, DeliveryState, WaitReason};
use ringback_core::{CallbackId, Timestamp};
use ringback_store::{DeliveryQuery, StatusFilter};

use super::ROOT;
use super::callbacks::{actions, section_of};
use super::deliveries::{self, LastOutcomes};
use super::filters::Filter;
use super::known::callbacks;
use super::layout::page;
use super::overview::trouble::{pending, waits_for_circuit};
use super::parts::{
    COUNTED_MAX, account_of, address, callback_badge, counted, delivery_badge, name_of, nothing,
    number, time,
};
use super::said::Asked;
use super::span::Span;
use super::visitor::Visitor;
use crate::Console;
use crate::callbacks::own;

/// How many retries ahead, and how many of the last deliveries are shown.
const AHEAD_SHOWN: usize = 10;
const LAST_SHOWN: usize = 20;

pub(super) fn router() -> Router<Console> {
    Router::new().route("/callbacks/{id}", get(show))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let span = filter.take_exact::<Span>("span")?.unwrap_or_default();
    filter.end()?;
    let callback = own(&console, &visitor.caller, id).await?;
    let health = health::of(&console, &callback, span).await?;
    let waiting = pending(&console, id).await?;
    let ahead = console.store.ahead(id, AHEAD_SHOWN).await?;
    let query = DeliveryQuery { callback: Some(id), ..DeliveryQuery::default() };
    let last = console.store.deliveries(&query, LAST_SHOWN, None).await?.items;
    let outcomes = LastOutcomes::of(&console, &last).await?;
    let known = callbacks(&console).await?;
    let now = console.clock.now();
    let body = html! {
        (crumbs(&callback))
        (head(&visitor, &callback))
        div #state data-live="10" { (state(&callback, &ahead, waiting)) }
        p.hint-line {
            "On this page: " a href="#health" { "health" } " · " a href="#ahead-title" { "what is ahead" } " · "
            a href="#last-title" { "last deliveries" } " · " a href="#settings-title" { "settings" }
        }
        (health::chooser(id, span))
        div #tiles data-live="10" { (health::tiles(&health, id, waiting)) }
        (health::charts(&health))
        section.part aria-labelledby="ahead-title" {
            h2 #ahead-title { "Ahead" }
            div #ahead data-live { (next_attempts(&ahead, now)) }
        }
        section.part aria-labelledby="last-title" {
            h2 #last-title { "Last deliveries" }
            (by_status(id))
            div #last data-live { (deliveries::table_of_callback(&visitor, &known, (&last, &outcomes))) }
        }
        (settings::all(&callback, now))
    };
    Ok(page(&visitor, section_of(&callback), name_of(&callback), body))
}

fn crumbs(callback: &Callback) -> Markup {
    html! {
        p.crumbs {
            @if callback.account.is_some() { a href={ (ROOT) "/callbacks" } { "Callbacks" } }
            @else { a href={ (ROOT) "/integrations" } { "Integrations" } }
        }
    }
}

fn head(visitor: &Visitor, callback: &Callback) -> Markup {
    html! {
        div.head {
            h1 { (name_of(callback)) }
            (callback_badge(callback.state))
            (actions(visitor, callback))
            p.lead {
                code { (callback.method.as_str()) " " (callback.url.as_str()) } " – " (account_of(callback))
            }
        }
    }
}

/// What is to be known before anything else, and done.
fn state(callback: &Callback, ahead: &[Delivery], waiting: u64) -> Markup {
    let kept = counted(waiting, COUNTED_MAX);
    let id = callback.id.to_string();
    let cancelled = address("/failed", &[("callback", &id), ("status", "cancelled")]);
    match callback.state {
        CallbackState::Disabled(DisabledReason::Gone) => html! {
            div.banner.bad {
                p { strong { "It is disabled: its endpoint answered 410 Gone, " } "which says that it is gone for good." }
                p { "If it has moved, change the URL and enable the callback again; if nobody wants these events any more, "
                    "delete it. Once it is enabled, "
                    a href=(cancelled) { "what was cancelled" } " meanwhile can be sent again." }
            }
        },
        CallbackState::Disabled(DisabledReason::ByOwner) => html! {
            div.banner {
                p { strong { "It is disabled: " } "no event is sent to it. Enable it, and it gets those that come from then on." }
            }
        },
        CallbackState::Paused => html! {
            div.banner.busy {
                p {
                    strong { "It is paused: " } (kept)
                    @if waiting == 1 { " delivery is kept" } @else { " deliveries are kept" }
                    ". Resume it, and what is kept is sent."
                }
            }
        },
        CallbackState::Enabled if ahead.iter().any(waits_for_circuit) => html! {
            div.banner.busy {
                p { strong { "Its circuit is open: " } "the endpoint failed again and again, and is left alone for "
                    "a while. One request tries it from time to time, and what waits goes on once that succeeds." }
            }
        },
        CallbackState::Enabled => html! {},
    }
}

/// What waits, the next attempt first.
fn next_attempts(ahead: &[Delivery], now: Timestamp) -> Markup {
    html! {
        div.card.bare-list {
            @if ahead.is_empty() {
                (nothing("Nothing waits", html! { "Retries, and what is delivered later, stand here." }))
            } @else {
                table.list {
                    thead {
                        tr {
                            th scope="col" { "Event" }
                            th.number scope="col" { "Attempt" }
                            th scope="col" { "Waits for" }
                            th scope="col" { "Next attempt" }
                        }
                    }
                    tbody {
                        @for delivery in ahead {
                            tr {
                                th scope="row" { (deliveries::name_link(delivery)) }
                                td.number data-label="Attempt" { (number(delivery.next_position().attempt.get().into())) }
                                td data-label="Waits for" { (delivery_badge(delivery.state)) }
                                td data-label="Next attempt" { (next_attempt(delivery, now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn next_attempt(delivery: &Delivery, now: Timestamp) -> Markup {
    match delivery.state {
        DeliveryState::Pending { waits: Some(WaitReason::Paused), .. } => {
            html! { span.muted { "once it is resumed" } }
        }
        DeliveryState::Pending { waits: None, .. } => html! { span.muted { "now" } },
        DeliveryState::Pending { next_attempt_at, .. } if next_attempt_at <= now => {
            html! { span.muted { "any moment" } }
        }
        DeliveryState::Pending { next_attempt_at, .. } => time(next_attempt_at),
        DeliveryState::Delivered | DeliveryState::Exhausted | DeliveryState::Cancelled(_) => {
            html! {}
        }
    }
}

/// Leads to all deliveries to it, and to those that stand so.
fn by_status(id: CallbackId) -> Markup {
    html! {
        p.hint-line {
            a href=(deliveries_that_are("", id)) { "All" }
            @for status in StatusFilter::ALL.map(StatusFilter::as_str) {
                " · " a href=(deliveries_that_are(status, id)) { (status) }
            }
        }
    }
}

/// Where the deliveries to a callback are that stand so; of no status: all of them.
fn deliveries_that_are(status: &str, id: CallbackId) -> String {
    address("/deliveries", &[("callback", &id.to_string()), ("status", status)])
}
