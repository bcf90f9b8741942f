//! What failed for good, to be sent again.

mod bulk;
mod selected;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};
use ringback_api::{Problem, Query};
use ringback_core::Account;
use ringback_core::delivery::Delivery;
use ringback_store::{Cursor, DeliveryQuery, Page, StatusFilter};

use super::ROOT;
use super::deliveries::{LastOutcomes, name_link};
use super::filters::{Filter, account_field, callback_field, choice_field, time_fields};
use super::known::{Callbacks, callbacks};
use super::layout::{Section, page};
use super::parts::{self, COUNTED_MAX, ROWS, callback_link, nothing, pager, text_of, time, token};
use super::posted::Fields;
use super::said::Asked;
use super::visitor::Visitor;
use crate::Console;
use crate::deliveries::Status;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/failed", get(list))
        .route("/failed/retry", post(selected::retry))
        .route("/failed/replay", get(bulk::confirm).post(bulk::begin))
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let wanted = wanted(&console, &visitor, &mut filter).await?;
    let after = filter.take_exact::<Cursor>("cursor")?;
    filter.end()?;
    shown(&console, &visitor, (&filter, &wanted, after.as_ref()), None).await
}

/// What a filter asks for: of what failed for good.
async fn wanted(
    console: &Console,
    visitor: &Visitor,
    filter: &mut Filter,
) -> Result<DeliveryQuery, Problem> {
    let known = callbacks(console).await?;
    let account = filter.take::<Account>("account")?;
    Ok(DeliveryQuery {
        account: visitor.account_for(account)?,
        callback: filter.take_callback(&known, &visitor.caller)?,
        event: None,
        status: Some(given_up(filter)?),
        since: filter.moment("since")?,
        until: filter.moment("until")?,
    })
}

/// How it was given up: with all its retries spent, unless something else is asked for.
fn given_up(filter: &mut Filter) -> Result<StatusFilter, Problem> {
    match filter.take("status")? {
        None => Ok(StatusFilter::Exhausted),
        Some(Status(status @ (StatusFilter::Exhausted | StatusFilter::Cancelled))) => Ok(status),
        Some(Status(StatusFilter::Pending | StatusFilter::Delivered)) => {
            filter.refuse("status", "Exhausted or cancelled.");
            Ok(StatusFilter::Exhausted)
        }
    }
}

/// The status that a filter of this page asks for.
fn status_of(wanted: &DeliveryQuery) -> StatusFilter {
    wanted.status.unwrap_or(StatusFilter::Exhausted)
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    (filter, wanted, after): (&Filter, &DeliveryQuery, Option<&Cursor>),
    refused: Option<&str>,
) -> Result<Markup, Problem> {
    let (found, count) = match filter.is_right() {
        true => (
            console.store.deliveries(wanted, ROWS, after).await?,
            console.store.count_deliveries(wanted, COUNTED_MAX).await?,
        ),
        false => (Page { items: Vec::new(), next: None }, 0),
    };
    let outcomes = LastOutcomes::of(console, &found.items).await?;
    let known = callbacks(console).await?;
    // An account's visitor sees no other: that is no filter.
    let is_of_some = wanted.callback.is_some() || !filter.text("account").is_empty();
    let is_filtered = is_of_some || wanted.since.is_some() || wanted.until.is_some();
    let body = html! {
        div.head {
            h1 { "Failed" }
            div.actions { a.button href={ (ROOT) "/replays" } { "Replays" } }
            p.lead {
                @if is_cancelled(wanted) {
                    "Deliveries that were cancelled: by hand, or because their callback was disabled or deleted."
                } @else {
                    "Deliveries that were given up: their retries are spent, or their endpoint is gone."
                }
            }
        }
        @if let Some(refused) = refused { div.banner.bad role="alert" { p { (refused) } } }
        form.filters method="get" action={ (ROOT) "/failed" } {
            (callback_field(filter, &known, &visitor.caller))
            (status_field(filter))
            (account_field(filter, visitor))
            (time_fields(wanted.since, wanted.until))
            div.actions {
                button.primary type="submit" { "Show" }
                a.button href={ (ROOT) "/failed" } { "Show all" }
            }
        }
        div #failed data-live[after.is_none()] {
            @if found.items.is_empty() && filter.is_right() {
                div.card.bare-list {
                    @if is_filtered {
                        (nothing("Nothing matches", html! { "Ask for less, or " a href={ (ROOT) "/failed" } { "show all" } "." }))
                    } @else if is_cancelled(wanted) {
                        (nothing("Nothing was cancelled here", html! { "What is cancelled shows here, to be sent again." }))
                    } @else {
                        (nothing("Nothing failed here", html! { "What is given up shows here, to be sent again." }))
                    }
                }
            }
            @if !found.items.is_empty() {
                div.head {
                    p { strong { (counted(count)) (if is_cancelled(wanted) { " cancelled" } else { " failed" }) } }
                    a.button data-dialog href=(address("/failed/replay", wanted)) {
                        "Replay all " (counted(count)) " that match this filter"
                    }
                }
                (selection(visitor, &known, (wanted, &found.items, &outcomes)))
            }
        }
        (pager(&address("/failed", wanted), after.is_none(), found.next.as_ref()))
    };
    Ok(page(visitor, Section::Failed, "Failed", body))
}

fn is_cancelled(wanted: &DeliveryQuery) -> bool {
    status_of(wanted) == StatusFilter::Cancelled
}

fn status_field(filter: &Filter) -> Markup {
    let cancelled = (StatusFilter::Cancelled.as_str().to_owned(), "Cancelled".to_owned());
    choice_field(filter, "Status", "status", ("Exhausted", &[cancelled]))
}

/// What failed, to tick and retry.
fn selection(
    visitor: &Visitor,
    known: &Callbacks,
    (wanted, deliveries, outcomes): (&DeliveryQuery, &[Delivery], &LastOutcomes),
) -> Markup {
    html! {
        form method="post" action={ (ROOT) "/failed/retry" } {
            (token(visitor))
            (hidden(wanted))
            div.card.bare-list {
                table.list {
                    thead {
                        tr {
                            th scope="col" { span.visually-hidden { "Selected" } }
                            th scope="col" { "Event" }
                            @if visitor.is_administrator() { th scope="col" { "Account" } }
                            th scope="col" { "Callback" }
                            th scope="col" { "Attempts" }
                            th scope="col" { "Accepted" }
                            th scope="col" { (if is_cancelled(wanted) { "Cancelled" } else { "Given up" }) }
                        }
                    }
                    tbody { @for delivery in deliveries { (row(visitor, known, (delivery, outcomes))) } }
                }
            }
            div.actions.for-selected {
                button.primary type="submit" { "Retry the selected" }
                button type="button" hidden data-select="delivery" { "Select all on this page" }
            }
        }
    }
}

fn row(
    visitor: &Visitor,
    known: &Callbacks,
    (delivery, outcomes): (&Delivery, &LastOutcomes),
) -> Markup {
    let callback = known.get(&visitor.caller, delivery.callback);
    html! {
        tr {
            td data-label="Selected" {
                // What was deleted or is not theirs can't be retried.
                @if callback.is_some() {
                    label {
                        input type="checkbox" name="delivery" value=(delivery.id);
                        span.visually-hidden { "Select the delivery of " (delivery.event_name) }
                    }
                }
            }
            th scope="row" { (name_link(delivery)) }
            @if visitor.is_administrator() { td data-label="Account" { (delivery.account) } }
            td data-label="Callback" { (callback_link(callback, delivery.callback)) }
            td data-label="Attempts" {
                span { (outcomes.attempts(visitor, callback, delivery)) }
            }
            td data-label="Accepted" { (time(delivery.created_at)) }
            td data-label="Given up" { (time(delivery.updated_at)) }
        }
    }
}

/// How many, as far as they are counted.
fn counted(count: u64) -> String {
    parts::counted(count, COUNTED_MAX)
}

/// The parameters of a filter.
fn parameters(wanted: &DeliveryQuery) -> [(&'static str, String); 5] {
    let status = wanted.status.filter(|status| *status != StatusFilter::Exhausted);
    [
        ("callback", text_of(wanted.callback)),
        ("account", text_of(wanted.account.as_ref())),
        ("status", status.map(StatusFilter::as_str).unwrap_or_default().to_owned()),
        ("since", text_of(wanted.since)),
        ("until", text_of(wanted.until)),
    ]
}

/// A page's address, with a filter.
fn address(path: &str, wanted: &DeliveryQuery) -> String {
    let parameters = parameters(wanted);
    parts::address(path, &parameters.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// A filter, as a form carries it along.
fn hidden(wanted: &DeliveryQuery) -> Markup {
    html! {
        @for (name, value) in parameters(wanted) {
            @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
        }
    }
}

/// The filter that a form has carried along.
fn filter_of(fields: &Fields) -> Filter {
    let carried = ["callback", "account", "status", "since", "until"];
    let carried = carried.map(|name| (name, fields.text(name)));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(carried).finish();
    Filter::of(Query::parse(&query))
}
