//! Deliveries as rows.

use maud::{Markup, html};
use ringback_core::Target;
use ringback_core::delivery::{Delivery, DeliveryState, WaitReason};

use crate::pages::ROOT;
use crate::pages::known::Callbacks;
use crate::pages::parts::{badge, callback_link, delivery_badge, nothing, number, time};
use crate::pages::visitor::Visitor;

/// Deliveries, each with a link to all of it. Administrators see whose each is.
pub(in crate::pages) fn table(
    visitor: &Visitor,
    callbacks: &Callbacks,
    deliveries: &[Delivery],
) -> Markup {
    rows(visitor, Some(callbacks), deliveries)
}

/// The same of one callback's, which need not be said in each row.
pub(in crate::pages) fn table_of_callback(visitor: &Visitor, deliveries: &[Delivery]) -> Markup {
    rows(visitor, None, deliveries)
}

fn rows(visitor: &Visitor, callbacks: Option<&Callbacks>, deliveries: &[Delivery]) -> Markup {
    if deliveries.is_empty() {
        let hint = html! { "There is one for each event and each callback that it goes to." };
        return html! { div.card.bare-list { (nothing("No deliveries", hint)) } };
    }
    html! {
        div.card.bare-list {
            table.list {
                thead {
                    tr {
                        th scope="col" { "Event" }
                        @if visitor.is_administrator() { th scope="col" { "Account" } }
                        @if callbacks.is_some() { th scope="col" { "Callback" } }
                        th scope="col" { "Status" }
                        th.number scope="col" { "Attempts" }
                        th scope="col" { "Accepted" }
                        th scope="col" { "Next or last attempt" }
                    }
                }
                tbody {
                    @for delivery in deliveries { (row(visitor, callbacks, delivery)) }
                }
            }
        }
    }
}

fn row(visitor: &Visitor, callbacks: Option<&Callbacks>, delivery: &Delivery) -> Markup {
    html! {
        tr {
            th scope="row" { (name_link(delivery)) }
            @if visitor.is_administrator() { td data-label="Account" { (delivery.account) } }
            @if let Some(callbacks) = callbacks {
                @let callback = callbacks.get(&visitor.caller, delivery.callback);
                td data-label="Callback" { (callback_link(callback, delivery.callback)) }
            }
            td data-label="Status" { (delivery_badge(delivery.state)) }
            td.number data-label="Attempts" { (number(delivery.attempts.into())) }
            td data-label="Accepted" { (time(delivery.created_at)) }
            td data-label="Next or last attempt" { (next_or_last(delivery)) }
        }
    }
}

/// A delivery, by the name of its event, and whether it was sent on purpose.
pub(in crate::pages) fn name_link(delivery: &Delivery) -> Markup {
    // Many events have one name: the ids tell them apart.
    let ids = format!("Event {}, delivery {}", delivery.event, delivery.id);
    html! {
        span {
            a href={ (ROOT) "/deliveries/" (delivery.id) } title=(ids) { (delivery.event_name) }
            @match delivery.generation {
                0 => {}
                Target::TRIAL => { " " (badge("quiet", "test")) }
                _ => { " " (badge("quiet", "replay")) }
            }
        }
    }
}

fn next_or_last(delivery: &Delivery) -> Markup {
    match delivery.state {
        DeliveryState::Pending { waits: Some(WaitReason::Paused), .. } => {
            html! { span.muted { "once it is resumed" } }
        }
        DeliveryState::Pending { waits: None, .. } => html! { span.muted { "now" } },
        DeliveryState::Pending { next_attempt_at, .. } => time(next_attempt_at),
        DeliveryState::Delivered | DeliveryState::Exhausted | DeliveryState::Cancelled(_) => {
            time(delivery.updated_at)
        }
    }
}
