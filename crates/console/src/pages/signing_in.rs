//! Signing in, with an API key or with a link that somebody sent, and out again.

use std::sync::Arc;

use axum::extract::{FromRef as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use ringback_api::{Caller, Keys, Problem, Query, read_body};
use ringback_core::secret::Secret;
use ringback_store::{KeyHash, Scope};

use super::parts::opens;
use super::posted::{Fields, Posted, refuse_other_sites};
use super::visitor::{Visitor, is_token};
use super::{ROOT, layout};
use crate::state::Console;

/// What a form to sign in may have.
const BYTES_MAX: usize = 16 * 1024;
/// Said of somebody who has signed in, and is here again.
const ARRIVED: &str = "arrived";
/// Said of somebody who has signed out.
const LEFT: &str = "left";
/// Said of somebody whose session is not good any more.
pub(super) const ENDED: &str = "ended";

/// What the form says first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    NotKept,
    Left,
    Ended,
    WrongKey,
}

/// The form.
pub(super) async fn form(mut query: Query) -> Result<Markup, Problem> {
    let next = query.take::<String>("next")?.unwrap_or_default();
    let mut told = Told::Nothing;
    for (name, says) in [(ARRIVED, Told::NotKept), (LEFT, Told::Left), (ENDED, Told::Ended)] {
        if query.take::<String>(name)?.is_some() {
            told = says;
        }
    }
    query.end()?;
    Ok(page(&next, told))
}

/// Takes an API key.
pub(super) async fn with_key(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    refuse_other_sites(&head.headers)?;
    let fields = Fields::parse(&read_body(&head.headers, body, BYTES_MAX).await?);
    let (key, next) = (Secret::new(fields.text("key").trim()), fields.text("next"));
    let caller = match Arc::<Keys>::from_ref(&console).caller(&key).await {
        Ok(caller) => caller,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let page = page(next, Told::WrongKey);
            return Ok((StatusCode::UNAUTHORIZED, page).into_response());
        }
        Err(problem) => return Err(problem),
    };
    arrive(&console, &caller, next).await
}

/// What a link leads to. It is not used up by being looked at: programs that check mails do that.
pub(super) async fn link(
    State(console): State<Console>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !is_token(&token) {
        return used_up(&console, &headers).await;
    }
    let hash = KeyHash::of(&Secret::new(token.as_str()));
    let Some(pass) = console.store.console_link(hash, console.clock.now()).await? else {
        return used_up(&console, &headers).await;
    };
    if Arc::<Keys>::from_ref(&console).scope_of(&pass.key).await?.is_none() {
        return used_up(&console, &headers).await;
    }
    let what = match pass.scope {
        Scope::Instance => opens(None),
        Scope::Account(account) => opens(Some(&account)),
    };
    let body = html! {
        div.narrow {
            h1 { "Welcome" }
            p { "This link opens the console for " (what) ". It works once." }
            form method="post" action={ (ROOT) "/enter/" (token) } {
                button.primary type="submit" { "Open the console" }
            }
        }
    };
    Ok(layout::bare("Welcome", body).into_response())
}

/// Uses a link up.
pub(super) async fn with_link(
    State(console): State<Console>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    refuse_other_sites(&headers)?;
    if !is_token(&token) {
        return used_up(&console, &headers).await;
    }
    let hash = KeyHash::of(&Secret::new(token));
    let now = console.clock.now();
    let Some(pass) = console.store.redeem_console_link(hash, now).await? else {
        return used_up(&console, &headers).await;
    };
    // The key that made it may be gone since.
    if Arc::<Keys>::from_ref(&console).scope_of(&pass.key).await?.is_none() {
        return used_up(&console, &headers).await;
    }
    arrive(&console, &Caller { scope: pass.scope, key: pass.key }, "").await
}

/// Ends the session.
pub(super) async fn out(
    State(console): State<Console>,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let cookie = visitor.leaves(&console).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&format!("{ROOT}/login?{LEFT}=1")))
        .into_response())
}

async fn arrive(console: &Console, caller: &Caller, next: &str) -> Result<Response, Problem> {
    let cookie = Visitor::arrives(console, caller).await?;
    let path = if is_ours(next) { next } else { ROOT };
    // By way of a page that tells whether the cookie was kept.
    let next = form_urlencoded::byte_serialize(path.as_bytes()).collect::<String>();
    let to = Redirect::to(&format!("{ROOT}/arrived?next={next}"));
    Ok(([(header::SET_COOKIE, cookie)], to).into_response())
}

/// Sends on whoever has signed in; somebody whose browser did not keep the session is told so.
pub(super) async fn arrived(
    State(console): State<Console>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Redirect, Problem> {
    let next = query.take::<String>("next")?.unwrap_or_default();
    query.end()?;
    let is_here = Visitor::sends(&console, &headers).await?.is_some();
    Ok(match is_here {
        true if is_ours(&next) => Redirect::to(&next),
        true => Redirect::to(ROOT),
        false => Redirect::to(&format!("{ROOT}/login?{ARRIVED}=1")),
    })
}

/// Whether a path leads to a page of ours, and nowhere else.
fn is_ours(path: &str) -> bool {
    let below = path.strip_prefix(ROOT);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn page(next: &str, told: Told) -> Markup {
    let is_wrong = told == Told::WrongKey;
    let described_by = if is_wrong { "key-error key-hint" } else { "key-hint" };
    let body = html! {
        div.narrow {
            h1 { "Sign in" }
            (first(told))
            form method="post" action={ (ROOT) "/login" } {
                input type="hidden" name="next" value=(next);
                div.field {
                    label for="key" { "API key" }
                    input #key type="password" name="key" required autocomplete="current-password" spellcheck="false"
                        aria-describedby=(described_by) aria-invalid=[is_wrong.then_some("true")] autofocus[is_wrong];
                    @if is_wrong {
                        p.error #key-error role="alert" { "This is no API key that is known here." }
                    }
                    p.hint #key-hint {
                        "An instance key opens everything, an account’s key that account. "
                        code { "ringback api-keys create" } " makes one."
                    }
                }
                button.primary type="submit" { "Sign in" }
            }
        }
    };
    layout::bare("Sign in", body)
}

/// What is said above the form.
fn first(told: Told) -> Markup {
    html! {
        @match told {
            Told::Nothing | Told::WrongKey => {}
            Told::Left => div.banner.good role="status" { p { "You are signed out." } },
            Told::Ended => div.banner.busy role="status" { p { "Your session has ended." } },
            Told::NotKept => div.banner.bad role="alert" {
                p {
                    "You did sign in, but your browser did not keep the session. Over plain HTTP it does that for this machine "
                    "alone: open the console as http://localhost, or over HTTPS."
                }
            },
        }
    }
}

async fn used_up(console: &Console, headers: &HeaderMap) -> Result<Response, Problem> {
    let visitor = Visitor::sends(console, headers).await?;
    let body = html! {
        div.narrow {
            h1 { "This link is not good any more" }
            p { "It was used, or its time is over. Ask for a new one where you got it." }
            @if let Some(visitor) = visitor {
                p { "You are signed in for " (opens(visitor.caller.account())) " already." }
                p { a.button.primary href=(ROOT) { "Open the console" } }
            }
        }
    };
    Ok((StatusCode::NOT_FOUND, layout::bare("Link not good any more", body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_after_signing_in() {
        for ours in ["/console", "/console/failed", "/console?a=b"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/consoles",
            "https://evil.example",
            "/console/\\",
            "/console/\r\nx",
        ] {
            assert!(!is_ours(other), "{other:?}");
        }
    }
}
