//! The span of each event on its way in: from the request, or the message, until the event is durable.

use std::sync::Arc;

use ringback_broker::PublishError;
use ringback_core::trace::TraceId;
use ringback_runtime::trace::{Span, SpanKind, Tracer};

use crate::candidate::Candidate;

/// Begins one for each event, which goes on its way with it. None, if there is nobody to tell of them: the events pass on
/// what they came with.
pub(crate) fn begin(tracer: &Tracer, kind: SpanKind, taken: &mut [Candidate]) -> Vec<Span> {
    if !tracer.is_on() {
        return Vec::new();
    }
    taken.iter_mut().map(|candidate| begin_one(tracer, kind, candidate)).collect()
}

fn begin_one(tracer: &Tracer, kind: SpanKind, candidate: &mut Candidate) -> Span {
    let event = Arc::make_mut(&mut candidate.event);
    let mut span = tracer.begin(("accept", kind), event.trace.as_ref(), TraceId::of(event.id));
    event.trace = Some(span.context().clone());
    if let Some(recording) = span.recording() {
        recording.began(candidate.began);
        recording.set("ringback.account", event.account.to_string());
        recording.set("ringback.event.id", event.id.to_string());
        recording.set("ringback.event.name", event.name.to_string());
    }
    span
}

pub(crate) fn end(spans: Vec<Span>, published: &Result<(), PublishError>) {
    let error_type = match published {
        Ok(()) => None,
        Err(PublishError::Full(_)) => Some("queue_full"),
        Err(PublishError::Unavailable(_)) => Some("queue_unavailable"),
    };
    for mut span in spans {
        if let (Some(error_type), Some(recording)) = (error_type, span.recording()) {
            recording.fail(error_type);
        }
        span.end();
    }
}
