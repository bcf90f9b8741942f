//! A callback, tried out: what to send, and what came of it.

use std::iter;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::catalog::Catalog;
use ringback_core::delivery::{Attempt, Delivery, WaitReason};
use ringback_core::{Callback, CallbackId, Outcome};

use super::{address_of, crumb, section_of};
use crate::callbacks::own;
use crate::pages::ROOT;
use crate::pages::inputs::{Inputs, Mistakes};
use crate::pages::layout::page;
use crate::pages::parts::{badge, delivery_badge, duration, name_of, post_button, token};
use crate::pages::posted::{Fields, Posted};
use crate::pages::visitor::Visitor;
use crate::state::Console;
use crate::trial::{Tried, try_out, waits_for};
use crate::wire::replay::TestEvent;

pub(super) fn router() -> Router<Console> {
    Router::new().route("/callbacks/{id}/test", get(choose).post(send))
}

/// The field in which the type of the event is chosen.
const EVENT: &str = "event";

async fn choose(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<CallbackId>,
) -> Result<Markup, Problem> {
    let callback = own(&console, &visitor.caller, id).await?;
    let types = console.reference.types().await;
    let form = form(&visitor, &callback, types.catalog(), &Fields::default());
    Ok(trial_page(&visitor, &callback, "Send a test event", &form))
}

async fn send(
    State(console): State<Console>,
    PathId(id): PathId<CallbackId>,
    Posted { visitor, fields }: Posted,
) -> Result<Markup, Problem> {
    let name = fields.text(EVENT).trim();
    let wanted = TestEvent::of_type((!name.is_empty()).then(|| name.to_owned()));
    let tried = try_out(&console, &visitor.caller, id, &wanted).await?;
    let callback = own(&console, &visitor.caller, id).await?;
    let types = console.reference.types().await;
    let body = html! {
        (result(&tried))
        h2 { "Once more" }
        (form(&visitor, &callback, types.catalog(), &fields))
    };
    Ok(trial_page(&visitor, &callback, "What came of the test event", &body))
}

fn trial_page(visitor: &Visitor, callback: &Callback, title: &str, body: &Markup) -> Markup {
    let body = html! {
        (crumb(callback))
        div.head { h1 { (title) } }
        (body)
    };
    page(visitor, section_of(callback), title, body)
}

fn form(visitor: &Visitor, callback: &Callback, catalog: &Catalog, fields: &Fields) -> Markup {
    if !callback.state.is_enabled() {
        let enable = format!("{}/enable", address_of(callback));
        return html! {
            p { "It is disabled, so nothing is sent to it. Enable it first." }
            (post_button(visitor, &enable, "Enable it", "primary"))
        };
    }
    let inputs = Inputs { fields, mistakes: &Mistakes::default(), label_of: |_| "Event" };
    let names = catalog.iter().map(|(kind, _)| (kind.name.as_str(), kind.name.as_str()));
    let choices: Vec<_> = iter::once(("", "ringback.test")).chain(names).collect();
    html! {
        p { "One request is made to " code { (callback.url.as_str()) } " with examples of the event’s variables, whatever " (name_of(callback))
            " listens to. It is in the history like any other, and is not tried again." }
        form method="post" action={ (address_of(callback)) "/test" } {
            (token(visitor))
            (inputs.choice(EVENT, "", &choices))
            button.primary type="submit" { "Send it" }
        }
    }
}

fn result(tried: &Tried) -> Markup {
    let (delivery, attempt) = match &tried.seen {
        Some((delivery, attempt)) => (Some(delivery), attempt.as_ref()),
        None => (None, None),
    };
    html! {
        @match attempt {
            Some(attempt) => (answered(attempt)),
            None => (not_yet(delivery)),
        }
        p { a href={ (ROOT) "/deliveries/" (tried.delivery) } { "All that was sent and answered" } }
    }
}

fn answered(attempt: &Attempt) -> Markup {
    let (class, said) = match &attempt.outcome {
        Outcome::Success { .. } => ("good", "It arrived."),
        Outcome::HttpError { .. } => ("bad", "The receiver did not take it."),
        Outcome::Timeout { .. } => ("bad", "There was no whole answer in time."),
        Outcome::Connection { .. } => ("bad", "There was no connection, or it broke."),
        Outcome::Blocked { .. } => ("bad", "It was not sent: this address may not be sent to."),
    };
    html! {
        div class={ "banner " (class) } role="status" { p { strong { (said) } } }
        dl.facts {
            dt { "Request" } dd { (attempt.request.method.as_str()) " " code { (attempt.request.url) } }
            dt { "Answer" } dd { (answer(attempt)) }
            dt { "Took" } dd { (duration(attempt.duration)) }
        }
        @if let Some(response) = &attempt.response {
            @let text = String::from_utf8_lossy(&response.body);
            @if !text.is_empty() { pre { (text) } }
        }
    }
}

fn answer(attempt: &Attempt) -> Markup {
    match &attempt.outcome {
        Outcome::Success { status } => badge("good", &status.to_string()),
        Outcome::HttpError { status, .. } => badge("bad", &status.to_string()),
        Outcome::Timeout { reason }
        | Outcome::Connection { reason }
        | Outcome::Blocked { reason } => html! { (reason) },
    }
}

fn not_yet(delivery: Option<&Delivery>) -> Markup {
    html! {
        @if let Some(why) = delivery.and_then(waits_for) {
            div.banner.busy role="status" { p { strong { "It was not tried yet." } " " (why_in_words(why)) } }
        } @else {
            div.banner.busy role="status" {
                p { strong { "It was not tried in time." } " It stands behind others, or no worker runs. Look at its delivery later." }
                @if let Some(delivery) = delivery { p { (delivery_badge(delivery.state)) } }
            }
        }
    }
}

/// Why a test event is not tried for now.
const fn why_in_words(why: WaitReason) -> &'static str {
    match why {
        WaitReason::CircuitOpen => {
            "The endpoint is left alone for a while since it kept failing (its circuit is open); the test goes out when it is tried again."
        }
        WaitReason::RateLimit => {
            "The callback gets as many requests a second as it allows; the test goes out in its turn."
        }
        WaitReason::Concurrency => {
            "As many requests as the callback allows are under way; the test goes out once one of them ends."
        }
        WaitReason::Paused => "The callback is paused; the test goes out when it is resumed.",
        WaitReason::Retry | WaitReason::Scheduled => "It waits for its time.",
    }
}
