//! What each callback got within the last day: lists show it for every row, so it is asked for once for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use ringback_api::Problem;
use ringback_core::{CallbackId, Timestamp};
use ringback_store::{Error, Step, Store, Traffic};

use super::span::{Past, Span};
use crate::Console;

/// What a callback got within the last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    /// All of it.
    pub(super) sum: Traffic,
    /// Each hour of it, first one first. The last is not over.
    pub(super) hours: Vec<Traffic>,
}

/// The traffic of those callbacks that got anything within the last day.
pub(crate) type Days = Arc<HashMap<CallbackId, Day>>;

/// What each callback got within the last day. It may be 10 s old.
///
/// # Errors
/// If it can't be read.
pub(super) async fn of_callbacks(console: &Console) -> Result<Days, Problem> {
    let now = console.clock.now();
    Ok(console.traffic.get(now, read(&*console.store, now)).await?)
}

async fn read(store: &dyn Store, now: Timestamp) -> Result<Days, Error> {
    let steps = Span::Day.steps_until(now);
    let mut found = HashMap::<CallbackId, Vec<_>>::new();
    for (callback, at, traffic) in store.traffic_of_callbacks(Step::Hour, steps.first).await? {
        found.entry(callback).or_default().push((at, traffic));
    }
    let days = found.into_iter().map(|(callback, traffic)| {
        let Past { sum, traffic: hours, .. } = Past::of(Span::Day, steps, traffic);
        (callback, Day { sum, hours })
    });
    Ok(Arc::new(days.collect()))
}
