//! What was recorded, added up by steps of time: what charts are made of.
//!
//! To count the history for a chart would take the longer the more there is. So each process adds up what it records and
//! writes the sums every few seconds, apart from the deliveries: one row for each callback and step, however many
//! deliveries there were. A process that is killed takes the last seconds of its sums along, and nothing else.

use std::ops::AddAssign;
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::{Account, CallbackId, Timestamp};

use crate::Error;

/// Whose traffic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrafficOf {
    /// Everybody's.
    All,
    /// That of an account's events.
    Account(Account),
    /// That to a callback.
    Callback(CallbackId),
}

/// How long a step of time is. A step begins at a multiple of its length since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Kept for two days.
    FiveMinutes,
    /// Kept as long as the history.
    Hour,
}

impl Step {
    /// Both.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::Hour];

    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_secs(5 * 60),
            Self::Hour => Duration::from_secs(60 * 60),
        }
    }
}

/// What happened within a step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Deliveries that were delivered.
    pub delivered: u64,
    /// Deliveries that were given up on.
    pub exhausted: u64,
    /// Attempts that were answered with 2xx.
    pub succeeded: u64,
    /// Attempts that were not.
    pub failed: u64,
    /// How long all attempts took together.
    pub duration: Duration,
    /// How long the longest of them took.
    pub duration_max: Duration,
}

impl Traffic {
    /// How many attempts there were.
    #[must_use]
    pub const fn attempts(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// The share of attempts that succeeded, from 0 to 1; none: there was no attempt.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share is shown in whole percents")]
    pub fn success_ratio(&self) -> Option<f64> {
        (self.attempts() > 0).then(|| self.succeeded as f64 / self.attempts() as f64)
    }

    /// How long an attempt took on average; none: there was no attempt.
    #[must_use]
    pub fn duration_mean(&self) -> Option<Duration> {
        let attempts = u32::try_from(self.attempts()).ok().filter(|attempts| *attempts > 0)?;
        Some(self.duration / attempts)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.exhausted += more.exhausted;
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.duration += more.duration;
        self.duration_max = self.duration_max.max(more.duration_max);
    }
}

/// What the console asks of a store to draw charts.
#[async_trait]
pub trait TrafficStore: Send + Sync + 'static {
    /// The steps that begin at this moment or later, first one first. Those in which nothing happened are left out. What
    /// was recorded within the last seconds may be missing.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Traffic)>, Error>;

    /// The same of every callback that has any, first step first.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn traffic_of_callbacks(
        &self,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(CallbackId, Timestamp, Traffic)>, Error>;
}
