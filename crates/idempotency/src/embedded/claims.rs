//! Claims on attempts, in memory.

use std::collections::HashMap;
use std::time::Duration;

use ringback_core::Timestamp;

use crate::{AttemptKey, Claim, Fence};

/// How long a mark is kept that nobody tells to forget. Its message was acked long before, or came back marked as
/// handed out before, and then the history knows.
const MARK_KEPT: Duration = Duration::from_secs(60 * 60);

/// Below this many nobody looks for what has run out.
const SWEEP_MIN: usize = 1_024;

/// Who holds which attempt, and which are done.
#[derive(Debug)]
pub(super) struct Claims {
    entries: HashMap<AttemptKey, Entry>,
    last_fence: u64,
    /// What has run out is looked for at this many entries; then at twice what is left.
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    fence: Fence,
    state: State,
    until: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Settled,
}

impl Default for Claims {
    fn default() -> Self {
        Self { entries: HashMap::new(), last_fence: 0, sweep_at: SWEEP_MIN }
    }
}

impl Claims {
    pub(super) fn claim(&mut self, key: AttemptKey, lease: Duration, now: Timestamp) -> Claim {
        self.sweep(now);
        if let Some(entry) = self.entries.get(&key).filter(|entry| entry.until > now) {
            return match entry.state {
                State::Held => Claim::Held { left: entry.until.since(now) },
                State::Settled => Claim::Settled,
            };
        }
        self.last_fence += 1;
        let fence = Fence(self.last_fence);
        self.entries.insert(key, Entry { fence, state: State::Held, until: now + lease });
        Claim::Granted(fence)
    }

    pub(super) fn settle(&mut self, key: AttemptKey, fence: Fence, now: Timestamp) {
        self.sweep(now);
        if !self.is_granted_anew(key, fence) {
            let until = now + MARK_KEPT;
            self.entries.insert(key, Entry { fence, state: State::Settled, until });
        }
    }

    pub(super) fn forget(&mut self, key: AttemptKey, fence: Fence) {
        if !self.is_granted_anew(key, fence) {
            self.entries.remove(&key);
        }
    }

    fn is_granted_anew(&self, key: AttemptKey, fence: Fence) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.fence > fence)
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.until > now);
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use ringback_core::DeliveryId;
    use ringback_core::retry::AttemptNumber;

    use super::*;

    #[test]
    fn claims_that_ran_out_do_not_pile_up() {
        let mut claims = Claims::default();
        let lease = Duration::from_secs(30);
        for number in 0..100_000_u32 {
            let mut random = [0; 10];
            random[..4].copy_from_slice(&number.to_be_bytes());
            let key = AttemptKey {
                delivery: DeliveryId::from_parts(Timestamp::EPOCH, random),
                attempt: AttemptNumber::MIN,
            };
            // One a millisecond: 30,000 are held at a time.
            claims.claim(key, lease, Timestamp::from_ms(number.into()));
        }
        assert!(claims.entries.len() <= 60_001, "{}", claims.entries.len());
    }
}
