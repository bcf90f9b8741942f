//! Whether something is away, as far as logs go.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something is away: thousands may find that out, and it is to be told once when it begins and once when it ends.
#[derive(Debug, Default)]
pub struct Outage(AtomicBool);

impl Outage {
    /// Notes a failure. Returns whether the outage begins with it.
    pub fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether the last that was noted is a failure.
    pub fn lasts(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes a success. Returns whether an outage ends with it.
    pub fn ends(&self) -> bool {
        // Only read while all is well: this is asked for each event.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outage_begins_once_and_ends_once() {
        let outage = Outage::default();
        assert!(!outage.ends(), "there was none");
        for _ in 0..2 {
            assert_eq!([outage.begins(), outage.begins()], [true, false]);
            assert!(outage.lasts());
            assert_eq!([outage.ends(), outage.ends()], [true, false]);
            assert!(!outage.lasts());
        }
    }
}
