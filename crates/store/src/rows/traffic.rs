//! Sums by steps of time.

use std::time::Duration;

use ringback_core::{CallbackId, Timestamp};

use super::{Bind, Columns, Row};
use crate::tally::{Key, whole_ms};
use crate::{Error, Step, Traffic, TrafficOf};

pub(crate) fn traffic<R: Columns>(row: &R) -> Result<(Timestamp, Traffic), Error> {
    let row = Row::of("traffic", row);
    let traffic = Traffic {
        delivered: row.number("delivered")?,
        exhausted: row.number("exhausted")?,
        succeeded: row.number("succeeded")?,
        failed: row.number("failed")?,
        duration: Duration::from_millis(row.number("duration_ms")?),
        duration_max: Duration::from_millis(row.number("duration_ms_max")?),
    };
    Ok((row.time("at_ms")?, traffic))
}

/// The steps of [`crate::sql::TRAFFIC_OF_CALLBACKS`], first one first.
pub(crate) fn traffic_of_callbacks<R: Columns>(
    rows: &[R],
) -> Result<Vec<(CallbackId, Timestamp, Traffic)>, Error> {
    let mut found = Vec::new();
    for row in rows {
        let row = Row::of("traffic", row);
        let (callback, steps) = (row.parsed("subject")?, row.text("steps")?);
        for step in steps.split(',') {
            let (at, sums) =
                step_of(step).ok_or_else(|| row.unreadable("steps", "it is no list of sums"))?;
            found.push((callback, at, sums));
        }
    }
    found.sort_by_key(|(_, at, _)| *at);
    Ok(found)
}

/// A step as it stands in the text of many.
fn step_of(text: &str) -> Option<(Timestamp, Traffic)> {
    let mut numbers = text.split(' ');
    let at = Timestamp::from_ms(numbers.next()?.parse().ok()?);
    let mut number = || numbers.next()?.parse().ok();
    let traffic = Traffic {
        delivered: number()?,
        exhausted: number()?,
        succeeded: number()?,
        failed: number()?,
        duration: Duration::from_millis(number()?),
        duration_max: Duration::from_millis(number()?),
    };
    Some((at, traffic))
}

/// The values of a row, in the order of [`crate::sql::INSERT_TRAFFIC`].
pub(crate) fn bind_traffic(values: &mut impl Bind, key: &Key, sums: &Traffic) {
    let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
    bind_traffic_of(values, &key.of, key.step);
    values.number(Some(key.at_ms));
    values.number(number(sums.delivered));
    values.number(number(sums.exhausted));
    values.number(number(sums.succeeded));
    values.number(number(sums.failed));
    values.number(Some(whole_ms(sums.duration)));
    values.number(Some(whole_ms(sums.duration_max)));
}

/// The values that say whose, and of which steps.
pub(crate) fn bind_traffic_of(values: &mut impl Bind, of: &TrafficOf, step: Step) {
    match of {
        TrafficOf::All => {
            values.text(Some("all"));
            values.text(Some(""));
        }
        TrafficOf::Account(account) => {
            values.text(Some("account"));
            values.text(Some(account.as_str()));
        }
        TrafficOf::Callback(callback) => {
            values.text(Some("callback"));
            values.text(Some(super::id_text(callback.uuid())));
        }
    }
    values.number(Some(whole_ms(step.length())));
}
