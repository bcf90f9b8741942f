//! What the instance itself waits for: for administrators.

use std::time::Duration;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::Timestamp;
use ringback_core::delivery::WaitReason;
use ringback_store::{Backlog, OVERDUE_MAX};
use tokio::time::timeout;

use crate::Console;
use crate::pages::parts::{counted, duration, waits_for};

/// A queue that is away may not answer for long, and the page is to be seen then more than ever.
const QUEUE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// What is due for less is on its way.
const LATE_AFTER: Duration = ringback_store::OVERDUE_AFTER;

/// What goes wrong, if anything does. That the store is away is said by the whole page, which needs it.
pub(super) async fn troubles(console: &Console) -> Result<Markup, Problem> {
    let now = console.clock.now();
    let backlog = console.store.backlog(now).await?;
    let queue = timeout(QUEUE_ANSWERS_WITHIN, console.broker.ready()).await;
    let is_queue_there = matches!(queue, Ok(Ok(())));
    Ok(html! {
        @if !is_queue_there {
            div.banner.bad role="alert" {
                p { strong { "The queue does not answer. " } "Nothing is lost: producers send again what is not accepted, and what was "
                    "accepted waits. See that the broker runs and that Ringback reaches it." }
            }
        }
        (late(&backlog, now))
    })
}

fn late(backlog: &Backlog, now: Timestamp) -> Markup {
    let overdue: Vec<_> = backlog.overdue.iter().filter(|(_, count)| *count > 0).collect();
    let oldest = backlog.oldest_due.map(|due| now.since(due)).filter(|age| *age > LATE_AFTER);
    html! {
        @if oldest.is_some() || !overdue.is_empty() {
            div.banner.bad role="status" {
                p { strong { "Deliveries are late. " }
                    @if let Some(oldest) = oldest { "The oldest is due for " (duration(oldest)) ". " }
                    "If it becomes more, see that workers run, and that there are enough of them."
                }
                @if !overdue.is_empty() {
                    p { "Due for more than " (duration(LATE_AFTER)) ", by what they wait for:" }
                    ul {
                        @for (reason, count) in &overdue {
                            li { (waits_for(*reason)) ": " strong { (counted(*count, OVERDUE_MAX)) } ". " (cause(*reason)) }
                        }
                    }
                }
            }
        }
    }
}

const fn cause(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Retry | WaitReason::Scheduled => {
            "Their time has come, and no worker took them."
        }
        WaitReason::Concurrency => "Their endpoints are slower than what comes in.",
        WaitReason::RateLimit => "More comes in than their callbacks’ rate limits let through.",
        WaitReason::CircuitOpen => "Their endpoints fail, and are tried from time to time.",
        WaitReason::Paused => "Their callback was resumed, and what was kept is being let go.",
    }
}
