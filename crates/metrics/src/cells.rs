//! What is counted with: numbers that never wait for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::definitions::{Definition, Kind};

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took. Its count is the sum of its buckets, so the two never disagree, whoever looks meanwhile.
#[derive(Debug)]
pub(crate) struct Durations {
    bounds: &'static [f64],
    /// One more than there are bounds: what is longer than all of them.
    buckets: Box<[Counter]>,
    sum_ns: Counter,
}

impl Durations {
    /// For a histogram's definition.
    pub(crate) fn of(definition: &Definition) -> Self {
        let Kind::Histogram { bounds } = definition.kind else {
            unreachable!("{} is no histogram", definition.name);
        };
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, buckets, sum_ns: Counter::default() }
    }

    pub(crate) fn observe(&self, duration: Duration, times: u64) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].add(times);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.add(ns.saturating_mul(times));
    }

    /// Each bound with how many were that long or shorter; then how many there were in all.
    pub(crate) fn cumulated(&self) -> (Vec<(f64, u64)>, u64) {
        let mut so_far = 0;
        let mut counts = self.buckets.iter().map(|bucket| {
            so_far += bucket.get();
            so_far
        });
        let bounded = self.bounds.iter().copied().zip(counts.by_ref()).collect();
        let all = counts.next().unwrap_or_default();
        (bounded, all)
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        Duration::from_nanos(self.sum_ns.get()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::ATTEMPT_DURATION;

    #[test]
    fn duration_counts_in_the_bucket_that_it_is_the_bound_of() {
        let durations = Durations::of(&ATTEMPT_DURATION);
        durations.observe(Duration::from_millis(5), 1);
        durations.observe(Duration::from_nanos(5_000_001), 1);
        durations.observe(Duration::from_secs(121), 2);
        let (bounded, all) = durations.cumulated();
        assert_eq!(bounded[..2], [(0.005, 1), (0.01, 2)]);
        assert_eq!((bounded.last().copied(), all), (Some((120.0, 2)), 4));
        assert!((durations.sum_seconds() - 242.010_000_001).abs() < 1e-9);
    }
}
