//! Bulk replays and how far they are.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::{PathId, Problem};
use ringback_core::ReplayId;
use ringback_store::{Cursor, Replay, ReplayFilter, ReplayStatus, StatusFilter};

use super::ROOT;
use super::known::{Callbacks, callbacks};
use super::layout::{Section, page};
use super::parts::{
    ROWS, address, badge, callback_link, nothing, number, pager, post_button, text_of, time,
};
use super::posted::Posted;
use super::problem::{not_possible, sentence};
use super::said::{Asked, Said};
use super::visitor::Visitor;
use crate::{Console, replays};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/replays", get(list))
        .route("/replays/{id}", get(show))
        .route("/replays/{id}/cancel", post(cancel))
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let after = query.take::<Cursor>("cursor")?;
    query.end()?;
    let found = console.store.replays(visitor.caller.account(), ROWS, after.as_ref()).await?;
    let known = callbacks(&console).await?;
    let hint =
        html! { "Begin one where you see " a href={ (ROOT) "/failed" } { "what failed" } "." };
    let is_running = found.items.iter().any(|replay| replay.status == ReplayStatus::Running);
    let body = html! {
        p.crumbs { a href={ (ROOT) "/failed" } { "Failed" } }
        div.head { h1 { "Replays" } }
        div #replays data-live=[is_running.then_some("5")] {
            div.card.bare-list {
                @if found.items.is_empty() {
                    (nothing("No replays yet", hint))
                } @else {
                    (rows(&visitor, &known, &found.items))
                }
            }
        }
        (pager(&format!("{ROOT}/replays"), after.is_none(), found.next.as_ref()))
    };
    Ok(page(&visitor, Section::Failed, "Replays", body))
}

fn rows(visitor: &Visitor, known: &Callbacks, replays: &[Replay]) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { "Begun" }
                    th scope="col" { "What" }
                    th scope="col" { "Status" }
                    th.number scope="col" { "Sent off" }
                    th.number scope="col" { "Left out" }
                }
            }
            tbody {
                @for replay in replays {
                    tr {
                        th scope="row" { a href={ (ROOT) "/replays/" (replay.id) } { (time(replay.created_at)) } }
                        td data-label="What" { span { (filter_in_words(visitor, known, &replay.filter)) } }
                        td data-label="Status" { (status_badge(replay.status)) }
                        td.number data-label="Sent off" { (number(replay.replayed)) }
                        td.number data-label="Left out" { (number(replay.skipped)) }
                    }
                }
            }
        }
    }
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    PathId(id): PathId<ReplayId>,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    query.end()?;
    one(&console, &visitor, id, None).await
}

async fn cancel(
    State(console): State<Console>,
    PathId(id): PathId<ReplayId>,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    match replays::end(&console, &visitor.caller, id).await {
        Ok(_) => Ok(Said::ReplayCancelled.at(&format!("{ROOT}/replays/{id}")).into_response()),
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            let shown = one(&console, &visitor, id, Some(&problem)).await?;
            Ok((StatusCode::CONFLICT, shown).into_response())
        }
        Err(problem) => Err(problem),
    }
}

async fn one(
    console: &Console,
    visitor: &Visitor,
    id: ReplayId,
    refused: Option<&Problem>,
) -> Result<Markup, Problem> {
    let replay = replays::visible(console, &visitor.caller, id).await?;
    let known = callbacks(console).await?;
    let is_running = replay.status == ReplayStatus::Running;
    let address = format!("{ROOT}/replays/{id}");
    let body = html! {
        p.crumbs { a href={ (ROOT) "/replays" } { "Replays" } }
        @if let Some(refused) = refused { (not_possible(refused.detail())) }
        div #replay data-live=[is_running.then_some("2")] {
            div.head {
                h1 { "Replay" }
                @if is_running {
                    div.actions {
                        (post_button(visitor, &format!("{address}/cancel"), "Cancel the replay", "danger"))
                    }
                }
            }
            div.card { (how_far(&replay)) }
            (facts(visitor, &known, &replay))
            @if !is_running {
                p { a href=(what_became(visitor, &replay.filter)) { "What became of these deliveries" } }
            }
            @if is_running { p { a href=(address) { "Load again" } } }
        }
    };
    Ok(page(visitor, Section::Failed, "Replay", body))
}

/// The deliveries that a replay was about, as they stand now.
fn what_became(visitor: &Visitor, filter: &ReplayFilter) -> String {
    let account = text_of(filter.account.as_ref().filter(|_| visitor.is_administrator()));
    let (callback, since, until) =
        (text_of(filter.callback), text_of(filter.since), text_of(filter.until));
    let parameters =
        [("callback", &*callback), ("account", &account), ("since", &since), ("until", &until)];
    address("/deliveries", &parameters)
}

fn how_far(replay: &Replay) -> Markup {
    let done = replay.replayed.saturating_add(replay.skipped);
    let is_running = replay.status == ReplayStatus::Running;
    html! {
        p {
            label.label for="progress" { "Progress" }
            @match replay.total {
                Some(total) => progress #progress max=(total.max(1)) value=(if total == 0 { 1 } else { done.min(total) }) {},
                None if is_running => progress #progress {},
                None => progress #progress max="1" value=(u8::from(replay.status == ReplayStatus::Finished)) {},
            }
        }
        p {
            (number(done))
            @match replay.total {
                Some(total) => { " of " (number(total)) " looked at" },
                None if is_running && done == 0 => " looked at so far",
                None => { " looked at; there are too many to count beforehand" },
            }
            ": " (number(replay.replayed)) " sent off, " (number(replay.skipped)) " left out."
        }
        @if replay.skipped > 0 {
            p.hint {
                "Left out is what can’t be delivered again: its callback was deleted or disabled or is not yours, its event is "
                "no longer in the history, or it was a test."
            }
        }
        @if let Some(error) = &replay.error { p.error { (sentence(error)) } }
    }
}

fn facts(visitor: &Visitor, known: &Callbacks, replay: &Replay) -> Markup {
    html! {
        div.card {
            dl.facts {
                dt { "Status" } dd { (status_badge(replay.status)) }
                dt { "What" } dd { (filter_in_words(visitor, known, &replay.filter)) }
                dt { "Pace" } dd { (number(replay.per_second.get().into())) " a second" }
                dt { "Begun" } dd { (time(replay.created_at)) }
                @if let Some(at) = replay.finished_at { dt { "Ended" } dd { (time(at)) } }
                @if visitor.is_administrator() {
                    dt { "Asked for by" } dd {
                        @match &replay.account {
                            Some(account) => { "account " (account) },
                            None => "an administrator",
                        }
                    }
                }
                dt { "Replay’s id" } dd { code { (replay.id) } }
            }
        }
    }
}

fn status_badge(status: ReplayStatus) -> Markup {
    let kind = match status {
        ReplayStatus::Running => "busy",
        ReplayStatus::Finished => "good",
        ReplayStatus::Cancelled => "quiet",
        ReplayStatus::Failed => "bad",
    };
    badge(kind, status.as_str())
}

/// What a bulk replay delivers again, as a sentence.
pub(super) fn filter_in_words(
    visitor: &Visitor,
    known: &Callbacks,
    filter: &ReplayFilter,
) -> Markup {
    html! {
        @match filter.status {
            StatusFilter::Exhausted => "Deliveries that failed for good",
            StatusFilter::Cancelled => "Deliveries that were cancelled",
            StatusFilter::Delivered => "Deliveries that were delivered, once more",
            StatusFilter::Pending => "Deliveries that are pending",
        }
        @if let Some(id) = filter.callback {
            " to " (callback_link(known.get(&visitor.caller, id), id))
        }
        @if let Some(name) = &filter.event_name { ", of events named " (name) }
        @if let Some(account) = &filter.account { ", of account " (account) }
        @if let Some(since) = filter.since { ", of events accepted since " (time(since)) }
        @if let Some(until) = filter.until { ", of events accepted before " (time(until)) }
        "."
    }
}
