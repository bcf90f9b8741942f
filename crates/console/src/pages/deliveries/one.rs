//! One delivery: how it stands, what happens next, and every attempt.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::delivery::{Delivery, DeliveryState};
use ringback_core::retry::AttemptNumber;
use ringback_core::{Callback, DeliveryId};

use super::{attempts, standing};
use crate::pages::ROOT;
use crate::pages::known::callbacks;
use crate::pages::layout::{Section, page};
use crate::pages::parts::{
    self, callback_link, delivery_badge, name_of, number, post_button, time,
};
use crate::pages::posted::Posted;
use crate::pages::problem::not_possible;
use crate::pages::said::{Asked, Said};
use crate::pages::visitor::Visitor;
use crate::{Console, cancelling, deliveries};

pub(super) async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<DeliveryId>,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let chosen = query.take::<AttemptNumber>("attempt")?;
    query.end()?;
    one(&console, &visitor, id, (chosen, None)).await
}

pub(super) async fn retry(
    State(console): State<Console>,
    PathId(id): PathId<DeliveryId>,
    posted: Posted,
) -> Result<Response, Problem> {
    let done = deliveries::retry_now(&console, &posted.visitor.caller, id).await;
    answer(&console, &posted.visitor, id, done.map(|_| Said::RetryAsked)).await
}

pub(super) async fn cancel(
    State(console): State<Console>,
    PathId(id): PathId<DeliveryId>,
    posted: Posted,
) -> Result<Response, Problem> {
    let done = cancelling::cancel(&console, &posted.visitor.caller, id).await;
    answer(&console, &posted.visitor, id, done.map(|_| Said::DeliveryCancelled)).await
}

/// The page after something was done; what things as they stand do not allow is said on it.
async fn answer(
    console: &Console,
    visitor: &Visitor,
    id: DeliveryId,
    done: Result<Said, Problem>,
) -> Result<Response, Problem> {
    match done {
        Ok(said) => {
            let there: Redirect = said.at(&format!("{ROOT}/deliveries/{id}"));
            Ok(there.into_response())
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            let shown = one(console, visitor, id, (None, Some(&problem))).await?;
            Ok((StatusCode::CONFLICT, shown).into_response())
        }
        Err(problem) => Err(problem),
    }
}

async fn one(
    console: &Console,
    visitor: &Visitor,
    id: DeliveryId,
    (chosen, refused): (Option<AttemptNumber>, Option<&Problem>),
) -> Result<Markup, Problem> {
    let history = deliveries::history(console, &visitor.caller, id).await?;
    let known = callbacks(console).await?;
    let delivery = &history.delivery;
    let callback = known.get(&visitor.caller, delivery.callback);
    let (kind, stands) = standing::words(&history, callback);
    let title = format!("Delivery of {}", delivery.event_name);
    let body = html! {
        p.crumbs { a href={ (ROOT) "/deliveries" } { "Deliveries" } }
        @if let Some(refused) = refused { (not_possible(refused.detail())) }
        div #delivery data-live {
            div.head {
                h1 {
                    (delivery.event_name) " to "
                    @match callback {
                        Some(callback) => (name_of(callback)),
                        None => { "a callback" },
                    }
                }
                (actions(visitor, delivery, callback))
            }
            div class={ "banner " (kind) } { (stands) }
            (facts(visitor, delivery, callback))
            h2 { "Attempts" }
            (attempts::cards(&history, chosen))
        }
    };
    Ok(page(visitor, Section::Deliveries, &title, body))
}

fn actions(visitor: &Visitor, delivery: &Delivery, callback: Option<&Callback>) -> Markup {
    let action = |what: &str| format!("{ROOT}/deliveries/{}/{what}", delivery.id);
    let can_retry = delivery.state != DeliveryState::Delivered
        && callback.is_some_and(|callback| callback.state.is_enabled());
    let can_cancel =
        !delivery.state.is_settled() && (callback.is_some() || visitor.is_administrator());
    html! {
        div.actions {
            @if can_retry { (post_button(visitor, &action("retry"), "Retry now", "primary")) }
            @if can_cancel {
                (post_button(visitor, &action("cancel"), "Cancel", "danger"))
            }
        }
    }
}

fn facts(visitor: &Visitor, delivery: &Delivery, callback: Option<&Callback>) -> Markup {
    let event = delivery.event.to_string();
    let of_event =
        parts::address(&format!("/events/{event}"), &[("account", delivery.account.as_str())]);
    html! {
        div.card {
            dl.facts {
                dt { "Status" } dd { (delivery_badge(delivery.state)) }
                dt { "Event" } dd { a href=(of_event) { (delivery.event_name) } " " code { (event) } }
                dt { "Callback" } dd {
                    (callback_link(callback, delivery.callback))
                    @if callback.is_none() {
                        span.muted {
                            @if visitor.is_administrator() { " It was deleted." }
                            @else { " It was deleted, or belongs to the whole instance: only how its attempts went is shown." }
                        }
                    }
                }
                dt { "Account" } dd { (delivery.account) }
                dt { "Attempts made" } dd { (number(delivery.attempts.into())) }
                dt { "Accepted" } dd { (time(delivery.created_at)) }
                dt { "Last change" } dd { (time(delivery.updated_at)) }
                dt { "Delivery’s id" } dd { code { (delivery.id) } }
            }
        }
    }
}
