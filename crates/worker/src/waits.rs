//! How long what can't go now stays away.

use std::time::Duration;

/// 1, 2, 4 … 32 s: who is put off often comes back less often. For where nobody knows when there will be a place.
///
/// Exactly, and not a little more or less for each: those that are put off together wait on the queue as one message then,
/// and a power of two is one level of its ladder. That they all come back together does no harm: where places become free
/// they are told their turns, each another one.
pub(crate) fn put_off_by(deferrals: u32) -> Duration {
    Duration::from_secs(1 << deferrals.saturating_sub(1).min(5))
}

/// Somewhere between nothing and `most`.
pub(crate) fn spread(most: Duration) -> Duration {
    most.mul_f64(jitter())
}

/// As long as the event is old, a minute at the least and an hour at the most. So a dispatch that makes the worker panic
/// each time comes back ever less often, and nobody has to count.
pub(crate) fn after_a_panic(age: Duration) -> Duration {
    age.clamp(Duration::from_secs(60), Duration::from_secs(3_600))
}

/// Uniform in `[0, 1)`.
pub(crate) fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_put_off_often_stays_away_longer_but_never_over_32_seconds() {
        for (deferrals, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (u32::MAX, 32)] {
            assert_eq!(put_off_by(deferrals), Duration::from_secs(seconds), "{deferrals}");
        }
    }

    #[test]
    fn what_panics_each_time_comes_back_ever_less_often() {
        let mut age = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = after_a_panic(age);
            age += wait;
            waits.push(wait.as_secs() / 60);
        }
        assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
