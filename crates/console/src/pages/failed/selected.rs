//! Retrying those that were ticked.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::DeliveryId;
use ringback_core::delivery::Delivery;
use ringback_store::DeliveryQuery;

use super::{address, filter_of, shown, wanted};
use crate::pages::deliveries::name_link;
use crate::pages::layout::{Section, page};
use crate::pages::parts::{ROWS, number};
use crate::pages::posted::{Fields, Posted};
use crate::pages::problem::sentence;
use crate::pages::visitor::Visitor;
use crate::{Console, deliveries};

pub(super) async fn retry(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let mut filter = filter_of(&fields);
    let wanted = wanted(&console, &visitor, &mut filter).await?;
    let chosen = chosen(&fields)?;
    let refused = match chosen.len() {
        0 => Some("Select at least one."),
        1..=ROWS => None,
        _ => Some("Select fewer: at most 50 at once."),
    };
    if refused.is_some() {
        let list = shown(&console, &visitor, (&filter, &wanted, None), refused).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, list).into_response());
    }
    // All of them are looked at before the first is sent: with one that is not theirs nothing is done.
    let mut all = Vec::with_capacity(chosen.len());
    for id in chosen {
        all.push(deliveries::visible(&console, &visitor.caller, id).await?);
    }
    let mut failed = Vec::new();
    for delivery in &all {
        if let Err(problem) = deliveries::retry_now(&console, &visitor.caller, delivery.id).await {
            failed.push((delivery, problem));
        }
    }
    Ok(outcome(&visitor, &wanted, (all.len() - failed.len(), &failed)).into_response())
}

/// The ids that were ticked, each once.
fn chosen(fields: &Fields) -> Result<Vec<DeliveryId>, Problem> {
    let mut seen = HashSet::new();
    let ids = fields.all("delivery").filter(|id| seen.insert(*id));
    let ids = ids.map(|id| id.parse().map_err(|_| Problem::not_found("delivery")));
    ids.collect()
}

fn outcome(
    visitor: &Visitor,
    wanted: &DeliveryQuery,
    (sent, failed): (usize, &[(&Delivery, Problem)]),
) -> Markup {
    let shown = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
    let body = html! {
        div.head { h1 { "Retried" } }
        @if sent > 0 {
            div.banner.good role="status" {
                p {
                    @if sent == 1 { "1 is on its way." } @else { (shown(sent)) " are on their way." }
                    " Each leaves the list of what failed once something came of it."
                }
            }
        }
        @if !failed.is_empty() {
            div.banner.bad role="alert" {
                p { (shown(failed.len())) " could not be retried:" }
                ul {
                    @for (delivery, problem) in failed {
                        li { (name_link(delivery)) ": " (sentence(problem.detail())) }
                    }
                }
            }
        }
        p { a href=(address("/failed", wanted)) { "Back to what failed" } }
    };
    page(visitor, Section::Failed, "Retried", body)
}
