//! Rates of callbacks, counted by Redis's clock over all that share it.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;
use ringback_core::CallbackId;
use ringback_core::rate::{Admission, Asking, RATE_PATIENCE, RATE_WAIT_MAX, RateLimit};

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
        asking: Asking,
    ) -> Result<Admission, Fault> {
        let key = self.keys.rate(callback);
        let asking = match asking {
            Asking::First => "first",
            Asking::Again => "again",
        };
        let answer = ADMIT.run(&self.link, |command, _turn| {
            command.arg(1).arg(&key);
            command.arg(limit.interval_us()).arg(limit.tolerance_us());
            command.arg(microseconds(RATE_PATIENCE)).arg(microseconds(RATE_WAIT_MAX)).arg(asking);
        });
        let Value::Array(answer) = answer.await? else { return Err(Fault::Garbled) };
        let [Value::Int(counted), Value::Int(wait)] = answer[..] else {
            return Err(Fault::Garbled);
        };
        let wait = u64::try_from(wait).map_err(|_negative| Fault::Garbled)?;
        Ok(match (counted, Duration::from_micros(wait)) {
            (1, Duration::ZERO) => Admission::Now,
            (1, wait) => Admission::Soon(wait),
            (_, wait) => Admission::Wait(wait),
        })
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
