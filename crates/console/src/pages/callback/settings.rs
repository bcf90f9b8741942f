//! A callback's settings, all of them, with its secrets masked.

use std::time::Duration;

use maud::{Markup, html};
use ringback_core::Timestamp;
use ringback_core::callback::{
    Authorization, Callback, CallbackState, CircuitPolicy, DisabledReason, Method,
};
use ringback_core::rate::RateLimit;
use ringback_core::retry::{Backoff, RetryPolicy};
use ringback_core::secret::Secret;

use crate::pages::ROOT;
use crate::pages::parts::{account_of, duration, number, time};

pub(super) fn all(callback: &Callback, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="settings-title" {
            div.head {
                h2 #settings-title { "Settings" }
                a.button.small href={ (ROOT) "/callbacks/" (callback.id) "/edit" } data-dialog { "Edit them" }
            }
            dl.facts {
                dt { "Name" }
                dd { @if callback.description.is_empty() { (none("none: it goes by its URL")) } @else { (callback.description) } }
                dt { "Id" }
                dd { code { (callback.id) } }
                dt { "URL" }
                dd { code { (callback.url.as_str()) } }
                dt { "Method and format" }
                dd { (method_and_format(callback)) }
                dt { "Authorization" }
                dd { (authorization(&callback.authorization)) }
                dt { "Headers" }
                dd { (headers(callback)) }
                dt { "State" }
                dd { (state(callback.state)) }
                dt { "Account" }
                dd { (account_of(callback)) }
                dt { "Events" }
                dd { (events(callback)) }
                dt { "Retries" }
                dd { (retries(&callback.retry)) }
                dt { "Timeout" }
                dd { (exact(callback.timeout)) " for an attempt" }
                dt { "Rate limit" }
                dd { (rate_limit(callback.rate_limit)) }
                dt { "Requests in flight" }
                dd { "at most " (number(callback.max_in_flight.get().into())) " at once in one worker" }
                dt { "Circuit" }
                dd { (circuit(callback.circuit)) }
                dt { "Signing secret" }
                dd { (signing_secret(callback, now)) }
                dt { "Made" }
                dd { (time(callback.created_at)) }
                dt { "Last changed" }
                dd { (time(callback.updated_at)) }
                @if let Some(at) = callback.resumed_at {
                    dt { "Last resumed" }
                    dd { (time(at)) }
                }
            }
        }
    }
}

fn none(what: &str) -> Markup {
    html! { span.muted { (what) } }
}

/// A setting as it was given, and as it is read.
fn exact(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match duration(time) {
        _ if time < Duration::from_secs(120) => format!("{seconds} s"),
        short => format!("{seconds} s ({short})"),
    }
}

fn method_and_format(callback: &Callback) -> Markup {
    match callback.method {
        Method::Get => html! { code { "GET" } ", which carries only what the URL names" },
        Method::Post => html! { code { "POST" } " as " code { (callback.format.as_str()) } },
    }
}

fn authorization(authorization: &Authorization) -> Markup {
    match authorization {
        Authorization::None => none("none"),
        Authorization::Basic { username, .. } => {
            html! { "Basic, username " code { (username) } ", password " code { (Secret::MASK) } }
        }
        Authorization::Bearer { .. } => html! { "Bearer, token " code { (Secret::MASK) } },
        Authorization::Header { .. } => html! { "A header of its own, " code { (Secret::MASK) } },
        Authorization::CallbackKey { .. } => html! { "Callback key " code { (Secret::MASK) } },
    }
}

fn headers(callback: &Callback) -> Markup {
    let headers: Vec<_> = callback.headers.iter().collect();
    html! {
        @if headers.is_empty() { (none("none besides its own")) }
        @for (name, value) in headers { div { code { (name) ": " (value) } } }
    }
}

fn state(state: CallbackState) -> &'static str {
    match state {
        CallbackState::Enabled => "enabled",
        CallbackState::Paused => "enabled, and paused: deliveries are kept",
        CallbackState::Disabled(DisabledReason::ByOwner) => "disabled by its owner",
        CallbackState::Disabled(DisabledReason::Gone) => "disabled: its endpoint answered 410 Gone",
    }
}

fn events(callback: &Callback) -> Markup {
    html! {
        @if callback.events.matches_all() { "all events" }
        @else {
            @for pattern in callback.events.patterns() { div { code { (pattern) } } }
        }
    }
}

fn retries(policy: &RetryPolicy) -> String {
    let RetryPolicy { enabled: true, delay, max_retries, backoff } = policy else {
        return "off: one attempt and no more".to_owned();
    };
    let most = format!("at most {}", number((*max_retries).into()));
    match backoff {
        Backoff::Fixed => format!("{most}, {} after each failure", exact(*delay)),
        Backoff::Exponential { factor, delay_max } => format!(
            "{most}, within {} of the first failure, each time {factor} times as long, up to {}",
            exact(*delay),
            exact(*delay_max)
        ),
    }
}

fn rate_limit(limit: Option<RateLimit>) -> String {
    match limit {
        None => "none: as many as there are".to_owned(),
        Some(RateLimit { per_second, burst }) => format!(
            "{} requests a second, {} at once after a quiet time",
            number(per_second.get().into()),
            number(burst.get().into())
        ),
    }
}

fn circuit(policy: CircuitPolicy) -> String {
    let CircuitPolicy { enabled: true, failures, open_for } = policy else {
        return "off: it is tried however often it fails".to_owned();
    };
    format!(
        "opens after {} failures in a row, for {} at first",
        number(failures.get().into()),
        exact(open_for)
    )
}

fn signing_secret(callback: &Callback, now: Timestamp) -> Markup {
    let previous = callback.previous_secret.as_ref().filter(|previous| now < previous.until);
    html! {
        a href={ (ROOT) "/callbacks/" (callback.id) "/secret" } data-dialog { "Show or change it" }
        @if let Some(previous) = previous { ". The one before signs as well until " (time(previous.until)) }
    }
}
