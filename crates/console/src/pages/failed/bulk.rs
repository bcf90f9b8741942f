//! Replaying all that failed and matches a filter: asked once more, then begun.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::ReplayId;
use ringback_store::{DeliveryQuery, ReplayFilter};

use super::{address, filter_of, hidden, parameters, status_of, wanted};
use crate::callbacks::own;
use crate::pages::ROOT;
use crate::pages::filters::Filter;
use crate::pages::inputs::{Inputs, Mistakes, once};
use crate::pages::known::callbacks;
use crate::pages::layout::{Section, page};
use crate::pages::parts::{ASKED_ABOUT_MAX, counted, token};
use crate::pages::posted::{Fields, Posted};
use crate::pages::replays::filter_in_words;
use crate::pages::said::{Asked, Said};
use crate::pages::visitor::Visitor;
use crate::wire::replay::{FilterSettings, ReplayRequest};
use crate::{Console, replays};

/// The field for how many deliveries are sent in a second.
const PER_SECOND: &str = "per_second";
/// Unless something else is said, as in the API.
const PER_SECOND_DEFAULT: &str = "100";

pub(super) async fn confirm(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let wanted = exactly(&console, &visitor, &mut filter).await?;
    filter.end()?;
    let fields = Fields::from_iter([(PER_SECOND.to_owned(), PER_SECOND_DEFAULT.to_owned())]);
    question(&console, &visitor, &wanted, (&fields, &Mistakes::default())).await
}

pub(super) async fn begin(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let wanted = exactly(&console, &visitor, &mut filter_of(&fields)).await?;
    let request = request(&wanted, fields.text(PER_SECOND).trim());
    let id = id(&console, &visitor, &fields, &wanted)?;
    match replays::begin(&console, &visitor.caller, id, &request).await {
        Ok(replay) => {
            Ok(Said::ReplayBegun.at(&format!("{ROOT}/replays/{}", replay.id)).into_response())
        }
        Err(problem) if problem.errors().iter().any(|error| error.pointer == "/per_second") => {
            let mistakes = Mistakes::in_place(problem.errors());
            let again = question(&console, &visitor, &wanted, (&fields, &mistakes)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
        Err(problem) => Err(problem),
    }
}

/// The id of the bulk replay that this form begins, however often it is sent.
fn id(
    console: &Console,
    visitor: &Visitor,
    fields: &Fields,
    wanted: &DeliveryQuery,
) -> Result<ReplayId, Problem> {
    let (filter, per_second) = (address("/failed", wanted), fields.text(PER_SECOND));
    let (at, random) = once::parts(visitor, fields, &[&filter, per_second], console.clock.now())?;
    Ok(ReplayId::from_parts(at, random))
}

/// What a filter asks for. Here nobody types it: what is wrong with it can't be said beside a field.
async fn exactly(
    console: &Console,
    visitor: &Visitor,
    filter: &mut Filter,
) -> Result<DeliveryQuery, Problem> {
    let wanted = wanted(console, visitor, filter).await?;
    if !filter.is_right() {
        // To send more than was asked for is worse than to send nothing.
        return Err(Problem::malformed("the filter can't be read: choose it anew"));
    }
    if let Some(callback) = wanted.callback {
        own(console, &visitor.caller, callback).await?;
    }
    Ok(wanted)
}

fn request(wanted: &DeliveryQuery, per_second: &str) -> ReplayRequest {
    let [callback, account, _, since, until] =
        parameters(wanted).map(|(_, value)| Some(value).filter(|value| !value.is_empty()));
    let status = Some(status_of(wanted).as_str().to_owned());
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
    (fields, mistakes): (&Fields, &Mistakes),
) -> Result<Markup, Problem> {
    let count = console.store.count_deliveries(wanted, ASKED_ABOUT_MAX).await?;
    if count == 0 {
        return Ok(nothing_to_replay(visitor, wanted));
    }
    let how_many = counted(count, ASKED_ABOUT_MAX);
    let known = callbacks(console).await?;
    let filter = ReplayFilter {
        callback: wanted.callback,
        account: wanted.account.clone(),
        event_name: None,
        status: status_of(wanted),
        since: wanted.since,
        until: wanted.until,
    };
    let inputs = Inputs { fields, mistakes, label_of: |_| "Deliveries a second" };
    let body = html! {
        p.crumbs { a href=(address("/failed", wanted)) { "Failed" } }
        div.head { h1 { "Replay all " (how_many) "?" } }
        p { (filter_in_words(visitor, &known, &filter)) }
        p {
            "Each is tried again, oldest first, with its callback’s whole retry policy before it. Those whose callback was "
            "deleted or disabled are left out"
            @if !visitor.is_administrator() { ", and so are deliveries to integrations, which only an administrator can replay" }
            "."
        }
        form method="post" action={ (ROOT) "/failed/replay" } {
            (token(visitor))
            (once::field(fields, console.clock.now()))
            (hidden(wanted))
            (inputs.number(PER_SECOND, "At most this many a second: 1 to 10000. New events are never held up."))
            div.actions {
                button.primary type="submit" { "Replay all " (how_many) }
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
        p { "Nothing that was given up matches this filter, or not any more." }
    };
    page(visitor, Section::Failed, "Nothing to replay", body)
}
