//! Whether a request may go under its callback's rate limit: counted by all workers together, and by this one alone
//! while they have nothing to count with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback_core::Timestamp;
use ringback_core::rate::{Admission, RateLimit, RateState};
use ringback_idempotency::Idempotency;
use ringback_runtime::Clock;

use crate::directory::Entry;
use crate::gate::PATIENCE;

/// The rate limits of all callbacks.
pub(crate) struct Rates {
    idempotency: Arc<dyn Idempotency>,
    clock: Arc<dyn Clock>,
    /// The store can't be reached, and this was said.
    alone: AtomicBool,
}

/// What this worker counted while it was alone.
#[derive(Debug, Default)]
pub(crate) struct OwnCount(Mutex<RateState>);

impl Rates {
    pub(crate) fn new(idempotency: Arc<dyn Idempotency>, clock: Arc<dyn Clock>) -> Self {
        Self { idempotency, clock, alone: AtomicBool::new(false) }
    }

    /// Returns when a request may go, if that is a matter of [`PATIENCE`].
    ///
    /// # Errors
    /// How long it would be otherwise; nothing is counted.
    pub(crate) async fn pace(&self, entry: &Entry) -> Result<(), Duration> {
        let Some(limit) = entry.callback.rate_limit else {
            return Ok(());
        };
        let patient_until = self.clock.now() + PATIENCE;
        loop {
            let Admission::Wait(wait) = self.ask(entry, limit).await else {
                return Ok(());
            };
            // Rounded up: asked in the millisecond before, it would be told to wait again.
            let again = self.clock.now() + wait + Duration::from_nanos(999_999);
            if again > patient_until {
                return Err(wait);
            }
            self.clock.sleep_until(again).await;
        }
    }

    async fn ask(&self, entry: &Entry, limit: RateLimit) -> Admission {
        match self.idempotency.admit(entry.callback.id, limit).await {
            Ok(admission) => {
                if self.alone.swap(false, Ordering::Relaxed) {
                    tracing::info!("rate limits are counted by all workers together again");
                }
                admission
            }
            Err(error) => {
                if !self.alone.swap(true, Ordering::Relaxed) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "each worker counts rate limits for itself");
                }
                entry.own_count.admit(limit, self.clock.now())
            }
        }
    }
}

impl OwnCount {
    fn admit(&self, limit: RateLimit, now: Timestamp) -> Admission {
        let now_us = u64::try_from(now.ms()).unwrap_or(0).saturating_mul(1_000);
        let mut state = self.0.lock().expect("nobody panics holding it");
        let (admission, after) = limit.admit(*state, now_us);
        *state = after;
        admission
    }
}
