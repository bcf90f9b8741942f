//! What each callback got within the last day: lists show it for every row, so it is asked for once for all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ringback_api::Problem;
use ringback_core::{CallbackId, Timestamp};
use ringback_store::{Error, Step, Store, Traffic};
use tokio::sync::Mutex;

use super::span::{Past, Span};
use crate::Console;

/// How long what was read is good enough. The store writes the sums every few seconds: to ask more often shows nothing new.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What a callback got within the last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// All of it.
    pub(super) sum: Traffic,
    /// Each hour of it, first one first. The last is not over.
    pub(super) hours: Vec<Traffic>,
}

/// The traffic of all callbacks, as it was last read.
#[derive(Default)]
pub(crate) struct KnownTraffic(Mutex<Option<Known>>);

struct Known {
    read_at: Timestamp,
    days: Arc<HashMap<CallbackId, Day>>,
}

/// What each callback got within the last day: those that got anything. It may be 10 s old.
///
/// # Errors
/// If it can't be read.
pub(super) async fn of_callbacks(
    console: &Console,
) -> Result<Arc<HashMap<CallbackId, Day>>, Problem> {
    let now = console.clock.now();
    // Held while the store is asked: who comes meanwhile waits for that answer, and asks nothing.
    let mut known = console.traffic.0.lock().await;
    if let Some(known) = known.as_ref().filter(|known| known.is_good_at(now)) {
        return Ok(Arc::clone(&known.days));
    }
    let days = Arc::new(read(&*console.store, now).await?);
    *known = Some(Known { read_at: now, days: Arc::clone(&days) });
    Ok(days)
}

impl Known {
    fn is_good_at(&self, now: Timestamp) -> bool {
        // A clock that was put back must not keep it for ever.
        self.read_at <= now && now < self.read_at + GOOD_FOR
    }
}

async fn read(store: &dyn Store, now: Timestamp) -> Result<HashMap<CallbackId, Day>, Error> {
    let steps = Span::Day.steps_until(now);
    let mut found = HashMap::<CallbackId, Vec<_>>::new();
    for (callback, at, traffic) in store.traffic_of_callbacks(Step::Hour, steps.first).await? {
        found.entry(callback).or_default().push((at, traffic));
    }
    let days = found.into_iter().map(|(callback, traffic)| {
        let Past { sum, traffic: hours, .. } = Past::of(Span::Day, steps, traffic);
        (callback, Day { sum, hours })
    });
    Ok(days.collect())
}
