//! A new signing secret, asked for and answered.

use std::time::Duration;

use ringback_api::FieldError;
use ringback_core::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long the secret before signs too, in seconds, unless it is said.
const GRACE_SECONDS_DEFAULT: u64 = 24 * 3_600;
/// The longest that may be chosen: who has lost a secret wants it to end.
const GRACE_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// How a signing secret is replaced.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretRotation {
    /// How long the secret before signs too: 0 to 604800 seconds. 0: it ends at once.
    #[schema(minimum = 0, maximum = 604800, default = 86400)]
    grace_seconds: Option<i64>,
}

impl SecretRotation {
    /// One after which the secret before signs for so many seconds.
    pub(crate) const fn lasting(grace_seconds: i64) -> Self {
        Self { grace_seconds: Some(grace_seconds) }
    }

    /// How long the secret before signs too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn grace(&self) -> Result<Duration, Vec<FieldError>> {
        let Some(seconds) = self.grace_seconds else {
            return Ok(Duration::from_secs(GRACE_SECONDS_DEFAULT));
        };
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= GRACE_SECONDS_MAX);
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let detail = format!("a whole number of seconds from 0 to {GRACE_SECONDS_MAX}");
            vec![FieldError::new("/grace_seconds", detail)]
        })
    }
}

/// A signing secret that was just drawn.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    #[schema(example = "whsec_…")]
    pub(crate) secret: String,
    /// Until when the secret before signs too; null: it does not.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub(crate) previous_until: Option<Timestamp>,
}
