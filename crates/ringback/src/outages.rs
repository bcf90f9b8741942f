//! Says once that something is away which the process works with, and once that it is back, whatever the process does.

use ringback_runtime::Outage;

use crate::health::Findings;

/// What is away, as far as it was said.
#[derive(Default)]
pub(crate) struct Outages {
    broker: Outage,
    store: Outage,
    idempotency: Outage,
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

fn tell(dependency: &'static str, outage: &Outage, found: &Result<(), String>) {
    match found {
        Err(error) if outage.begins() => tracing::warn!(dependency, error, "a dependency is away"),
        Ok(()) if outage.ends() => tracing::info!(dependency, "a dependency is back"),
        Ok(()) | Err(_) => {}
    }
}
