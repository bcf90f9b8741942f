//! Requests that are refused for want of the store or the queue, as far as logs go.
//!
//! Whoever looks after them says when they are away. That is not all: what answers in time when it is looked at may all the
//! same refuse one transaction or one message, and then the log has to say why a sender was told 503. Thousands a second may
//! be, so it is said the first time, and then with how many it were meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;

/// What is wanting is not told of more often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Why a request was refused: goes with its answer until it is told, and no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) for_want_of: &'static str,
    /// With all its causes.
    pub(crate) error: String,
}

/// What was told of each thing that was wanting.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<&'static str, Told>>);

struct Told {
    at: Instant,
    /// Requests that were refused since.
    untold: u64,
}

impl Refusals {
    /// Looks at an answer on its way out.
    pub(crate) async fn look(
        State(refusals): State<Arc<Self>>,
        mut response: Response,
    ) -> Response {
        if let Some(refused) = response.extensions_mut().remove::<Refused>() {
            refusals.tell(&refused);
        }
        response
    }

    fn tell(&self, Refused { for_want_of, error }: &Refused) {
        if let Some(requests) = self.count(for_want_of, Instant::now()) {
            tracing::warn!(error, requests, "requests are refused for want of the {for_want_of}");
        }
    }

    /// Returns how many requests there is to tell of, if there is anything to tell now.
    fn count(&self, for_want_of: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().expect("nobody panics holding it");
        let Some(told) = told.get_mut(for_want_of) else {
            told.insert(for_want_of, Told { at: now, untold: 0 });
            return Some(1);
        };
        told.untold += 1;
        if now.saturating_duration_since(told.at) < INTERVAL {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_refusal_is_told_at_once_and_the_others_together() {
        let refusals = Refusals::default();
        let began = Instant::now();
        let count = |of, after_ms| refusals.count(of, began + Duration::from_millis(after_ms));
        assert_eq!(count("queue", 0), Some(1));
        assert_eq!([count("queue", 0), count("queue", 9_999)], [None, None]);
        assert_eq!(count("store", 9_999), Some(1), "it is another matter");
        assert_eq!(count("queue", 10_000), Some(3));
        assert_eq!(count("queue", 19_999), None);
        assert_eq!(count("queue", 60_000), Some(2));
    }
}
