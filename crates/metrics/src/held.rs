//! Since when the oldest first attempt is due that a worker has in hand.
//!
//! **Problem.** It is asked for at every scrape, and each delivery changes it, so it may cost a delivery next to nothing.
//!
//! **Design.** A ring of counters, one for each second: what is taken in hand counts in the second when it was due, as
//! long as it is held. Whoever asks looks for the oldest that is not zero. What has been due for more than a day counts as
//! due for a day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringback_core::Timestamp;

/// A day and a half: what is taken in hand as due for a day may be held for hours before it would look new.
const SECONDS: usize = 1 << 17;

/// What is due for longer counts as due for so long.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that is set back leaves counts in what is then the future; they are of now.
const FUTURE: usize = 60 * 60;

/// Counters by the second of the due time.
#[derive(Debug)]
pub(crate) struct Held(Box<[AtomicU32]>);

/// Counts a first attempt as held as long as it lives.
#[derive(Debug)]
pub struct HeldAttempt {
    held: Arc<Held>,
    second: usize,
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self((0..SECONDS).map(|_| AtomicU32::new(0)).collect()))
    }

    /// None if it is not due.
    pub(crate) fn hold(self: &Arc<Self>, due: Timestamp, now: Timestamp) -> Option<HeldAttempt> {
        if due > now {
            return None;
        }
        let second = second_of(due.max(now - AGE_MAX));
        self.0[second].fetch_add(1, Ordering::Relaxed);
        Some(HeldAttempt { held: self.clone(), second })
    }

    /// The age of the oldest that is held, in whole seconds; zero if none is.
    pub(crate) fn oldest_age(&self, now: Timestamp) -> Duration {
        let now = second_of(now);
        let is_held = |age: &usize| {
            let second = (now + SECONDS - age) % SECONDS;
            self.0[second].load(Ordering::Relaxed) > 0
        };
        let oldest = (0..SECONDS - FUTURE).rev().find(is_held).unwrap_or_default();
        Duration::from_secs(oldest as u64)
    }
}

impl Drop for HeldAttempt {
    fn drop(&mut self) {
        self.held.0[self.second].fetch_sub(1, Ordering::Relaxed);
    }
}

fn second_of(moment: Timestamp) -> usize {
    usize::try_from(moment.seconds()).unwrap_or_default() % SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn oldest_that_is_held_tells_the_age() {
        let held = Held::new();
        assert_eq!(held.oldest_age(NOW), Duration::ZERO);
        let new = held.hold(NOW, NOW);
        let old = held.hold(NOW - seconds(90), NOW);
        let as_old = held.hold(NOW - seconds(90), NOW);
        assert_eq!(held.oldest_age(NOW + seconds(10)), seconds(100));
        drop(old);
        assert_eq!(held.oldest_age(NOW + seconds(10)), seconds(100));
        drop(as_old);
        assert_eq!(held.oldest_age(NOW + seconds(10)), seconds(10));
        drop(new);
        assert_eq!(held.oldest_age(NOW + seconds(10)), Duration::ZERO);
    }

    #[test]
    fn what_is_not_due_is_not_counted() {
        let held = Held::new();
        assert!(held.hold(NOW + seconds(1), NOW).is_none());
        assert_eq!(held.oldest_age(NOW + seconds(9)), Duration::ZERO);
    }

    #[test]
    fn what_is_due_for_very_long_counts_as_a_day() {
        let held = Held::new();
        let _old = held.hold(Timestamp::EPOCH, NOW);
        assert_eq!(held.oldest_age(NOW), AGE_MAX);
        assert_eq!(held.oldest_age(NOW + seconds(7_200)), AGE_MAX + seconds(7_200));
    }

    #[test]
    fn clock_that_is_set_back_makes_nothing_old() {
        let held = Held::new();
        let _held = held.hold(NOW, NOW);
        assert_eq!(held.oldest_age(NOW - seconds(60)), Duration::ZERO);
    }
}
