//! The span of each attempt: from the moment its request is made until the answer is read, or it is known that none comes.

use ringback_core::Outcome;
use ringback_core::trace::TraceId;
use ringback_runtime::trace::{Span, SpanKind, Tracer, Value};
use url::Url;

use crate::job::Job;
use crate::request::Request;

pub(super) fn begin(tracer: &Tracer, job: &Job) -> Span {
    let event = &job.event;
    let own = TraceId::of(event.id);
    let mut span = tracer.begin(("attempt", SpanKind::Client), event.trace.as_ref(), own);
    if let Some(recording) = span.recording() {
        recording.set("ringback.account", event.account.to_string());
        recording.set("ringback.event.id", event.id.to_string());
        recording.set("ringback.event.name", event.name.to_string());
        recording.set("ringback.callback.id", job.target.callback.to_string());
        recording.set("ringback.delivery.id", job.key.delivery.to_string());
        recording.set("ringback.attempt", job.target.position.attempt.get());
    }
    span
}

/// What is sent, says the span.
pub(super) fn sends(span: &mut Span, request: &Request) {
    let Some(recording) = span.recording() else { return };
    recording.set("http.request.method", request.method().to_string());
    recording.set("url.full", String::from(without_secrets(&request.url)));
    if let Some(host) = request.url.host_str() {
        recording.set("server.address", host.to_owned());
    }
    if let Some(port) = request.url.port_or_known_default() {
        recording.set("server.port", port);
    }
}

pub(super) fn end(mut span: Span, outcome: &Outcome) {
    if let Some(recording) = span.recording() {
        match outcome {
            Outcome::Success { status } => recording.set("http.response.status_code", *status),
            Outcome::HttpError { status, .. } => {
                recording.set("http.response.status_code", *status);
                recording.fail(status.to_string());
            }
            Outcome::Timeout { .. } | Outcome::Connection { .. } | Outcome::Blocked { .. } => {
                recording.fail(Value::from(outcome.kind()));
            }
        }
    }
    span.end();
}

/// The URL as others may read it: keys stand in queries, and before an `@`.
fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Neither fails: what is sent has a host.
    let _has_a_host = (url.set_username(""), url.set_password(None));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_told_without_what_may_be_a_secret() {
        let url: Url = "https://me:hush@h:8443/a/b?token=hush#hush".parse().expect("a URL");
        assert_eq!(without_secrets(&url).as_str(), "https://h:8443/a/b");
    }
}
