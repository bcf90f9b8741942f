//! Links to the console, asked for and answered.

use std::ops::RangeInclusive;
use std::time::Duration;

use ringback_api::FieldError;
use ringback_core::{Account, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a link is good unless it is said, in seconds.
pub(crate) const SECONDS_DEFAULT: u64 = 3_600;
/// The least and the most that may be chosen.
const SECONDS: RangeInclusive<u64> = 60..=7 * 24 * 3_600;

/// A link to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsoleLink {
    /// The account whose console it opens; null: the key's, which of an instance key is everything.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) account: Option<Account>,
    /// How long it is good: 60 to 604800 seconds.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 604800, default = 3600)]
    expires_in_seconds: Option<i64>,
}

/// A link that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeConsoleLink {
    /// Where it leads, below the address of this instance. Shown now and never again: only its hash is kept.
    #[schema(example = "/console/enter/…")]
    pub(crate) path: String,
    /// The whole of it; null: this instance does not know its own address (`public_url`).
    #[schema(required)]
    pub(crate) url: Option<String>,
    /// Until when it is good, if it is not used before.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}

impl NewConsoleLink {
    /// How long it is good.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn lasts(&self) -> Result<Duration, Vec<FieldError>> {
        let Some(seconds) = self.expires_in_seconds else {
            return Ok(Duration::from_secs(SECONDS_DEFAULT));
        };
        let seconds = u64::try_from(seconds).ok().filter(|seconds| SECONDS.contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let (min, max) = (SECONDS.start(), SECONDS.end());
            let detail = format!("a whole number of seconds from {min} to {max}");
            vec![FieldError::new("/expires_in_seconds", detail)]
        })
    }

    /// The same, of what a form has sent.
    pub(crate) fn of_form(account: Option<Account>, seconds: &str) -> Self {
        // What is no number is none that may be chosen.
        Self { account, expires_in_seconds: Some(seconds.parse().unwrap_or_default()) }
    }
}
