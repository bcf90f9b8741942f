//! Endpoints in trouble: what fails, what is gone, what is paused, and what to do about each.

use std::sync::Arc;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::CallbackId;
use ringback_core::callback::{Callback, CallbackState, DisabledReason};
use ringback_core::delivery::{Delivery, DeliveryState, WaitReason};
use ringback_store::{DeliveryQuery, StatusFilter, Traffic};

use crate::Console;
use crate::pages::chart::sparkline;
use crate::pages::parts::{
    COUNTED_MAX, address, badge, callback_link, counted, nothing, number, percent,
};
use crate::pages::traffic::{self, Day, Days};
use crate::pages::visitor::Visitor;
use crate::pages::{ROOT, parts};

/// How many are shown of each kind.
const SHOWN: usize = 10;
/// What failed within so many hours is trouble now: two that are over, and the one that is not.
const RECENT_HOURS: usize = 3;

/// All that are in trouble, as far as they are shown.
pub(super) struct Troubles {
    callbacks: Vec<Trouble>,
    /// Those that are not shown.
    more: usize,
}

struct Trouble {
    callback: Arc<Callback>,
    kind: Kind,
    day: Day,
}

enum Kind {
    Failing {
        recent: Traffic,
        is_circuit_open: bool,
    },
    Gone,
    /// So many deliveries are kept, up to [`COUNTED_MAX`].
    Paused(u64),
}

/// Those of these callbacks that are in trouble: failing ones first, the worst of them first.
pub(super) async fn find(
    console: &Console,
    callbacks: Vec<Arc<Callback>>,
) -> Result<Troubles, Problem> {
    let days = traffic::of_callbacks(console).await?;
    let of_state = |state: CallbackState| {
        let mut found: Vec<_> =
            callbacks.iter().filter(|callback| callback.state == state).collect();
        found.sort_by_key(|callback| (std::cmp::Reverse(callback.updated_at), callback.id));
        found
    };
    let failing = failing(of_state(CallbackState::Enabled), &days);
    let gone = of_state(CallbackState::Disabled(DisabledReason::Gone));
    let paused = of_state(CallbackState::Paused);
    let all = [failing.len(), gone.len(), paused.len()];
    let day = |callback: &Callback| days.get(&callback.id).cloned().unwrap_or_default();

    let mut shown = Vec::new();
    let failing: Vec<_> = failing.into_iter().take(SHOWN).collect();
    let with_circuit = failing.iter().filter(|(callback, _)| callback.circuit.enabled);
    let with_circuit: Vec<_> = with_circuit.map(|(callback, _)| callback.id).collect();
    let open = console.store.open_circuits(&with_circuit).await?;
    for (callback, recent) in failing {
        let is_circuit_open = open.contains(&callback.id);
        shown.push((callback, Kind::Failing { recent, is_circuit_open }));
    }
    shown.extend(gone.into_iter().take(SHOWN).map(|callback| (callback, Kind::Gone)));
    // One after the other: others want the store's connections, too.
    for callback in paused.into_iter().take(SHOWN) {
        shown.push((callback, Kind::Paused(pending(console, callback.id).await?)));
    }
    let callbacks = shown.into_iter().map(|(callback, kind)| Trouble {
        callback: Arc::clone(callback),
        kind,
        day: day(callback),
    });
    let more = all.into_iter().map(|found| found.saturating_sub(SHOWN)).sum();
    Ok(Troubles { callbacks: callbacks.collect(), more })
}

fn failing<'a>(
    callbacks: Vec<&'a Arc<Callback>>,
    days: &Days,
) -> Vec<(&'a Arc<Callback>, Traffic)> {
    let recent = |callback: &Callback| {
        let mut sum = Traffic::default();
        for hour in days.get(&callback.id)?.hours.iter().rev().take(RECENT_HOURS) {
            sum += *hour;
        }
        (sum.failed > 0).then_some(sum)
    };
    let mut failing: Vec<_> = callbacks.into_iter().filter_map(|c| Some((c, recent(c)?))).collect();
    let ratio = |traffic: &Traffic| traffic.success_ratio().unwrap_or(1.0);
    failing.sort_by(|(_, one), (_, other)| {
        ratio(one).total_cmp(&ratio(other)).then(other.failed.cmp(&one.failed))
    });
    failing
}

/// Pending deliveries to a callback, up to [`COUNTED_MAX`].
pub(in crate::pages) async fn pending(
    console: &Console,
    callback: CallbackId,
) -> Result<u64, Problem> {
    let query = DeliveryQuery {
        callback: Some(callback),
        status: Some(StatusFilter::Pending),
        ..DeliveryQuery::default()
    };
    Ok(console.store.count_deliveries(&query, COUNTED_MAX).await?)
}

/// Whether a delivery is put off because its endpoint is left alone.
pub(in crate::pages) fn waits_for_circuit(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Pending { waits: Some(WaitReason::CircuitOpen), .. })
}

pub(super) fn list(visitor: &Visitor, troubles: &Troubles) -> Markup {
    html! {
        section.part aria-labelledby="trouble-title" {
            h2 #trouble-title { "Endpoints in trouble" }
            div.card.bare-list {
                @if troubles.callbacks.is_empty() {
                    (nothing("None", html! { "Nothing failed in the last two hours, and no callback is paused or gone." }))
                } @else {
                    table.list {
                        thead {
                            tr {
                                th scope="col" { "Callback" }
                                @if visitor.is_administrator() { th scope="col" { "Account" } }
                                th scope="col" { "Trouble" }
                                th.number scope="col" { "Success, last 2–3 h" }
                                th scope="col" { "Last 24 hours" }
                                th scope="col" { "What to do" }
                            }
                        }
                        tbody { @for trouble in &troubles.callbacks { (row(visitor, trouble)) } }
                    }
                }
            }
            @if troubles.more > 0 {
                p.hint-line { (number(troubles.more as u64)) " more are among " a href={ (ROOT) "/callbacks" } { "all callbacks" } "." }
            }
        }
    }
}

fn row(visitor: &Visitor, trouble: &Trouble) -> Markup {
    let Trouble { callback, kind, day } = trouble;
    html! {
        tr {
            th scope="row" { (callback_link(Some(callback), callback.id)) }
            @if visitor.is_administrator() { td data-label="Account" { (parts::account_of(callback)) } }
            td data-label="Trouble" { (what(kind)) }
            td.number data-label="Success, last 2–3 h" {
                @if let Kind::Failing { recent, .. } = kind {
                    span { (recent.success_ratio().map_or(String::new(), percent)) " of " (number(recent.attempts())) }
                }
            }
            td data-label="Last 24 hours" {
                @if day.sum.attempts() > 0 { (sparkline(day)) }
            }
            td data-label="What to do" { span { (what_to_do(kind, callback)) } }
        }
    }
}

fn what(kind: &Kind) -> Markup {
    match kind {
        Kind::Failing { is_circuit_open: false, .. } => badge("bad", "failing"),
        Kind::Failing { is_circuit_open: true, .. } => {
            html! { span { (badge("bad", "failing")) " " (badge("busy", "circuit open")) } }
        }
        Kind::Gone => badge("bad", "gone"),
        Kind::Paused(kept) => {
            html! { span { (badge("busy", "paused")) " " (counted(*kept, COUNTED_MAX)) " kept" } }
        }
    }
}

fn what_to_do(kind: &Kind, callback: &Callback) -> Markup {
    let id = callback.id.to_string();
    match kind {
        Kind::Failing { is_circuit_open, .. } => html! {
            a href=(address("/deliveries", &[("callback", &id)])) { "See what it answers" }
            @if *is_circuit_open { ". It is left alone for a while, and tried again by itself." }
            @else { ". Pause it if it needs a rest: nothing is lost." }
        },
        Kind::Gone => html! {
            "Its endpoint answered 410. " a href={ (ROOT) "/callbacks/" (id) } { "Correct its URL, and enable it again" } "."
        },
        Kind::Paused(_) => html! {
            a href={ (ROOT) "/callbacks/" (id) } { "Resume it" } ", and what is kept is sent."
        },
    }
}
