//! Whether, and when, a delivery is tried again: a pure decision.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::{Outcome, Timestamp};

/// The number of an attempt within its delivery: 1 is the first.
pub type AttemptNumber = NonZeroU32;

/// What happens after a failure.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Whether there are retries at all.
    pub enabled: bool,
    /// The wait before a retry; before the first one, if they grow.
    pub delay: Duration,
    /// Retries before giving up: so 1 + `max_retries` requests at the most.
    pub max_retries: u32,
    /// How the wait grows.
    pub backoff: Backoff,
}

/// How the wait grows from retry to retry.
#[derive(Clone, Debug, PartialEq)]
pub enum Backoff {
    /// Not at all.
    Fixed,
    /// By a factor, up to a maximum, with full jitter.
    Exponential {
        /// Between 1 and 10.
        factor: f64,
        /// No wait is longer.
        delay_max: Duration,
    },
}

impl RetryPolicy {
    /// The longest wait that a policy can ask for: a week.
    pub const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// The most retries that a policy can ask for.
    pub const MAX_RETRIES_MAX: u32 = 100;

    /// Delay before the given retry (1 is the first).
    ///
    /// Fixed: `delay`. Exponential: uniform in `[0, min(delay_max, delay * factor^(retry - 1))]`.
    /// `jitter` is uniform in `[0, 1)`, given by the caller so that tests are exact. Whole milliseconds.
    ///
    /// # Source
    /// docs/adr/0006; "Exponential Backoff And Jitter", AWS Architecture Blog.
    #[must_use]
    pub fn delay_before(&self, retry: u32, jitter: f64) -> Duration {
        match self.backoff {
            Backoff::Fixed => self.delay,
            Backoff::Exponential { factor, delay_max } => {
                let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
                let grown = self.delay.as_secs_f64() * factor.powi(exponent);
                let bound = grown.min(delay_max.as_secs_f64());
                let ms = (bound * jitter.clamp(0.0, 1.0) * 1_000.0).floor();
                Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(delay_max)
            }
        }
    }
}

impl Default for RetryPolicy {
    /// 3 retries, 300 s apart.
    fn default() -> Self {
        Self {
            enabled: true,
            delay: Duration::from_secs(300),
            max_retries: 3,
            backoff: Backoff::Fixed,
        }
    }
}

/// What is to be done after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is delivered.
    Delivered,
    /// Another attempt, not before this moment.
    RetryAt(Timestamp),
    /// Nothing: the policy is spent.
    Exhausted,
    /// The endpoint said it is gone for good (410): no retry, and the callback is to be disabled.
    Gone,
}

/// Which attempt it was: its number, and the number of the one that began this series.
///
/// A delivery's first series begins with attempt 1. A retry by hand begins a series of its own, with the whole policy
/// before it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The attempt's number.
    pub attempt: AttemptNumber,
    /// The number of the series' first attempt.
    pub series_start: AttemptNumber,
}

/// Decides what follows from an outcome. `jitter` is asked only if there is a retry.
///
/// A `Retry-After` of the receiver takes the place of the policy's delay, but never makes it shorter than a second, so
/// that `Retry-After: 0` does not spend all retries at once.
#[must_use]
pub fn decide(
    policy: &RetryPolicy,
    position: Position,
    outcome: &Outcome,
    now: Timestamp,
    jitter: impl FnOnce() -> f64,
) -> Verdict {
    const ASKED_WAIT_MIN: Duration = Duration::from_secs(1);

    let asked_wait = match outcome {
        Outcome::Success { .. } => return Verdict::Delivered,
        Outcome::HttpError { status: 410, .. } => return Verdict::Gone,
        Outcome::HttpError { retry_after, .. } => *retry_after,
        Outcome::Timeout { .. } | Outcome::Connection { .. } | Outcome::Blocked { .. } => None,
    };
    let retry = position.attempt.get() - position.series_start.get() + 1;
    if !policy.enabled || retry > policy.max_retries {
        return Verdict::Exhausted;
    }
    let wait = match asked_wait {
        Some(asked) => asked.max(ASKED_WAIT_MIN),
        None => policy.delay_before(retry, jitter()),
    };
    Verdict::RetryAt(now + wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_000_000);

    fn position(attempt: u32, series_start: u32) -> Position {
        let number = |n| AttemptNumber::new(n).expect("attempts begin at 1");
        Position { attempt: number(attempt), series_start: number(series_start) }
    }

    fn failure() -> Outcome {
        Outcome::HttpError { status: 500, retry_after: None }
    }

    #[test]
    fn default_policy_is_one_request_and_three_retries_300_s_apart() {
        let policy = RetryPolicy::default();
        for attempt in 1..=3 {
            let verdict = decide(&policy, position(attempt, 1), &failure(), NOW, || 0.5);
            assert_eq!(verdict, Verdict::RetryAt(NOW + Duration::from_secs(300)), "{attempt}");
        }
        assert_eq!(decide(&policy, position(4, 1), &failure(), NOW, || 0.5), Verdict::Exhausted);
    }

    #[test]
    fn every_failure_is_retried_and_only_success_delivers() {
        let policy = RetryPolicy::default();
        let reason = String::new;
        for outcome in [
            Outcome::HttpError { status: 302, retry_after: None },
            Outcome::HttpError { status: 404, retry_after: None },
            failure(),
            Outcome::Timeout { reason: reason() },
            Outcome::Connection { reason: reason() },
            Outcome::Blocked { reason: reason() },
        ] {
            let verdict = decide(&policy, position(1, 1), &outcome, NOW, || 0.0);
            assert!(matches!(verdict, Verdict::RetryAt(_)), "{outcome:?}");
        }
        let success = Outcome::Success { status: 204 };
        assert_eq!(decide(&policy, position(1, 1), &success, NOW, || 0.0), Verdict::Delivered);
    }

    #[test]
    fn retry_switched_off_gives_up_at_once() {
        let policy = RetryPolicy { enabled: false, ..RetryPolicy::default() };
        assert_eq!(decide(&policy, position(1, 1), &failure(), NOW, || 0.0), Verdict::Exhausted);
        let none = RetryPolicy { max_retries: 0, ..RetryPolicy::default() };
        assert_eq!(decide(&none, position(1, 1), &failure(), NOW, || 0.0), Verdict::Exhausted);
    }

    #[test]
    fn gone_is_never_retried() {
        let gone = Outcome::HttpError { status: 410, retry_after: None };
        assert_eq!(
            decide(&RetryPolicy::default(), position(1, 1), &gone, NOW, || 0.0),
            Verdict::Gone
        );
    }

    #[test]
    fn throttled_delivery_waits_for_retry_after_and_at_least_a_second() {
        let policy = RetryPolicy::default();
        for (asked, wait) in [(0, 1), (120, 120), (900, 900)] {
            let outcome =
                Outcome::HttpError { status: 429, retry_after: Some(Duration::from_secs(asked)) };
            let verdict = decide(&policy, position(1, 1), &outcome, NOW, || 0.0);
            assert_eq!(verdict, Verdict::RetryAt(NOW + Duration::from_secs(wait)), "{asked}");
        }
    }

    #[test]
    fn retry_by_hand_has_the_whole_policy_before_it_again() {
        let policy = RetryPolicy::default();
        let verdict = decide(&policy, position(5, 5), &failure(), NOW, || 0.0);
        assert!(matches!(verdict, Verdict::RetryAt(_)));
        assert_eq!(decide(&policy, position(8, 5), &failure(), NOW, || 0.0), Verdict::Exhausted);
    }

    #[test]
    fn exponential_backoff_doubles_up_to_its_maximum() {
        let policy = RetryPolicy {
            delay: Duration::from_secs(10),
            backoff: Backoff::Exponential { factor: 2.0, delay_max: Duration::from_secs(60) },
            ..RetryPolicy::default()
        };
        let longest: Vec<_> =
            (1..=5).map(|retry| policy.delay_before(retry, 1.0).as_secs()).collect();
        assert_eq!(longest, [10, 20, 40, 60, 60]);
        assert_eq!(policy.delay_before(3, 0.25), Duration::from_secs(10));
        assert_eq!(policy.delay_before(u32::MAX, 1.0), Duration::from_secs(60));
    }
}
