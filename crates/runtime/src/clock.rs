//! Time as a port: the system's in production, one moved by hand in tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use ringback_core::Timestamp;

/// Tells the time, and waits for one.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's time.
    fn now(&self) -> Timestamp;

    /// Returns once [`now`](Self::now) is `moment` or later; at once if it already is.
    ///
    /// # Cancel safety
    /// Dropping the future forgets the wait and nothing else.
    async fn sleep_until(&self, moment: Timestamp);
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A timer counts monotonic time, a due time is of the wall clock: after a step of the wall clock, or a suspended
/// machine, a wait ends at most this much too late. It costs one wake-up in that time, and only while somebody waits.
const RECHECK: Duration = Duration::from_secs(30);

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH + since_epoch
    }

    async fn sleep_until(&self, moment: Timestamp) {
        loop {
            let wait = moment.since(self.now());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait.min(RECHECK)).await;
        }
    }
}
