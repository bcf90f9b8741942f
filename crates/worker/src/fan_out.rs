//! How many callbacks an event matches, lately: what a message will take of the worker's room is not known before its
//! events are resolved, and room has to be found before that.

use std::sync::atomic::{AtomicU32, Ordering};

/// A running average, of the last dozens of events.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    /// In sixteenths.
    average_16: AtomicU32,
}

/// A fan-out over more is split, and its parts are messages of their own.
const TOLD_APART_MAX: u32 = 16;

impl FanOut {
    /// An event matched so many. A race between two loses one sample.
    pub(crate) fn note(&self, targets: usize) {
        let targets = u32::try_from(targets).unwrap_or(u32::MAX).min(TOLD_APART_MAX);
        let average = self.average_16.load(Ordering::Relaxed);
        let average = (average * 15 + targets * 16).div_ceil(16);
        self.average_16.store(average, Ordering::Relaxed);
    }

    /// What the next event will match, at least one.
    pub(crate) fn expected(&self) -> u32 {
        self.average_16.load(Ordering::Relaxed).div_ceil(16).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectation_follows_what_is_matched() {
        let fan_out = FanOut::default();
        assert_eq!(fan_out.expected(), 1);
        for _ in 0..100 {
            fan_out.note(5);
        }
        assert_eq!(fan_out.expected(), 5);
        for _ in 0..200 {
            fan_out.note(0);
        }
        assert!(fan_out.expected() <= 2, "{}", fan_out.expected());
    }
}
