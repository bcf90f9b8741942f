//! How fast each callback is sent to, in memory.

use std::collections::HashMap;

use ringback_core::rate::{Admission, Asking, RateLimit, RateState};
use ringback_core::{CallbackId, Timestamp};

/// Below this many nobody looks for what is on time again.
const SWEEP_MIN: usize = 1_024;

/// The callbacks with a rate limit that were sent to lately.
#[derive(Debug)]
pub(super) struct Rates {
    states: HashMap<CallbackId, RateState>,
    /// What is on time again is looked for at this many states; then at twice what is left.
    sweep_at: usize,
}

impl Default for Rates {
    fn default() -> Self {
        Self { states: HashMap::new(), sweep_at: SWEEP_MIN }
    }
}

impl Rates {
    pub(super) fn admit(
        &mut self,
        callback: CallbackId,
        limit: RateLimit,
        asking: Asking,
        now: Timestamp,
    ) -> Admission {
        let now_us = u64::try_from(now.ms()).unwrap_or(0).saturating_mul(1_000);
        self.sweep(now_us);
        let state = self.states.entry(callback).or_default();
        let (admission, after) = limit.admit(asking, *state, now_us);
        *state = after;
        admission
    }

    /// Who is on time is like who never sent.
    fn sweep(&mut self, now_us: u64) {
        if self.states.len() >= self.sweep_at {
            self.states.retain(|_, state| state.over_at_us() > now_us);
            self.sweep_at = (self.states.len() * 2).max(SWEEP_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn callbacks_that_are_on_time_do_not_pile_up() {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        let limit = RateLimit { per_second: number(1), burst: number(1) };
        let mut rates = Rates::default();
        for ms in 0..100_000_u32 {
            let mut random = [0; 10];
            random[..4].copy_from_slice(&ms.to_be_bytes());
            let callback = CallbackId::from_parts(Timestamp::EPOCH, random);
            // One a millisecond: 1,000 are not on time at a time.
            rates.admit(callback, limit, Asking::First, Timestamp::from_ms(ms.into()));
        }
        assert!(rates.states.len() <= 2_049, "{}", rates.states.len());
    }
}
