//! From the client's error to an outcome with a reason that a person can act on.

use std::error::Error;
use std::time::Duration;

use ringback_core::Outcome;
use ringback_core::address::BlockedAddress;

/// What an attempt without an answer met.
pub(super) fn outcome(error: reqwest::Error, timeout: Duration) -> Outcome {
    // The URL may hold event data: it stands in the history already, and in no error text.
    let error = error.without_url();
    if let Some(blocked) = cause::<BlockedAddress>(&error) {
        return Outcome::Blocked { reason: blocked.to_string() };
    }
    if error.is_timeout() {
        let reason = if error.is_connect() {
            "no connection in time".to_owned()
        } else {
            format!("no answer within {} ms", timeout.as_millis())
        };
        return Outcome::Timeout { reason };
    }
    Outcome::Connection { reason: innermost(&error) }
}

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The last two causes: the outer ones say "error sending request" and nothing else.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.dedup_by(|inner, outer| outer.contains(&**inner));
    let from = texts.len().saturating_sub(2);
    texts[from..].join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |outer: &&'a (dyn Error + 'static)| {
        let outer: &'a (dyn Error + 'static) = *outer;
        outer.source()
    })
}
