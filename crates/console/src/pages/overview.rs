//! The overview: traffic, what waits, and which endpoints are in trouble.

mod beginning;
mod instance;
pub(super) mod trouble;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::Account;
use ringback_store::{EventQuery, TrafficOf};

use self::beginning::{first_steps, no_callbacks};
use super::filters::{Filter, text_field};
use super::layout::{Section, page};
use super::parts::{COUNTED_MAX, address, counted, duration, number};
use super::said::Asked;
use super::span::{Past, Span, chooser};
use super::visitor::Visitor;
use super::waiting::Pending;
use super::{ROOT, chart, known};
use crate::Console;

pub(super) fn router() -> Router<Console> {
    Router::new().route("/", get(show))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let span = filter.take_exact("span")?.unwrap_or_default();
    let account = filter.take::<Account>("account")?;
    filter.end()?;
    let account = visitor.account_for(account)?;
    let content = match (filter.is_right(), account.as_ref()) {
        (false, _) => html! {},
        (true, account) if is_first_visit(&console, &visitor, account).await? => {
            let body = html! { div.head { h1 { "Overview" } } (first_steps(&visitor, &headers)) };
            return Ok(page(&visitor, Section::Overview, "Overview", body));
        }
        (true, account) => content(&console, &visitor, span, account).await?,
    };
    let kept = [("account", filter.text("account"))];
    let body = html! {
        div.head {
            h1 { "Overview" }
            (chooser(span, "", &kept))
        }
        @if visitor.is_administrator() { (account_form(&filter, span)) }
        (content)
    };
    Ok(page(&visitor, Section::Overview, "Overview", body))
}

/// Whether there is nothing to show of all that is the visitor's.
async fn is_first_visit(
    console: &Console,
    visitor: &Visitor,
    account: Option<&Account>,
) -> Result<bool, Problem> {
    let known = known::callbacks(console).await?;
    if account != visitor.caller.account() || known.of(&visitor.caller).next().is_some() {
        return Ok(false);
    }
    let query = EventQuery { account: account.cloned(), ..EventQuery::default() };
    Ok(console.store.events(&query, 1, None).await?.items.is_empty())
}

fn account_form(filter: &Filter, span: Span) -> Markup {
    html! {
        form.filters method="get" action=(ROOT) {
            input type="hidden" name="span" value=(span.word());
            (text_field(filter, "Account", "account", None))
            div.actions {
                button type="submit" { "Show" }
                @if !filter.text("account").is_empty() {
                    a.button href=(address("", &[("span", span.word())])) { "Show all accounts" }
                }
            }
        }
    }
}

/// Of one account, or if none is given of the whole instance.
async fn content(
    console: &Console,
    visitor: &Visitor,
    span: Span,
    account: Option<&Account>,
) -> Result<Markup, Problem> {
    let known = known::callbacks(console).await?;
    let is_asked_for = |of: Option<&Account>| account.is_none() || of == account;
    let callbacks: Vec<_> = known
        .of(&visitor.caller)
        .filter(|callback| is_asked_for(callback.account.as_ref()))
        .cloned()
        .collect();
    let has_callbacks = !callbacks.is_empty();
    let of = account.map_or(TrafficOf::All, |account| TrafficOf::Account(account.clone()));
    let past = Past::read(console, &of, span).await?;
    let pending = Pending::of(console, account).await?;
    let troubles = trouble::find(console, callbacks).await?;
    let instance = match visitor.is_administrator() && account.is_none() {
        true => instance::state(console).await?,
        false => html! {},
    };
    Ok(html! {
        @if !has_callbacks { (no_callbacks(account)) }
        div #instance data-live="10" { (instance) }
        div #now data-live="10" { (tiles(&past, pending, account)) }
        div #trouble data-live="10" { (trouble::list(visitor, &troubles)) }
        div.columns {
            div #deliveries-chart data-live="10" { (chart::deliveries(&past)) }
            div #success-chart data-live="10" { (chart::success(&past)) }
        }
    })
}

fn tiles(past: &Past, waiting: Pending, account: Option<&Account>) -> Markup {
    let sum = &past.sum;
    let account = account.map(Account::as_str).unwrap_or_default();
    let pending = address("/deliveries", &[("status", "pending"), ("account", account)]);
    // All of them: those that were given up within the span may be of events from before it.
    let exhausted = address("/deliveries", &[("status", "exhausted"), ("account", account)]);
    html! {
        dl.tiles {
            div.tile {
                dt { "Deliveries settled, " (past.span.name()) }
                dd { (number(sum.delivered + sum.exhausted)) small { (number(sum.delivered)) " delivered" } }
            }
            (chart::success_tile(past))
            div.tile {
                dt { "Waiting now" }
                dd { a href=(pending) { (counted(waiting.count, COUNTED_MAX)) } small { "pending deliveries" } }
            }
            div.tile {
                dt { "Oldest that waits" }
                dd {
                    @match waiting.oldest {
                        Some(at) => { (duration(waiting.at.since(at))) small { "since its event was accepted" } }
                        None => { "–" small { "nothing waits" } }
                    }
                }
            }
            div.tile {
                dt { "Exhausted, " (past.span.name()) }
                dd {
                    @match sum.exhausted {
                        0 => { a href=(exhausted) { "0" } small { "none" } }
                        given_up => { a href=(exhausted) { (number(given_up)) } small { "given up: send them again" } }
                    }
                }
            }
        }
    }
}
