//! Says once that something is away which the process works with, and once that it is back, whatever the process does.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::health::Findings;

/// What is away, as far as it was said.
#[derive(Default)]
pub(crate) struct Outages {
    broker: AtomicBool,
    store: AtomicBool,
    idempotency: AtomicBool,
}

impl Outages {
    /// Says what changed since the last look.
    pub(crate) fn tell(&self, findings: &Findings) {
        let Findings { broker, store, idempotency } = findings;
        tell("broker", &self.broker, broker);
        tell("store", &self.store, store);
        tell("idempotency", &self.idempotency, idempotency);
    }
}

fn tell(dependency: &'static str, was_away: &AtomicBool, found: &Result<(), String>) {
    let was_away = was_away.swap(found.is_err(), Ordering::Relaxed);
    match found {
        Err(error) if !was_away => tracing::warn!(dependency, error, "a dependency is away"),
        Ok(()) if was_away => tracing::info!(dependency, "a dependency is back"),
        Ok(()) | Err(_) => {}
    }
}
