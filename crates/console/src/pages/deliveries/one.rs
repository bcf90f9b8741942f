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
use crate::pages::sure::Sure;
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

/// Asks whether it is to be cancelled.
pub(super) async fn cancelling(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<DeliveryId>,
) -> Result<Markup, Problem> {
    let delivery = deliveries::visible(&console, &visitor.caller, id).await?;
    let known = callbacks(&console).await?;
    let callback = known.get(&visitor.caller, delivery.callback);
    let address = format!("{ROOT}/deliveries/{id}");
    let asked = Sure {
        title: "Cancel this delivery?",
        said: html! {
            p {
                strong { (delivery.event_name) } " is not sent to "
                (callback.map_or("its callback", name_of)) " any more. A request that is under way ends as it ends."
            }
        },
        action: &format!("{address}/cancel"),
        carried: &[],
        label: "Cancel it",
        back: (&address, "Delivery"),
    };
    Ok(asked.page(&visitor, Section::Deliveries))
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
    let can_send_again = delivery.state == DeliveryState::Delivered
        && callback.is_some_and(|callback| callback.state.is_enabled());
    let (event, to) = (delivery.event.to_string(), delivery.callback.to_string());
    let again = [("account", delivery.account.as_str()), ("callback", &to)];
    let can_cancel =
        !delivery.state.is_settled() && (callback.is_some() || visitor.is_administrator());
    html! {
        div.actions {
            @if can_retry { (post_button(visitor, &action("retry"), "Retry now", "primary")) }
            @if can_send_again {
                a.button href=(parts::address(&format!("/events/{event}/replay"), &again)) data-dialog { "Send it again" }
            }
            @if can_cancel { a.button.danger href=(action("cancel")) data-dialog { "Cancel" } }
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
