//! How much a callback takes, as it comes and goes: its rate limit and its circuit.

use std::num::NonZeroU32;

use ringback_core::callback::CircuitPolicy;
use ringback_core::rate::RateLimit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::callback::{Seconds, yes};
use super::settings::{Errors, duration};

/// How many requests a second a callback wants at the most, from all workers together.
///
/// What has to wait for its turn is pending and `waits_for` `rate_limit`: no attempt is made, and none is used up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitSettings {
    /// Requests a second in the long run: 1 to 10000.
    #[schema(minimum = 1, maximum = 10000)]
    per_second: i64,
    /// How many may go at once after a quiet time, so that no second has more than `per_second` and `burst` together: 1
    /// to 10000; a tenth of `per_second`, rounded up, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    burst: Option<i64>,
}

/// When an endpoint that fails is left alone for a while.
///
/// What has to wait meanwhile is pending and `waits_for` `circuit_open`: no attempt is made, and none is used up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CircuitSettings {
    /// Off: it is tried however often it fails.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    /// So many failures in a row open the circuit, as do 3 of 4 among the last 4 times as many attempts: 1 to 1000.
    /// Timeouts, broken connections, answers of 500 and above and 429 count as failures.
    #[serde(default = "failures")]
    #[schema(default = 20, minimum = 1, maximum = 1000)]
    failures: i64,
    /// How long it stays open at first, in seconds, to the millisecond: 1 to 3600. Then one request tries; while that
    /// fails it stays open twice as long as before, up to ten times as long as at first.
    #[serde(default = "open_seconds")]
    #[schema(value_type = f64, default = 30, minimum = 1, maximum = 3600)]
    open_seconds: Seconds,
}

impl RateLimitSettings {
    pub(super) fn of(limit: RateLimit) -> Self {
        Self { per_second: limit.per_second.get().into(), burst: Some(limit.burst.get().into()) }
    }

    pub(super) fn check(&self, errors: &mut Errors) -> Option<RateLimit> {
        let number = |number| from_1_to(RateLimit::MAX, number);
        let per_second = errors.keep("/rate_limit/per_second", number(self.per_second));
        let burst = match self.burst {
            Some(burst) => errors.keep("/rate_limit/burst", number(burst)),
            None => per_second.map(burst_of),
        };
        Some(RateLimit { per_second: per_second?, burst: burst? })
    }
}

/// The burst that goes without saying: a tenth of a second's requests, rounded up. Without any, a request that comes a
/// moment too late would leave a gap that nobody may fill, and the rate would never be reached.
fn burst_of(per_second: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(per_second.get().div_ceil(10)).unwrap_or(NonZeroU32::MIN)
}

impl CircuitSettings {
    pub(super) fn of(policy: CircuitPolicy) -> Self {
        Self {
            enabled: policy.enabled,
            failures: policy.failures.get().into(),
            open_seconds: Seconds(policy.open_for.as_secs_f64()),
        }
    }

    pub(super) fn check(&self, errors: &mut Errors) -> Option<CircuitPolicy> {
        let failures = from_1_to(CircuitPolicy::FAILURES_MAX, self.failures);
        let failures = errors.keep("/circuit/failures", failures);
        let open_for = duration(self.open_seconds, &CircuitPolicy::OPEN_FOR_RANGE);
        let open_for = errors.keep("/circuit/open_seconds", open_for);
        Some(CircuitPolicy { enabled: self.enabled, failures: failures?, open_for: open_for? })
    }
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self::of(CircuitPolicy::default())
    }
}

/// Checks a number that is counted from 1.
pub(super) fn from_1_to(max: u32, number: i64) -> Result<NonZeroU32, String> {
    let number = u32::try_from(number).ok().filter(|number| *number <= max);
    let number = number.and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("a whole number from 1 to {max}"))
}

fn failures() -> i64 {
    CircuitSettings::default().failures
}

fn open_seconds() -> Seconds {
    CircuitSettings::default().open_seconds
}
