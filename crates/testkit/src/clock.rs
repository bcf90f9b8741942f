//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::Timestamp;
use ringback_runtime::Clock;
use tokio::sync::{Notify, oneshot};

/// A clock that stands still until a test moves it. Clones share the time and the sleepers.
///
/// ```
/// # use ringback_testkit::ManualClock;
/// # use ringback_runtime::Clock as _;
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
/// let clock = ManualClock::default();
/// let due = clock.now() + Duration::from_secs(300);
/// let retry = async {
///     clock.sleep_until(due).await;
/// };
/// let test = async {
///     assert_eq!(clock.wait_for_sleeper(Duration::from_secs(5)).await, due);
///     clock.advance(Duration::from_secs(300));
/// };
/// tokio::join!(retry, test);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    slept: Notify,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    /// By due time, then by arrival: the order in which they are woken.
    sleepers: BTreeMap<SleeperKey, oneshot::Sender<()>>,
    arrivals: u64,
}

type SleeperKey = (Timestamp, u64);

impl ManualClock {
    /// One that says `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        let state = State { now: start, sleepers: BTreeMap::new(), arrivals: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), slept: Notify::new() }))
    }

    /// Moves the time on and wakes those whose time has come, the earliest first.
    pub fn advance(&self, by: Duration) {
        let mut state = self.0.lock();
        state.now = state.now + by;
        let now = state.now;
        while let Some(first) = state.sleepers.first_entry()
            && first.key().0 <= now
        {
            // A receiver that is gone was a sleep that was dropped at this very moment.
            let _ = first.remove().send(());
        }
    }

    /// Moves the time to `moment`, if it is ahead.
    pub fn advance_to(&self, moment: Timestamp) {
        self.advance(moment.since(self.now()));
    }

    /// How many sleep now.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.len()
    }

    /// Returns, once somebody sleeps, the earliest moment that anybody sleeps to.
    ///
    /// # Panics
    /// If nobody does within `deadline` of real time.
    pub async fn wait_for_sleeper(&self, deadline: Duration) -> Timestamp {
        self.wait_for_sleepers(1, deadline).await
    }

    /// Returns, once `count` sleep at the same time, the earliest moment that any of them sleeps to.
    ///
    /// # Panics
    /// If they don't within `deadline` of real time.
    pub async fn wait_for_sleepers(&self, count: usize, deadline: Duration) -> Timestamp {
        let enough = async {
            loop {
                // Armed before looking: a sleeper that comes between the two is not missed.
                let slept = self.0.slept.notified();
                if let Some(earliest) = self.0.lock().earliest_of(count) {
                    return earliest;
                }
                slept.await;
            }
        };
        match tokio::time::timeout(deadline, enough).await {
            Ok(earliest) => earliest,
            Err(_) => panic!("{} sleep after {deadline:?}, not {count}", self.sleepers()),
        }
    }
}

impl Default for ManualClock {
    /// One that says 2026-01-02T03:04:05.678Z.
    fn default() -> Self {
        Self::new(Timestamp::from_ms(1_767_323_045_678))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().now
    }

    async fn sleep_until(&self, moment: Timestamp) {
        let (key, woken) = {
            let mut state = self.0.lock();
            if state.now >= moment {
                return;
            }
            let key = (moment, state.arrivals);
            state.arrivals += 1;
            let (wake, woken) = oneshot::channel();
            state.sleepers.insert(key, wake);
            (key, woken)
        };
        let _sleeper = Sleeper { shared: &self.0, key };
        self.0.slept.notify_waiters();
        // Its sender lives in the map until it is used, or until `_sleeper` drops after this.
        let _ = woken.await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the clock")
    }
}

impl State {
    fn earliest_of(&self, count: usize) -> Option<Timestamp> {
        let (&(earliest, _), _) = self.sleepers.first_key_value()?;
        (self.sleepers.len() >= count).then_some(earliest)
    }
}

/// Forgets a sleep that was dropped before its time.
struct Sleeper<'a> {
    shared: &'a Shared,
    key: SleeperKey,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.shared.lock().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn start() -> Timestamp {
        ManualClock::default().now()
    }

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_time() {
        let clock = ManualClock::default();
        let (woken, mut order) = tokio::sync::mpsc::unbounded_channel();
        for seconds in [20, 10, 30] {
            let (clock, woken) = (clock.clone(), woken.clone());
            tokio::spawn(async move {
                clock.sleep_until(start() + Duration::from_secs(seconds)).await;
                woken.send(seconds).expect("the test waits");
            });
        }
        let earliest = clock.wait_for_sleepers(3, SOON).await;
        assert_eq!(earliest, start() + Duration::from_secs(10));
        clock.advance(Duration::from_secs(20));
        assert_eq!((order.recv().await, order.recv().await), (Some(10), Some(20)));
        assert_eq!(clock.sleepers(), 1);
        assert!(order.try_recv().is_err());
        clock.advance_to(start() + Duration::from_secs(30));
        assert_eq!(order.recv().await, Some(30));
    }

    #[tokio::test]
    async fn moment_gone_by_is_no_sleep() {
        let clock = ManualClock::default();
        clock.sleep_until(start()).await;
        clock.sleep_until(Timestamp::EPOCH).await;
    }

    #[tokio::test]
    async fn dropped_sleep_is_forgotten() {
        let clock = ManualClock::default();
        let sleep = clock.sleep_until(start() + SOON);
        tokio::select! {
            biased;
            () = sleep => unreachable!("the clock stands"),
            _ = clock.wait_for_sleeper(SOON) => {}
        }
        assert_eq!(clock.sleepers(), 0);
    }
}
