//! How well a callback's endpoint does.

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::{Callback, CallbackId};
use ringback_store::TrafficOf;

use crate::Console;
use crate::pages::chart;
use crate::pages::parts::{COUNTED_MAX, address, counted, duration, number};
use crate::pages::span::{self, Past, Span};

pub(super) async fn of(
    console: &Console,
    callback: &Callback,
    span: Span,
) -> Result<Past, Problem> {
    Past::read(console, &TrafficOf::Callback(callback.id), span).await
}

pub(super) fn chooser(id: CallbackId, span: Span) -> Markup {
    html! {
        div.head {
            h2 #health { "Health, " (span.name()) }
            (span::chooser(span, &format!("/callbacks/{id}"), &[]))
        }
    }
}

/// `waiting` are its pending deliveries.
pub(super) fn tiles(past: &Past, id: CallbackId, waiting: u64) -> Markup {
    let (sum, id) = (&past.sum, id.to_string());
    // Lists go by when an event was accepted, and what is counted here by when it was given up: they are told no time.
    let to = |status: &str| address("/deliveries", &[("callback", &id), ("status", status)]);
    html! {
        dl.tiles {
            (chart::success_tile(past))
            div.tile {
                dt { "Response time" }
                dd {
                    (sum.duration_mean().map_or("–".to_owned(), duration))
                    small { @if sum.attempts() > 0 { "on average; the longest " (duration(sum.duration_max)) } @else { "nothing was tried" } }
                }
            }
            div.tile {
                dt { "Waiting now" }
                dd { a href=(to("pending")) { (counted(waiting, COUNTED_MAX)) } small { "pending deliveries" } }
            }
            div.tile {
                dt { "Exhausted" }
                dd { a href=(to("exhausted")) { (number(sum.exhausted)) } small { "given up" } }
            }
        }
    }
}

pub(super) fn charts(past: &Past) -> Markup {
    html! {
        div.columns {
            div #attempts-chart data-live="10" { (chart::attempts(past)) }
            div #time-chart data-live="10" { (chart::response_time(past)) }
        }
    }
}
