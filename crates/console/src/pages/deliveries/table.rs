//! Deliveries as rows.

use maud::{Markup, html};
use ringback_core::Target;
use ringback_core::delivery::{Delivery, DeliveryState, WaitReason};

use super::outcome::LastOutcomes;
use crate::pages::ROOT;
use crate::pages::known::Callbacks;
use crate::pages::parts::{badge, callback_link, delivery_badge, nothing, time};
use crate::pages::visitor::Visitor;

/// Deliveries, each with a link to all of it. Administrators see whose each is.
pub(in crate::pages) fn table(
    visitor: &Visitor,
    callbacks: &Callbacks,
    rows: (&[Delivery], &LastOutcomes),
) -> Markup {
    Table { visitor, callbacks, is_of_one: false }.shows(rows)
}

/// The same of one callback's, which need not be said in each row.
pub(in crate::pages) fn table_of_callback(
    visitor: &Visitor,
    callbacks: &Callbacks,
    rows: (&[Delivery], &LastOutcomes),
) -> Markup {
    Table { visitor, callbacks, is_of_one: true }.shows(rows)
}

struct Table<'a> {
    visitor: &'a Visitor,
    callbacks: &'a Callbacks,
    /// Of one callback.
    is_of_one: bool,
}

impl Table<'_> {
    fn shows(&self, (deliveries, outcomes): (&[Delivery], &LastOutcomes)) -> Markup {
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
                            @if self.visitor.is_administrator() { th scope="col" { "Account" } }
                            @if !self.is_of_one { th scope="col" { "Callback" } }
                            th scope="col" { "Status" }
                            th scope="col" { "Attempts" }
                            th scope="col" { "Accepted" }
                            th scope="col" { "Next or last attempt" }
                        }
                    }
                    tbody {
                        @for delivery in deliveries { (self.row(delivery, outcomes)) }
                    }
                }
            }
        }
    }

    fn row(&self, delivery: &Delivery, outcomes: &LastOutcomes) -> Markup {
        let Self { visitor, callbacks, is_of_one } = *self;
        let callback = callbacks.get(&visitor.caller, delivery.callback);
        html! {
            tr {
                th scope="row" { (name_link(delivery)) }
                @if visitor.is_administrator() { td data-label="Account" { (delivery.account) } }
                @if !is_of_one {
                    td data-label="Callback" { (callback_link(callback, delivery.callback)) }
                }
                td data-label="Status" { (delivery_badge(delivery.state)) }
                td data-label="Attempts" {
                    span { (outcomes.attempts(visitor, callback, delivery)) }
                }
                td data-label="Accepted" { (time(delivery.created_at)) }
                td data-label="Next or last attempt" { (next_or_last(delivery)) }
            }
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
