//! What a Redis says of itself, and what of that should be otherwise.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use redis::Value;
use ringback_core::Timestamp;
use ringback_runtime::Clock;

use super::Redis;
use super::fault::Fault;
use super::link::Repeat;
use crate::Error;

/// What one server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which node of a cluster, as host and port; none where there is one server.
    pub node: Option<String>,
    /// Such as `7.0.15`.
    pub version: String,
    /// `standalone` or `cluster`.
    pub mode: String,
    /// `master` or `slave`.
    pub role: String,
    /// How much memory its data may have, in bytes; none if as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// How much it has now, in bytes.
    pub memory_bytes: u64,
    /// What goes when there is no more.
    pub eviction_policy: String,
    /// Whether what was written survives a restart to the last second.
    pub is_append_only: bool,
    /// Its clock minus ours in ms, to within the time that asking took; none if it does not tell the time (before 6.2).
    pub clock_ahead_ms: Option<i64>,
}

/// What should be otherwise. The text says how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concern {
    /// It lacks commands that are needed.
    TooOld {
        /// Its version.
        version: String,
    },
    /// It makes room by forgetting what nobody told it to.
    Evicts {
        /// How it chooses.
        policy: String,
    },
    /// It takes memory until the system has none.
    Unlimited,
    /// Most of its memory is used.
    AlmostFull {
        /// Of a hundred.
        percent: u64,
    },
    /// It takes no writes.
    Replica,
    /// A restart forgets what happened since the last snapshot.
    Forgetful,
    /// One of the two clocks is wrong.
    ClockOff {
        /// Its clock minus ours, in ms.
        ahead_ms: i64,
    },
}

/// So much of the memory may be used before it is said.
const MEMORY_PERCENT_MAX: u64 = 80;
/// A clock further off than this is not the time that asking took.
const CLOCK_OFF: Duration = Duration::from_secs(5);
const MAJOR_VERSION_MIN: u32 = 6;

impl Redis {
    /// What the Redis says of itself, or each primary of a cluster.
    ///
    /// # Errors
    /// [`Error`] if it can't be reached, or does not let us ask.
    pub async fn facts(&self, clock: &dyn Clock) -> Result<Vec<Facts>, Error> {
        let asked = clock.now();
        let answer = self.link.call(Repeat::Safe, |_turn| redis::cmd("INFO")).await?;
        let answered = clock.now();
        let now = asked + answered.since(asked) / 2;
        let facts = match answer {
            Value::Map(nodes) => {
                let fact = |(node, info)| Facts::read(Some(text(node)?), &text(info)?, now);
                nodes.into_iter().map(fact).collect()
            }
            info => text(info).and_then(|info| Facts::read(None, &info, now)).map(|one| vec![one]),
        };
        Ok(facts.ok_or(Fault::Garbled)?)
    }
}

impl Facts {
    fn read(node: Option<String>, info: &str, now: Timestamp) -> Option<Self> {
        let fields: HashMap<_, _> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let word = |name| fields.get(name).map(|value| (*value).to_owned());
        let number = |name| fields.get(name)?.parse::<u64>().ok();
        let clock_ahead_ms = number("server_time_usec").and_then(|us| {
            let theirs = i64::try_from(us / 1_000).ok()?;
            Some(theirs - now.ms())
        });
        Some(Self {
            node,
            version: word("redis_version")?,
            mode: word("redis_mode")?,
            role: word("role")?,
            memory_bytes_max: number("maxmemory").filter(|max| *max > 0),
            memory_bytes: number("used_memory")?,
            eviction_policy: word("maxmemory_policy")?,
            is_append_only: number("aof_enabled") == Some(1),
            clock_ahead_ms,
        })
    }

    /// What should be otherwise.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        let major = self.version.split('.').next().and_then(|major| major.parse().ok());
        let percent = self.memory_bytes_max.map(|max| self.memory_bytes * 100 / max);
        let concerns = [
            major
                .is_some_and(|major: u32| major < MAJOR_VERSION_MIN)
                .then(|| Concern::TooOld { version: self.version.clone() }),
            (self.eviction_policy != "noeviction")
                .then(|| Concern::Evicts { policy: self.eviction_policy.clone() }),
            self.memory_bytes_max.is_none().then_some(Concern::Unlimited),
            percent
                .filter(|percent| *percent > MEMORY_PERCENT_MAX)
                .map(|percent| Concern::AlmostFull { percent }),
            (self.role != "master").then_some(Concern::Replica),
            (!self.is_append_only).then_some(Concern::Forgetful),
            self.clock_ahead_ms
                .filter(|ahead| u128::from(ahead.unsigned_abs()) > CLOCK_OFF.as_millis())
                .map(|ahead_ms| Concern::ClockOff { ahead_ms }),
        ];
        concerns.into_iter().flatten().collect()
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { version } => {
                write!(f, "redis {version} is too old; it takes {MAJOR_VERSION_MIN} or later")
            }
            Self::Evicts { policy } => write!(
                f,
                "maxmemory-policy is {policy}: claims and ids may be forgotten early; set noeviction"
            ),
            Self::Unlimited => f.write_str("maxmemory is not set: redis may take all there is"),
            Self::AlmostFull { percent } => {
                write!(f, "{percent} % of maxmemory are used; at 100 % redis refuses writes")
            }
            Self::Replica => f.write_str("it is a replica and takes no writes"),
            Self::Forgetful => f.write_str(
                "appendonly is off: a restart forgets claims and ids since the last snapshot; set appendonly yes",
            ),
            Self::ClockOff { ahead_ms } => {
                write!(f, "its clock is {ahead_ms} ms ahead of ours; see that both are synchronised")
            }
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}
