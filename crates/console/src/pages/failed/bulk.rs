//! Replaying all that failed and matches a filter: asked once more, then begun.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_store::{DeliveryQuery, ReplayFilter, StatusFilter};

use super::{COUNTED_MAX, address, counted, filter_of, hidden, parameters, wanted};
use crate::pages::ROOT;
use crate::pages::filters::Filter;
use crate::pages::known::callbacks;
use crate::pages::layout::{Section, page};
use crate::pages::parts::token;
use crate::pages::posted::Posted;
use crate::pages::problem::sentence;
use crate::pages::replays::filter_in_words;
use crate::pages::said::{Asked, Said};
use crate::pages::visitor::Visitor;
use crate::wire::replay::{FilterSettings, ReplayRequest};
use crate::{Console, replays};

/// Sent in a second unless something else is said, as in the API.
const PER_SECOND: &str = "100";

pub(super) async fn confirm(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let wanted = exactly(&visitor, &mut filter)?;
    filter.end()?;
    question(&console, &visitor, &wanted, (PER_SECOND, None)).await
}

pub(super) async fn begin(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let wanted = exactly(&visitor, &mut filter_of(&fields))?;
    let per_second = fields.text("per_second").trim();
    match replays::begin(&console, &visitor.caller, &request(&wanted, per_second)).await {
        Ok(replay) => {
            Ok(Said::ReplayBegun.at(&format!("{ROOT}/replays/{}", replay.id)).into_response())
        }
        Err(problem) => {
            let error = problem.errors().iter().find(|error| error.pointer == "/per_second");
            let Some(wrong) = error.map(|error| sentence(&error.detail)) else {
                return Err(problem);
            };
            let again = question(&console, &visitor, &wanted, (per_second, Some(&wrong))).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

/// What a filter asks for. Here nobody types it: what is wrong with it can't be said beside a field.
fn exactly(visitor: &Visitor, filter: &mut Filter) -> Result<DeliveryQuery, Problem> {
    let wanted = wanted(visitor, filter)?;
    match filter.is_right() {
        true => Ok(wanted),
        // To send more than was asked for is worse than to send nothing.
        false => Err(Problem::malformed("the filter can't be read: choose it anew")),
    }
}

fn request(wanted: &DeliveryQuery, per_second: &str) -> ReplayRequest {
    let [callback, account, since, until] =
        parameters(wanted).map(|(_, value)| Some(value).filter(|value| !value.is_empty()));
    let status = Some(StatusFilter::Exhausted.as_str().to_owned());
    // What is no number is refused as 0 is: with what is taken.
    let per_second = Some(per_second.parse().unwrap_or(0));
    ReplayRequest {
        filter: FilterSettings { callback, account, event_name: None, status, since, until },
        per_second,
    }
}

async fn question(
    console: &Console,
    visitor: &Visitor,
    wanted: &DeliveryQuery,
    (per_second, wrong): (&str, Option<&str>),
) -> Result<Markup, Problem> {
    let count = console.store.count_deliveries(wanted, COUNTED_MAX).await?;
    if count == 0 {
        return Ok(nothing_to_replay(visitor, wanted));
    }
    let known = callbacks(console).await?;
    let filter = ReplayFilter {
        callback: wanted.callback,
        account: wanted.account.clone(),
        event_name: None,
        status: StatusFilter::Exhausted,
        since: wanted.since,
        until: wanted.until,
    };
    let body = html! {
        p.crumbs { a href=(address("/failed", wanted)) { "Failed" } }
        div.head { h1 { "Replay all " (counted(count)) "?" } }
        p { (filter_in_words(visitor, &known, &filter)) }
        p {
            "Each is tried again, oldest first, with its callback’s whole retry policy before it. Those whose callback was "
            "deleted or disabled" @if !visitor.is_administrator() { ", or is not one of yours," } " are left out."
        }
        form method="post" action={ (ROOT) "/failed/replay" } {
            (token(visitor))
            (hidden(wanted))
            div.field {
                label for="per_second" { "Deliveries a second" }
                input #per_second type="number" name="per_second" min="1" max="10000" required value=(per_second)
                    aria-invalid=[wrong.map(|_| "true")]
                    aria-describedby={ "per_second-hint" @if wrong.is_some() { " per_second-error" } };
                @if let Some(wrong) = wrong { p.error #per_second-error { (wrong) } }
                p.hint #per_second-hint {
                    "As fast as the receivers can take it. New events are never held up."
                }
            }
            div.actions {
                button.primary type="submit" { "Replay all " (counted(count)) }
                a.button href=(address("/failed", wanted)) { "Don’t" }
            }
        }
    };
    Ok(page(visitor, Section::Failed, "Replay what failed", body))
}

fn nothing_to_replay(visitor: &Visitor, wanted: &DeliveryQuery) -> Markup {
    let body = html! {
        p.crumbs { a href=(address("/failed", wanted)) { "Failed" } }
        div.head { h1 { "Nothing to replay" } }
        p { "Nothing that failed matches this filter, or not any more." }
    };
    page(visitor, Section::Failed, "Nothing to replay", body)
}
