//! Parts of a callback that stand in its row as JSON.
//!
//! Rows outlive versions: members may be added with a default, never renamed or given another meaning.

use std::num::NonZeroU32;
use std::time::Duration;

use ringback_core::callback::{Authorization, CircuitPolicy};
use ringback_core::rate::RateLimit;
use ringback_core::retry::{Backoff, RetryPolicy};
use ringback_core::secret::Secret;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum AuthorizationJson {
    None,
    Basic { username: String, password: String },
    Bearer { token: String },
    Header { value: String },
    CallbackKey { key: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct RetryJson {
    enabled: bool,
    delay_ms: u64,
    max_retries: u32,
    backoff: BackoffJson,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BackoffJson {
    Fixed,
    Exponential { factor: f64, delay_max_ms: u64 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct RateLimitJson {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CircuitJson {
    enabled: bool,
    failures: NonZeroU32,
    open_for_ms: u64,
}

impl From<&Authorization> for AuthorizationJson {
    fn from(authorization: &Authorization) -> Self {
        let text = |secret: &Secret| secret.reveal().to_owned();
        match authorization {
            Authorization::None => Self::None,
            Authorization::Basic { username, password } => {
                Self::Basic { username: username.clone(), password: text(password) }
            }
            Authorization::Bearer { token } => Self::Bearer { token: text(token) },
            Authorization::Header { value } => Self::Header { value: text(value) },
            Authorization::CallbackKey { key } => Self::CallbackKey { key: text(key) },
        }
    }
}

impl From<AuthorizationJson> for Authorization {
    fn from(json: AuthorizationJson) -> Self {
        match json {
            AuthorizationJson::None => Self::None,
            AuthorizationJson::Basic { username, password } => {
                Self::Basic { username, password: Secret::new(password) }
            }
            AuthorizationJson::Bearer { token } => Self::Bearer { token: Secret::new(token) },
            AuthorizationJson::Header { value } => Self::Header { value: Secret::new(value) },
            AuthorizationJson::CallbackKey { key } => Self::CallbackKey { key: Secret::new(key) },
        }
    }
}

impl From<&RetryPolicy> for RetryJson {
    fn from(policy: &RetryPolicy) -> Self {
        let backoff = match policy.backoff {
            Backoff::Fixed => BackoffJson::Fixed,
            Backoff::Exponential { factor, delay_max } => {
                BackoffJson::Exponential { factor, delay_max_ms: whole_ms(delay_max) }
            }
        };
        Self {
            enabled: policy.enabled,
            delay_ms: whole_ms(policy.delay),
            max_retries: policy.max_retries,
            backoff,
        }
    }
}

impl From<RetryJson> for RetryPolicy {
    fn from(json: RetryJson) -> Self {
        let backoff = match json.backoff {
            BackoffJson::Fixed => Backoff::Fixed,
            BackoffJson::Exponential { factor, delay_max_ms } => {
                Backoff::Exponential { factor, delay_max: Duration::from_millis(delay_max_ms) }
            }
        };
        Self {
            enabled: json.enabled,
            delay: Duration::from_millis(json.delay_ms),
            max_retries: json.max_retries,
            backoff,
        }
    }
}

impl From<RateLimit> for RateLimitJson {
    fn from(limit: RateLimit) -> Self {
        Self { per_second: limit.per_second, burst: limit.burst }
    }
}

impl From<RateLimitJson> for RateLimit {
    fn from(json: RateLimitJson) -> Self {
        Self { per_second: json.per_second, burst: json.burst }
    }
}

impl From<CircuitPolicy> for CircuitJson {
    fn from(policy: CircuitPolicy) -> Self {
        Self {
            enabled: policy.enabled,
            failures: policy.failures,
            open_for_ms: whole_ms(policy.open_for),
        }
    }
}

impl From<CircuitJson> for CircuitPolicy {
    fn from(json: CircuitJson) -> Self {
        Self {
            enabled: json.enabled,
            failures: json.failures,
            open_for: Duration::from_millis(json.open_for_ms),
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
