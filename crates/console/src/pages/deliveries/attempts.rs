//! Attempts as cards: what was sent, what came back.

use maud::{Markup, html};
use ringback_core::delivery::{Attempt, Delivery, Response, SentRequest};
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::{Event, Outcome, render};

use super::outcome::outcome_badge;
use super::{curl, standing};
use crate::deliveries::History;
use crate::pages::ROOT;
use crate::pages::parts::{duration, so_many, time};
use crate::wire::delivery::Detail;

/// So many of the last attempts are shown whole: each may hold a body of many kilobytes.
const WHOLE_MAX: usize = 10;

/// Every attempt, last one first; or the one that was chosen.
pub(super) fn cards(history: &History, chosen: Option<AttemptNumber>) -> Markup {
    let History { delivery, attempts, .. } = history;
    if let Some(number) = chosen {
        return html! {
            @match attempts.iter().find(|attempt| attempt.number == number) {
                Some(attempt) => (card(history, attempt)),
                None => p { "There is no attempt " (number) " of it." },
            }
            p { a href={ (ROOT) "/deliveries/" (delivery.id) } { "All attempts" } }
        };
    }
    let (earlier, last) = attempts.split_at(attempts.len().saturating_sub(WHOLE_MAX));
    html! {
        @if attempts.is_empty() { p.muted { "None was made yet." } }
        @for attempt in last.iter().rev() { (card(history, attempt)) }
        @if !earlier.is_empty() { (rows(delivery, earlier, history.detail)) }
    }
}

fn rows(delivery: &Delivery, attempts: &[Attempt], detail: Detail) -> Markup {
    html! {
        h3 { "Earlier attempts" }
        div.card.bare-list {
            table.list {
                thead {
                    tr {
                        th scope="col" { "Attempt" }
                        th scope="col" { "Began" }
                        th scope="col" { "Took" }
                        th scope="col" { "Outcome" }
                    }
                }
                tbody {
                    @for attempt in attempts.iter().rev() {
                        tr {
                            th scope="row" {
                                a href={ (ROOT) "/deliveries/" (delivery.id) "?attempt=" (attempt.number) } {
                                    "Attempt " (attempt.number)
                                }
                            }
                            td data-label="Began" { (time(attempt.started_at)) }
                            td data-label="Took" { (duration(attempt.duration)) }
                            td data-label="Outcome" { (outcome_badge(&attempt.outcome, detail)) }
                        }
                    }
                }
            }
        }
    }
}

fn card(history: &History, attempt: &Attempt) -> Markup {
    let number = attempt.number;
    html! {
        article.card aria-labelledby={ "attempt-" (number) } {
            div.head {
                h3 id={ "attempt-" (number) } { "Attempt " (number) }
                (outcome_badge(&attempt.outcome, history.detail))
            }
            p {
                "It began at " (time(attempt.started_at)) ", took " (duration(attempt.duration)) " and "
                (standing::met(attempt, history.detail)) "."
            }
            @if history.detail == Detail::Full {
                (sent(&attempt.request, history.event.as_ref(), number))
                (came_back(attempt))
            }
        }
    }
}

fn sent(request: &SentRequest, event: Option<&Event>, number: AttemptNumber) -> Markup {
    let body = event.zip(request.format).map(|(event, format)| render::body(format, event).text);
    let is_known = body.is_some() || request.format.is_none();
    html! {
        div {
            h4 { "Request" }
            pre { (request.method.as_str()) " " (request.url) }
            (headers(&request.headers))
            @match &body {
                Some(body) => (text("Body", &format!("sent-{number}"), body)),
                None if is_known => p.hint-line { "It has no body." },
                None => p.hint-line { "Its event is no longer in the history, and its body with it." },
            }
            @if is_known { (as_curl(&curl::command(request, body.as_deref()), number)) }
        }
    }
}

fn as_curl(command: &str, number: AttemptNumber) -> Markup {
    let id = format!("curl-{number}");
    html! {
        div.actions { button.small type="button" hidden data-copy=(id) { "Copy as curl" } }
        details {
            summary { "As a curl command" }
            p.hint {
                "It sends the same request again. Put secrets in the place of " code { (curl::SECRET) }
                ". A receiver that checks the signature’s time may refuse it by now."
            }
            pre id=(id) tabindex="0" { (command) }
        }
    }
}

fn came_back(attempt: &Attempt) -> Markup {
    let number = attempt.number;
    html! {
        div {
            h4 { "Response" }
            @match &attempt.response {
                Some(response) => (answer(response, number)),
                None => p { "None came." },
            }
            @if let Some(error) = attempt.outcome.error() { p.error { (error) } }
            @if let Outcome::HttpError { retry_after: Some(wait), .. } = &attempt.outcome {
                p { "It asked to be left alone for " (duration(*wait)) "." }
            }
        }
    }
}

fn answer(response: &Response, number: AttemptNumber) -> Markup {
    let body = String::from_utf8_lossy(&response.body);
    html! {
        p { "Status " strong { (response.status) } }
        (headers(&response.headers))
        @if body.is_empty() {
            p.hint-line { "It has no body." }
        } @else {
            (text("Body", &format!("answer-{number}"), &body))
        }
        @if response.body_truncated {
            p.hint { "There was more of it: only the first 16 KiB are kept." }
        }
    }
}

fn headers<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Markup {
    html! {
        @if !headers.is_empty() {
            details {
                summary { (so_many(headers.len(), "header")) }
                dl.facts.mono {
                    @for (name, value) in headers {
                        dt { (name.as_ref()) }
                        dd {
                            (value.as_ref())
                            @if value.as_ref() == Secret::MASK { span.muted { " (secret)" } }
                        }
                    }
                }
            }
        }
    }
}

/// A text to read and to copy.
fn text(what: &str, id: &str, text: &str) -> Markup {
    html! {
        div.copied {
            p.label { (what) }
            button.small type="button" hidden data-copy=(id) { "Copy" }
        }
        // A browser leaves out the first line break, which is not to be one of the text’s own.
        pre id=(id) tabindex="0" { "\n" (text) }
    }
}
