//! Rates of callbacks, counted by Redis's clock over all that share it.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;
use ringback_core::CallbackId;
use ringback_core::rate::{Admission, RATE_WAIT_MAX, RateLimit};

use super::Redis;
use super::fault::Fault;
use super::link::Repeat;
use super::script::Script;

/// Made twice it counts a request that is not sent: the callback gets one less, never one more.
static ADMIT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("admit.lua"), Repeat::Safe));

impl Redis {
    pub(super) async fn admit_one(
        &self,
        callback: CallbackId,
        limit: RateLimit,
    ) -> Result<Admission, Fault> {
        let key = self.keys.rate(callback);
        let wait_max = u64::try_from(RATE_WAIT_MAX.as_micros()).unwrap_or(u64::MAX);
        let answer = ADMIT.run(&self.link, |command, _turn| {
            command.arg(1).arg(&key);
            command.arg(limit.interval_us()).arg(limit.tolerance_us()).arg(wait_max);
        });
        match answer.await? {
            Value::Int(0) => Ok(Admission::Now),
            Value::Int(wait) => {
                let wait = u64::try_from(wait).map_err(|_negative| Fault::Garbled)?;
                Ok(Admission::Wait(Duration::from_micros(wait)))
            }
            _ => Err(Fault::Garbled),
        }
    }
}
