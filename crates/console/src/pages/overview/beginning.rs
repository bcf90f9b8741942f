//! For whoever is here for the first time: how to begin.

use axum::http::{HeaderMap, header};
use maud::{Markup, html};
use ringback_core::Account;

use crate::pages::ROOT;
use crate::pages::visitor::Visitor;

/// In the place of the whole overview while there is nothing to show.
pub(super) fn first_steps(visitor: &Visitor, headers: &HeaderMap) -> Markup {
    html! {
        section.card {
            h2 { "Welcome. Here is how to begin" }
            ol.steps {
                li {
                    h3 { "Add a callback" }
                    p { "It says where events are sent: your endpoint, and which events it gets." }
                    p { (add_link()) }
                }
                @if !visitor.is_administrator() {
                    li {
                        h3 { "Send a test event" }
                        p { "On the page of your callback, “Send a test event” makes one request to your endpoint and shows what it answered." }
                    }
                }
                li {
                    h3 { "Send an event" }
                    p { (with_key(visitor)) }
                    pre #first-event { (curl(visitor, headers)) }
                    p { button.small type="button" hidden data-copy="first-event" { "Copy" } }
                }
                li {
                    h3 { "See what came of it" }
                    p {
                        "It is among the " a href={ (ROOT) "/deliveries" } { "deliveries" }
                        " within a moment, with the answer of your endpoint. This page then shows how they go."
                    }
                }
            }
        }
    }
}

/// While there is no callback of this account, or if none is given none at all.
pub(super) fn no_callbacks(account: Option<&Account>) -> Markup {
    html! {
        div.banner.busy {
            p {
                @match account {
                    Some(account) => { "Account " strong { (account) } " has no callback of its own that gets its events." }
                    None => "There is no callback yet that gets events.",
                }
            }
            p { (add_link()) }
        }
    }
}

/// Where the key comes from that events are sent with.
fn with_key(visitor: &Visitor) -> Markup {
    html! {
        "With an API key in place of " code { "$KEY" } " ("
        @if visitor.is_administrator() {
            a href={ (ROOT) "/settings/keys/new" } { "Settings: Make an API key" }
        } @else {
            "whoever runs this instance can give you one"
        }
        "):"
    }
}

fn add_link() -> Markup {
    html! { a.button.primary href={ (ROOT) "/callbacks/new" } data-dialog { "Add a callback" } }
}

fn curl(visitor: &Visitor, headers: &HeaderMap) -> String {
    let account = visitor.caller.account().map_or("acme", |account| account.as_str());
    format!(
        "curl -sS {}/v1/events -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' -d '\n  \
         {{\"name\":\"COMMENT_CREATED\",\"account\":\"{account}\",\"variables\":{{\"COMMENT_ID\":178}}}}'",
        reached_at(headers)
    )
}

/// The address under which the visitor has reached the console. Where ingest is a process of its own, it has another.
fn reached_at(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    // What is no part of an address would be a part of the command.
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    let host = if is_host { host } else { "localhost" };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // A session's cookie goes over https alone, but for one's own machine.
    let is_own = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    format!("{}://{host}", if is_own { "http" } else { "https" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_the_one_that_was_reached_and_nothing_else() {
        let at = |host: &str| {
            let host = host.parse().expect("a header's value");
            reached_at(&HeaderMap::from_iter([(header::HOST, host)]))
        };
        assert_eq!(at("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(at("[::1]:8080"), "http://[::1]:8080");
        assert_eq!(at("ringback.example"), "https://ringback.example");
        assert_eq!(at("a';rm -rf /;'"), "http://localhost");
        assert_eq!(reached_at(&HeaderMap::new()), "http://localhost");
    }
}
