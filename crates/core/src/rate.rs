//! How many requests a second a callback wants at the most, and when the next one may go.
//!
//! The generic cell rate algorithm: all that is remembered of a callback is when the next request would be on time.
//! Pure; where the state is kept, and by how many workers it is shared, is the affair of the idempotency port.

use std::num::NonZeroU32;
use std::time::Duration;

/// At most so many requests a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// How many may go at once after a quiet time: in any second no more than `per_second + burst` go.
    pub burst: NonZeroU32,
}

/// What is remembered of one callback. Microseconds since the epoch; zero is a callback that never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// When the next request would be exactly on time.
    pub next_us: u64,
    /// Until when those that were sent away have been given a time to come back.
    pub queued_until_us: u64,
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and is counted.
    Now,
    /// Not before so long. It is not counted, and has to ask again.
    Wait(Duration),
}

/// Nobody is sent away for longer, so that a limit that is raised is felt soon.
pub const RATE_WAIT_MAX: Duration = Duration::from_secs(300);

impl RateLimit {
    /// The most of either that a callback may choose.
    pub const MAX: u32 = 10_000;

    /// The time between two requests that are exactly on time, in microseconds.
    #[must_use]
    pub fn interval_us(self) -> u64 {
        1_000_000 / u64::from(self.per_second.get())
    }

    /// How much too early a request may be, in microseconds.
    #[must_use]
    pub fn tolerance_us(self) -> u64 {
        self.interval_us() * u64::from(self.burst.get() - 1)
    }

    /// Asks for one request. Of many that can't go now each is told another time to come back, one interval apart:
    /// came all of them at the same moment, all but one would be sent away again.
    #[must_use]
    pub fn admit(self, state: RateState, now_us: u64) -> (Admission, RateState) {
        let next_us = state.next_us.max(now_us);
        let free_us = next_us.saturating_sub(self.tolerance_us());
        if free_us <= now_us {
            return (Admission::Now, RateState { next_us: next_us + self.interval_us(), ..state });
        }
        let queued_until_us = free_us.max(state.queued_until_us + self.interval_us());
        let queued_until_us =
            queued_until_us.min(now_us + u64::try_from(RATE_WAIT_MAX.as_micros()).unwrap_or(0));
        let wait = Duration::from_micros(queued_until_us - now_us);
        (Admission::Wait(wait), RateState { queued_until_us, ..state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        RateLimit { per_second: number(per_second), burst: number(burst) }
    }

    #[test]
    fn burst_goes_at_once_and_the_rest_one_interval_apart() {
        let limit = limit(50, 10);
        let now_us = 1_000_000_000;
        let mut state = RateState::default();
        let mut waits = Vec::new();
        for _ in 0..13 {
            let (admission, after) = limit.admit(state, now_us);
            state = after;
            waits.push(admission);
        }
        assert!(waits[..10].iter().all(|admission| *admission == Admission::Now));
        let wait = |ms| Admission::Wait(Duration::from_millis(ms));
        assert_eq!(waits[10..], [wait(20), wait(40), wait(60)]);
    }

    #[test]
    fn no_second_has_more_than_the_rate_and_the_burst() {
        let limit = limit(50, 10);
        let mut state = RateState::default();
        let mut sent = Vec::new();
        // Asks each millisecond for five seconds.
        for now_us in (1_000_000..6_000_000).step_by(1_000) {
            let (admission, after) = limit.admit(state, now_us);
            state = after;
            if admission == Admission::Now {
                sent.push(now_us);
            }
        }
        for start in &sent {
            let within = sent.iter().filter(|at| (*start..start + 1_000_000).contains(at)).count();
            assert!(within <= 60, "{within} within a second");
        }
        assert!(sent.len() >= 5 * 50, "{} in five seconds", sent.len());
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_the_most() {
        let limit = limit(1, 1);
        let mut state = RateState::default();
        for _ in 0..1_000 {
            let (admission, after) = limit.admit(state, 5_000_000);
            state = after;
            if let Admission::Wait(wait) = admission {
                assert!(wait <= RATE_WAIT_MAX);
            }
        }
    }
}
