//! What the log callback was sent, as it comes.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{Caller, PageQuery, Problem};
use ringback_core::Account;
use ringback_core::address::SINK_PATH;
use ringback_store::LoggedRequest;

use super::filters::{Filter, account_field};
use super::known::{Callbacks, callbacks};
use super::layout::{Section, page};
use super::parts;
use super::said::Asked;
use super::visitor::Visitor;
use crate::Console;
use crate::sink;

const PATH: &str = "/log";
/// How many requests a page shows: each has its body with it.
const ROWS: usize = 20;
/// How much of a body is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 8 * 1024;
/// A body of more than this may not have room without scrolling.
const LONG_BYTES: usize = 1_000;

pub(super) fn router() -> Router<Console> {
    Router::new().route(PATH, get(show))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(query): Asked,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let account = filter.take::<Account>("account")?;
    let asked = PageQuery { limit: ROWS, after: filter.take_exact("cursor")? };
    filter.end()?;
    let account = visitor.account_for(account)?;
    let found = sink::found(&console, &visitor.caller, account, &asked).await?;
    let (requests, next) = match filter.is_right() {
        true => (found.items, found.next),
        false => (Vec::new(), None),
    };
    let known = callbacks(&console).await?;
    let address = parts::address(PATH, &[("account", filter.text("account"))]);
    let body = html! {
        div.head {
            h1 { "Log" }
            p.lead { "What the log callback of this instance was sent, newest first. The last 1,000 of each account are kept." }
        }
        (how_to(&console))
        @if visitor.is_administrator() { (filters(&filter, &visitor)) }
        div #log data-live="5" {
            @if requests.is_empty() {
                div.card { (parts::nothing("Nothing was sent here", html! {
                    "Point a callback at the address above, and what it sends is shown here as it comes."
                })) }
            }
            @for request in &requests { (card(request, &visitor.caller, &known)) }
        }
        (parts::pager(&address, asked.after.is_none(), next.as_ref()))
    };
    Ok(page(&visitor, Section::Log, "Log", body))
}

/// Where a callback has to point.
fn how_to(console: &Console) -> Markup {
    let own = console.address_policy.own().map(ToString::to_string);
    html! {
        div.card {
            p.with-button {
                "The log callback: "
                code #log-url { (own.as_deref().unwrap_or_default()) (SINK_PATH) "?f=lp" }
                @if own.is_some() { button.small type="button" hidden data-copy="log-url" { "Copy" } }
            }
            p.hint {
                @if own.is_none() { "Before it comes the address under which receivers are reached here. " }
                "The echo callback answers with what it is sent, and keeps nothing: the same with " code { "f=ep" } "."
            }
        }
    }
}

fn filters(filter: &Filter, visitor: &Visitor) -> Markup {
    html! {
        form.filters method="get" {
            (account_field(filter, visitor))
            div.actions { button type="submit" { "Show" } }
        }
    }
}

fn card(request: &LoggedRequest, caller: &Caller, known: &Callbacks) -> Markup {
    html! {
        article.card {
            h2.entry {
                (parts::time(request.received_at)) " " code { (request.method) } " "
                span.muted { (sender(request, caller, known)) }
            }
            @if !request.query.is_empty() { p { code { "?" (request.query) } } }
            details {
                summary { (parts::so_many(request.headers.len(), "header")) }
                pre { @for (name, value) in &request.headers { (name) ": " (value) "\n" } }
            }
            (body_of(request))
        }
    }
}

fn sender(request: &LoggedRequest, caller: &Caller, known: &Callbacks) -> Markup {
    match (request.callback, &request.account) {
        (Some(id), account) => html! {
            "from " (parts::callback_link(known.get(caller, id), id))
            @if let Some(account) = account { " of account " (account) }
        },
        (None, _) => html! { "from nobody known: it bears no signature of a callback" },
    }
}

fn body_of(request: &LoggedRequest) -> Markup {
    let shown = &request.body[..request.body.len().min(SHOWN_BYTES_MAX)];
    let is_cut = request.body_truncated || shown.len() < request.body.len();
    // It may scroll: without a mouse, too.
    let is_long = shown.len() > LONG_BYTES;
    html! {
        @if shown.is_empty() {
            p.muted { "No body." }
        } @else {
            pre tabindex=[is_long.then_some("0")] role=[is_long.then_some("region")] aria-label=[is_long.then_some("Body")] {
                (String::from_utf8_lossy(shown))
            }
            @if is_cut {
                p.hint { "Its beginning. " code { "GET /v1/sink/log" } " has the first 64 KiB." }
            }
        }
    }
}
