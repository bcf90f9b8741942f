//! What ingest counts.

use std::time::Duration;

use crate::cells::{Counter, Durations};
use crate::definitions::ACCEPT_DURATION;
use crate::words::{Rejection, Source};

/// What ingest counts.
#[derive(Debug)]
pub struct IntakeMetrics {
    pub(crate) sources: [OfSource; Source::ALL.len()],
}

/// What came in one way.
#[derive(Debug)]
pub(crate) struct OfSource {
    pub(crate) accepted: Counter,
    pub(crate) repeated: Counter,
    pub(crate) rejected: [Counter; Rejection::ALL.len()],
    pub(crate) accept_duration: Durations,
}

impl Default for IntakeMetrics {
    fn default() -> Self {
        let of_source = |_| OfSource {
            accepted: Counter::default(),
            repeated: Counter::default(),
            rejected: Default::default(),
            accept_duration: Durations::of(&ACCEPT_DURATION),
        };
        Self { sources: Source::ALL.map(of_source) }
    }
}

impl IntakeMetrics {
    /// So many events are durable on the queue.
    pub fn events_accepted(&self, source: Source, events: usize) {
        self.of(source).accepted.add(events as u64);
    }

    /// So many events came before.
    pub fn events_repeated(&self, source: Source, events: usize) {
        self.of(source).repeated.add(events as u64);
    }

    /// So many events are not taken.
    pub fn events_rejected(&self, source: Source, reason: Rejection, events: usize) {
        self.of(source).rejected[reason.index()].add(events as u64);
    }

    /// A request, or each of so many messages, took so long from being read to being durable.
    pub fn took(&self, source: Source, duration: Duration, times: usize) {
        self.of(source).accept_duration.observe(duration, times as u64);
    }

    fn of(&self, source: Source) -> &OfSource {
        &self.sources[source.index()]
    }
}
