//! How long what can't go now stays away.

use std::time::Duration;

/// 1, 2, 4 … 32 s: who is put off often comes back less often. A quarter more or less, so that they don't come all at
/// once.
pub(crate) fn put_off_by(deferrals: u32) -> Duration {
    let seconds = 1_u32 << deferrals.saturating_sub(1).min(5);
    Duration::from_secs(1).mul_f64(f64::from(seconds) * (0.75 + jitter() / 2.0))
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
    fn who_is_put_off_often_stays_away_longer_but_never_much_over_half_a_minute() {
        for (deferrals, seconds) in
            [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (u32::MAX, 32.0)]
        {
            let wait = put_off_by(deferrals).as_secs_f64();
            assert!((seconds * 0.75..=seconds * 1.25).contains(&wait), "{deferrals}: {wait}");
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
