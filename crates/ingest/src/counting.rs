//! What is counted of events that come in: over HTTP what was answered, event by event.

use axum::http::StatusCode;
use ringback_api::Problem;
use ringback_metrics::{Rejection, Source};

use crate::accept::{Ingest, Reply};
use crate::wire::Answer;

impl Ingest {
    /// Counts the answer to a request of so many well-formed events.
    pub(crate) fn count(&self, well_formed: usize, answer: &Result<Reply, Problem>) {
        match answer {
            Ok(Reply::One(answer)) => self.count_answers(std::slice::from_ref(answer)),
            Ok(Reply::Many(answers)) => self.count_answers(&answers.data),
            Ok(Reply::Stored(_)) => self.metrics.events_repeated(Source::Http, well_formed),
            Err(problem) => self.count_refused(problem, well_formed),
        }
    }

    /// Counts events that were refused together.
    pub(crate) fn count_refused(&self, problem: &Problem, events: usize) {
        self.metrics.events_rejected(Source::Http, reason(problem), events);
    }

    /// Counts a message that was set aside.
    pub(crate) fn count_set_aside(&self, why: &ringback_broker::Rejection) {
        let reason = match why.reason {
            "not_json" => Rejection::NotJson,
            "too_large" => Rejection::TooLarge,
            "content_type" => Rejection::ContentType,
            _ => Rejection::Invalid,
        };
        self.metrics.events_rejected(Source::Amqp, reason, 1);
    }

    fn count_answers(&self, answers: &[Answer]) {
        let count = |is: fn(&Answer) -> bool| answers.iter().filter(|answer| is(answer)).count();
        let accepted = count(|answer| matches!(answer, Answer::Accepted { duplicate: false, .. }));
        let repeated = count(|answer| matches!(answer, Answer::Accepted { duplicate: true, .. }));
        let rejected = answers.len() - accepted - repeated;
        self.metrics.events_accepted(Source::Http, accepted);
        self.metrics.events_repeated(Source::Http, repeated);
        self.metrics.events_rejected(Source::Http, Rejection::Invalid, rejected);
    }
}

fn reason(problem: &Problem) -> Rejection {
    match problem.status() {
        StatusCode::BAD_REQUEST => Rejection::NotJson,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Rejection::Unauthorized,
        StatusCode::CONFLICT => Rejection::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => Rejection::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Rejection::ContentType,
        StatusCode::UNPROCESSABLE_ENTITY if problem.errors().is_empty() => Rejection::Conflict,
        StatusCode::UNPROCESSABLE_ENTITY => Rejection::Invalid,
        _ => Rejection::Unavailable,
    }
}
