//! What the instance itself waits for: for administrators.

use std::convert::Infallible;
use std::time::Duration;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_broker::Depth;
use ringback_core::Timestamp;
use ringback_core::delivery::WaitReason;
use ringback_store::{Backlog, OVERDUE_AFTER, OVERDUE_MAX};
use tokio::time::timeout;

use crate::Console;
use crate::pages::parts::{counted, duration, number, waits_for};
use crate::pages::waiting;

/// A queue that is away may not answer for long, and the page is to be seen then more than ever.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How much is on the queue, and what goes wrong. That the store is away is said by the whole page, which needs it.
pub(super) async fn state(console: &Console) -> Result<Markup, Problem> {
    let now = console.clock.now();
    let (at, backlog) = waiting::late(console).await?;
    Ok(html! {
        @match queue(console, now).await {
            Some(depth) => (on_the_queue(depth)),
            None => (no_queue()),
        }
        (late(&backlog, at))
    })
}

/// How much is on the queue; none: it does not answer.
async fn queue(console: &Console, now: Timestamp) -> Option<Depth> {
    let ask = async {
        console.broker.ready().await?;
        console.broker.depth().await
    };
    let ask = async { Ok(timeout(ANSWERS_WITHIN, ask).await.ok().and_then(Result::ok)) };
    let Ok(depth) = console.queue.get::<Infallible>(now, ask).await;
    depth
}

fn on_the_queue(depth: Depth) -> Markup {
    html! {
        @if depth.is_deserted {
            div.banner.bad {
                p { strong { "Events wait, and no worker takes them. " } "See that workers run, and that they reach the queue." }
            }
        }
        p.hint-line {
            "On the queue: " (number(depth.fresh)) " messages with new events, " (number(depth.returned))
            " with deliveries that came back, " (number(depth.delayed)) " not due yet."
            @if depth.poison + depth.rejected > 0 {
                " Set aside because they can’t be read: " strong { (number(depth.poison + depth.rejected)) } "."
            }
        }
    }
}

fn no_queue() -> Markup {
    html! {
        div.banner.bad role="alert" {
            p { strong { "The queue does not answer." } }
            p { "Nothing is lost: what was accepted waits, and producers send again what is not accepted. See that the broker "
                "runs, and that Ringback reaches it." }
        }
    }
}

fn late(backlog: &Backlog, now: Timestamp) -> Markup {
    let overdue: Vec<_> = backlog.overdue.iter().filter(|(_, count)| *count > 0).collect();
    let oldest = backlog.oldest_due.map(|due| now.since(due)).filter(|age| *age > OVERDUE_AFTER);
    html! {
        @if !overdue.is_empty() {
            div.banner.bad {
                p { strong { "Deliveries are late. " }
                    @if let Some(oldest) = oldest { "The oldest is due for " (duration(oldest)) ". " }
                    "If it becomes more, see that workers run, and that there are enough of them."
                }
                p { "Due for more than " (duration(OVERDUE_AFTER)) ", by what they wait for:" }
                ul {
                    @for (reason, count) in &overdue {
                        li { (waits_for(*reason)) ": " strong { (counted(*count, OVERDUE_MAX)) } ". " (cause(*reason)) }
                    }
                }
            }
        } @else if let Some(oldest) = oldest {
            // No banner: it is kept for a callback that is paused, or put off again and again. Or the worker that had it died.
            p.hint-line {
                "The oldest delivery that is due waits for " (duration(oldest)) ". Callbacks that are paused, and endpoints "
                "that fail or want fewer requests, let theirs wait; where there are none, see that workers run."
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
