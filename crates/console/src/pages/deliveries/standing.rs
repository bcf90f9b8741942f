//! How a delivery stands and what happens next, in plain words.

use std::num::NonZeroU32;
use std::time::Duration;

use maud::{Markup, html};
use ringback_core::delivery::{Attempt, CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::{Callback, Outcome, Target, Timestamp};

use crate::deliveries::History;
use crate::pages::ROOT;
use crate::pages::parts::{duration, so_many, time};
use crate::wire::delivery::Detail;

/// What kind of news it is, and the sentences. `callback` is none if it was deleted, or is not the reader's.
pub(super) fn words(history: &History, callback: Option<&Callback>) -> (&'static str, Markup) {
    let delivery = &history.delivery;
    match delivery.state {
        DeliveryState::Delivered => ("good", delivered(history)),
        DeliveryState::Exhausted => ("bad", exhausted(history, callback)),
        DeliveryState::Cancelled(reason) => ("", cancelled(delivery, reason, callback)),
        DeliveryState::Pending { next_attempt_at, waits } => {
            ("busy", pending(history, callback, (next_attempt_at, waits)))
        }
    }
}

fn delivered(history: &History) -> Markup {
    let attempts = history.attempts.len();
    html! {
        p {
            @match history.attempts.last() {
                Some(last) => {
                    "It was delivered at " (time(last.started_at)) ", with "
                    @if attempts == 1 { "the first attempt" } @else { "attempt " (last.number.get()) }
                    ", which " (met(last, history.detail)) "."
                }
                None => "It was delivered.",
            }
            " Nothing more happens."
        }
    }
}

fn exhausted(history: &History, callback: Option<&Callback>) -> Markup {
    let is_gone = history.detail == Detail::Full
        && matches!(
            history.attempts.last().map(|last| &last.outcome),
            Some(Outcome::HttpError { status: 410, .. })
        );
    html! {
        p {
            "It was given up after " (so_many(history.attempts.len(), "attempt"))
            @if let Some(last) = history.attempts.last() { "; the last one " (met(last, history.detail)) }
            "."
            @if is_gone { " With 410 a receiver says that it is gone for good, so there was no retry." }
            @if history.delivery.generation == Target::TRIAL { " It was a test, which is tried once." }
        }
        p { "Nothing more happens by itself. " (hint_to_retry(callback)) }
    }
}

fn cancelled(delivery: &Delivery, reason: CancelReason, callback: Option<&Callback>) -> Markup {
    let why = match reason {
        CancelReason::CallbackDisabled => "because its callback was disabled",
        CancelReason::CallbackDeleted => "because its callback was deleted",
        CancelReason::Requested => "because somebody asked for it",
    };
    html! {
        p { "It was cancelled at " (time(delivery.updated_at)) ", " (why) "." }
        p { "Nothing more happens by itself. " (hint_to_retry(callback)) }
    }
}

fn hint_to_retry(callback: Option<&Callback>) -> Markup {
    match callback {
        None => {
            html! { "It can’t be retried here: its callback was deleted, or is not one of yours." }
        }
        Some(callback) if !callback.state.is_enabled() => html! {
            "To retry it, enable " a href={ (ROOT) "/callbacks/" (callback.id) } { "its callback" } " first."
        },
        Some(_) => html! { "Retry it once the receiver is ready for it." },
    }
}

fn pending(
    history: &History,
    callback: Option<&Callback>,
    (next, waits): (Timestamp, Option<WaitReason>),
) -> Markup {
    let Some(reason) = waits else {
        return html! { p { "An attempt is under way, or just about to be." } };
    };
    let last = history.attempts.last();
    html! {
        p {
            @match reason {
                WaitReason::Retry => {
                    "The next attempt is at " (time(next)) ", because "
                    @match last {
                        Some(last) => { "the last one " (met(last, history.detail)) },
                        None => "the last one failed",
                    }
                    @if let Some(wait) = asked_to_wait(last, history.detail) {
                        ", and the receiver asked to be left alone for " (duration(wait))
                    }
                    "."
                }
                WaitReason::Concurrency => {
                    "It waits its turn: as many requests as its callback allows"
                    (of(callback.map(|callback| callback.max_in_flight))) " are under way. It is looked at again at "
                    (time(next)) "."
                }
                WaitReason::RateLimit => {
                    "It waits because its callback gets as many requests a second as it wants. Its turn comes at "
                    (time(next)) "."
                }
                WaitReason::CircuitOpen => {
                    "It waits because its callback’s endpoint has failed again and again, and is left alone for a while. "
                    "It is tried again at " (time(next)) "."
                }
                WaitReason::Paused => {
                    "It is kept because its callback is paused, and sent as soon as that is resumed."
                    @if let Some(callback) = callback {
                        " Resume it on " a href={ (ROOT) "/callbacks/" (callback.id) } { "its page" } "."
                    }
                }
                WaitReason::Scheduled => {
                    "It is sent at " (time(next)) ", and not before: its event asks for that."
                }
            }
        }
    }
}

fn of(number: Option<NonZeroU32>) -> Markup {
    html! { @if let Some(number) = number { " (" (number) ")" } }
}

fn asked_to_wait(last: Option<&Attempt>, detail: Detail) -> Option<Duration> {
    match last?.outcome {
        Outcome::HttpError { retry_after, .. } if detail == Detail::Full => retry_after,
        _ => None,
    }
}

/// What an attempt met, to come after "it": no more than the reader may see.
pub(super) fn met(attempt: &Attempt, detail: Detail) -> String {
    match (&attempt.outcome, detail) {
        (Outcome::Success { status } | Outcome::HttpError { status, .. }, Detail::Full) => {
            format!("was answered with {status}")
        }
        (Outcome::Success { .. }, Detail::Outcome) => "succeeded".to_owned(),
        (Outcome::HttpError { .. }, Detail::Outcome) => "was refused by the receiver".to_owned(),
        (Outcome::Timeout { .. }, _) => "got no whole answer in time".to_owned(),
        (Outcome::Connection { .. }, _) => "found no connection, or lost it".to_owned(),
        (Outcome::Blocked { .. }, _) => {
            "was not sent, because its target is not allowed".to_owned()
        }
    }
}
