//! The catalog, within the console.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use ringback_api::{PageQuery, Problem};
use ringback_core::catalog::{Catalog, EventType, Origin};
use ringback_core::{EventName, Timestamp};
use ringback_store::Cursor;

use super::layout::{Section, page};
use super::said::Asked;
use super::visitor::Visitor;
use super::{ROOT, parts};
use crate::Console;
use crate::reference;

const PATH: &str = "/reference";
/// How many types a page shows: each has its examples with it.
const TYPES: usize = PageQuery::LIMIT_DEFAULT;
/// What the anchors begin with: no other id of a page has a colon.
const ANCHOR: &str = "type:";

pub(super) fn router() -> Router<Console> {
    Router::new().route(PATH, get(show))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Asked(mut query): Asked,
) -> Result<Markup, Problem> {
    let search = query.take::<String>("search")?.unwrap_or_default();
    let after = query.take::<Cursor>("cursor")?;
    query.end()?;
    let known = console.reference.types().await;
    let found = Found::of(known.catalog(), &search, after.as_ref());
    let address = parts::address(PATH, &[("search", &search)]);
    let body = html! {
        div.head {
            h1 { "Reference" }
            p.lead {
                "Every type of event with its variables: what happens here, and what is told of it. The same is open to everybody "
                "who writes a receiver at " a href=(reference::PATH) { (reference::PATH) } "."
            }
        }
        (search_form(&search))
        @if found.types.is_empty() {
            div.card { (parts::nothing("No type of event is like that", html! {
                a href={ (ROOT) (PATH) } { "Show all types" } ", or look for another word."
            })) }
        } @else {
            (types(&found.types))
        }
        (parts::pager(&address, after.is_none(), found.next.as_ref()))
        @if visitor.is_administrator() { (how_to_change()) }
    };
    Ok(page(&visitor, Section::Reference, "Reference", body))
}

/// The types of one page.
struct Found<'a> {
    types: Vec<(&'a EventType, Origin)>,
    next: Option<Cursor>,
}

impl<'a> Found<'a> {
    fn of(catalog: &'a Catalog, search: &str, after: Option<&Cursor>) -> Self {
        let word = search.trim().to_lowercase();
        let mut left = catalog
            .iter()
            .filter(|(kind, _)| after.is_none_or(|after| kind.name.as_str() > after.id.as_str()))
            .filter(|(kind, _)| word.is_empty() || says(kind, &word));
        let types: Vec<_> = left.by_ref().take(TYPES).collect();
        // They have no time that anybody asks for: they come by their names.
        let place = |kind: &EventType| Cursor { at: Timestamp::EPOCH, id: kind.name.to_string() };
        let next = left.next().and(types.last().map(|(kind, _)| place(kind)));
        Self { types, next }
    }
}

/// Where a type stands, if it is in the catalog.
pub(super) fn address_of(name: &EventName) -> String {
    format!("{}#{ANCHOR}{name}", parts::address(PATH, &[("search", name.as_str())]))
}

/// Whether a type, or a variable of it, has this word in its name or description.
fn says(kind: &EventType, word: &str) -> bool {
    let of_variables =
        kind.variables.iter().flat_map(|v| [v.name.as_str(), v.description.as_str()]);
    let texts = [kind.name.as_str(), kind.description.as_str()].into_iter().chain(of_variables);
    texts.into_iter().any(|text| text.to_lowercase().contains(word))
}

fn search_form(search: &str) -> Markup {
    html! {
        form.filters method="get" role="search" {
            div.field {
                label for="search" { "Name, description or variable" }
                input #search type="search" name="search" value=(search) spellcheck="false" autocomplete="off";
            }
            div.actions {
                button type="submit" { "Search" }
                @if !search.is_empty() { a.button href={ (ROOT) (PATH) } { "Show all" } }
            }
        }
    }
}

fn types(types: &[(&EventType, Origin)]) -> Markup {
    html! {
        div.reference {
            nav.index aria-labelledby="index:" {
                h2 id="index:" { "On this page" }
                ul {
                    @for (kind, _) in types {
                        li { a href={ "#" (ANCHOR) (kind.name) } { code { (kind.name) } } }
                    }
                }
            }
            div {
                @for (kind, origin) in types {
                    div.card { (reference::section(kind, *origin, ANCHOR)) }
                }
            }
        }
    }
}

/// For those who may.
fn how_to_change() -> Markup {
    html! {
        div.card {
            h2 { "Add, replace or remove a type" }
            p {
                "By the API: " code { "PUT /v1/event-types/{name}" } " adds a type or replaces one, a built-in one too; "
                code { "DELETE" } " removes it. Or by command: " code { "ringback catalog put FILE" } ", "
                code { "ringback catalog delete NAME" } ", and " code { "export" } " and " code { "import" } " for all of it."
            }
        }
    }
}
