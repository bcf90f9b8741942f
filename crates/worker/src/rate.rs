//! Whether a request may go under its callback's rate limit: counted by all workers together, and by this one alone
//! while they have nothing to count with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback_core::Timestamp;
use ringback_core::rate::{Admission, Asking, RateLimit, RateState};
use ringback_idempotency::Idempotency;
use ringback_runtime::{Clock, Outage};

use crate::directory::Entry;

/// Who is this late for the moment that was given to it has missed it.
const MISSED: Duration = Duration::from_millis(100);

/// The rate limits of all callbacks.
pub(crate) struct Rates {
    idempotency: Arc<dyn Idempotency>,
    clock: Arc<dyn Clock>,
    outage: Outage,
}

/// What this worker counted while it was alone.
#[derive(Debug, Default)]
pub(crate) struct OwnCount(Mutex<RateState>);

impl Rates {
    pub(crate) fn new(idempotency: Arc<dyn Idempotency>, clock: Arc<dyn Clock>) -> Self {
        Self { idempotency, clock, outage: Outage::default() }
    }

    /// Returns when a request may go, if that is soon: then it is counted, and has to be sent.
    ///
    /// # Errors
    /// When to ask again otherwise; nothing is counted.
    pub(crate) async fn pace(&self, entry: &Entry, mut asking: Asking) -> Result<(), Duration> {
        let Some(limit) = entry.callback.rate_limit else {
            return Ok(());
        };
        loop {
            let wait = match self.ask(entry, limit, asking).await {
                Admission::Now => return Ok(()),
                Admission::Soon(wait) => wait,
                // The queue may be late by about that. Who comes early waits here, or goes round once more; a moment that
                // nobody came for is lost.
                Admission::Wait(wait) => return Err(wait - wait / 16),
            };
            // Whole milliseconds, and never too early.
            let moment = self.clock.now() + (wait + Duration::from_nanos(999_999));
            self.clock.sleep_until(moment).await;
            if self.clock.now().since(moment) < MISSED {
                return Ok(());
            }
            // A process that stood still has missed many moments, and would send for all of them at once.
            asking = Asking::Again;
        }
    }

    async fn ask(&self, entry: &Entry, limit: RateLimit, asking: Asking) -> Admission {
        match self.idempotency.admit(entry.callback.id, limit, asking).await {
            Ok(admission) => {
                if self.outage.ends() {
                    tracing::info!("rate limits are counted by all workers together again");
                }
                admission
            }
            Err(error) => {
                if self.outage.begins() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "each worker counts rate limits for itself");
                }
                entry.own_count.admit(limit, asking, self.clock.now())
            }
        }
    }
}

impl OwnCount {
    fn admit(&self, limit: RateLimit, asking: Asking, now: Timestamp) -> Admission {
        let now_us = u64::try_from(now.ms()).unwrap_or(0).saturating_mul(1_000);
        let mut state = self.0.lock().expect("nobody panics holding it");
        let (admission, after) = limit.admit(asking, *state, now_us);
        *state = after;
        admission
    }
}
