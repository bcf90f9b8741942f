//! What each callback got within the last day: lists show it for every row, so it is asked for once for all of them.
//!
//! The whole day of a thousand callbacks takes a database longer than a page may: it is read by a task, [`keep`], and a page
//! reads the last hours alone.

use std::collections::HashMap;
use std::sync::Arc;

use ringback_api::Problem;
use ringback_core::{CallbackId, Timestamp};
use ringback_store::{Error, Step, Traffic};

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
pub(super) type Days = HashMap<CallbackId, Day>;

/// The last day of all callbacks, as it was read.
#[derive(Default)]
pub(crate) struct LastDay {
    /// As the store has it: whose, and in which hour.
    hours: Vec<(CallbackId, Timestamp, Traffic)>,
    days: Arc<Days>,
}

/// What each callback got within the last day. It may be 10 s old.
///
/// # Errors
/// If it can't be read.
pub(super) async fn of_callbacks(console: &Console) -> Result<Arc<Days>, Problem> {
    let now = console.clock.now();
    let last_day = console.traffic.get(now, read_last_hours(console, now)).await?;
    Ok(Arc::clone(&last_day.days))
}

/// Reads all of the last day, which pages then add the last hours to.
///
/// # Errors
/// If it can't be read.
pub(super) async fn keep(console: &Console) -> Result<(), Error> {
    let now = console.clock.now();
    console
        .traffic
        .renew(now, read(console, now, &LastDay::default(), Timestamp::EPOCH))
        .await
        .map(|_| ())
}

/// Hours that were over an hour before it was last read are not asked for again. Who records something may write its sum
/// late, even later than that: [`keep`] finds it.
async fn read_last_hours(console: &Console, now: Timestamp) -> Result<Arc<LastDay>, Error> {
    match console.traffic.last() {
        // Not if the clock was put back: what is known may begin later than what is asked for.
        Some((at, known)) if at <= now => {
            read(console, now, &known, at - Step::Hour.length() * 2).await
        }
        _ => read(console, now, &LastDay::default(), Timestamp::EPOCH).await,
    }
}

/// The last day until now. What begins at `since` or later is asked for, the rest is known.
async fn read(
    console: &Console,
    now: Timestamp,
    known: &LastDay,
    since: Timestamp,
) -> Result<Arc<LastDay>, Error> {
    let steps = Span::Day.steps_until(now);
    let since = since.max(steps.first);
    let is_known = |at: Timestamp| (steps.first..since).contains(&at);
    let known = known.hours.iter().filter(|(_, at, _)| is_known(*at)).copied();
    let asked_for = console.store.traffic_of_callbacks(Step::Hour, since).await?;
    let hours: Vec<_> = known.chain(asked_for).collect();

    let mut by_callback = HashMap::<CallbackId, Vec<_>>::new();
    for (callback, at, traffic) in &hours {
        by_callback.entry(*callback).or_default().push((*at, *traffic));
    }
    let days = by_callback.into_iter().map(|(callback, traffic)| {
        let Past { sum, traffic: hours, .. } = Past::of(Span::Day, steps, traffic);
        (callback, Day { sum, hours })
    });
    let days = Arc::new(days.collect());
    Ok(Arc::new(LastDay { hours, days }))
}
