//! What is recorded, added up in memory until it is written: see [`crate::traffic`].
//!
//! Batches are added once they are durable, so nothing is counted that is not recorded. What is recorded again is counted
//! again: that happens only after a crash between recording an attempt and settling its message.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ringback_core::delivery::{Attempt, Delivery, DeliveryState};
use ringback_core::{Account, CallbackId, Outcome};

use crate::port::HistoryRecord;
use crate::{Step, Traffic, TrafficOf};

/// How often the sums are written. A process that is killed takes what it has recorded since along.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// How many sums are kept while they can't be written: about 30 MB. Beyond it the oldest are given up on.
const SUMS_MAX: usize = 100_000;
/// How long the short steps are kept.
pub(crate) const SHORT_STEPS_KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// How many rows of short steps are deleted at once, each time sums are written: more than are made in that time, and few
/// enough for a short transaction. It is done there, and not with the history: they go after two days even where the
/// history is kept for ever, and there are only more of them when there is something to write.
pub(crate) const SHORT_STEPS_DELETED: i64 = 1_000;

/// The sums of this process.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Sums>);

#[derive(Default)]
struct Sums {
    /// By when the five minutes begin. Accounts come last, so that a known one need not be copied to be found.
    steps: BTreeMap<i64, HashMap<CallbackId, HashMap<Account, Traffic>>>,
    len: usize,
    /// Whether some were lost, which is told once.
    gave_up: bool,
}

/// What one callback got of one account's events within five minutes.
pub(crate) struct Sum {
    at_ms: i64,
    callback: CallbackId,
    account: Account,
    traffic: Traffic,
}

/// What a row is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) of: TrafficOf,
    pub(crate) step: Step,
    pub(crate) at_ms: i64,
}

impl Tally {
    /// Adds what is durable now: one lock for all of it. Returns whether there is something to write.
    pub(crate) fn add<'a>(&self, records: impl Iterator<Item = &'a HistoryRecord>) -> bool {
        let mut sums = self.lock();
        for record in records {
            // Without an attempt nothing was tried: it waits, or was cancelled.
            if let HistoryRecord::Delivery { delivery, attempt: Some(attempt), .. } = record {
                let at_ms = begin(Step::FiveMinutes, delivery.updated_at.ms());
                sums.add(at_ms, delivery.callback, &delivery.account, of(delivery, attempt));
            }
        }
        sums.len > 0
    }

    /// What is to be written.
    pub(crate) fn take(&self) -> Vec<Sum> {
        let mut sums = self.lock();
        let gave_up = sums.gave_up;
        let sums = std::mem::replace(&mut *sums, Sums { gave_up, ..Sums::default() });
        let mut all = Vec::with_capacity(sums.len);
        for (at_ms, callbacks) in sums.steps {
            for (callback, accounts) in callbacks {
                all.extend(accounts.into_iter().map(|(account, traffic)| Sum {
                    at_ms,
                    callback,
                    account,
                    traffic,
                }));
            }
        }
        all
    }

    /// What could not be written, to be tried again with what has come meanwhile.
    pub(crate) fn put_back(&self, unwritten: impl IntoIterator<Item = Sum>) {
        let mut sums = self.lock();
        // The newest first: they are not given up on for the oldest.
        let mut unwritten: Vec<Sum> = unwritten.into_iter().collect();
        unwritten.sort_by_key(|sum| std::cmp::Reverse(sum.at_ms));
        for Sum { at_ms, callback, account, traffic } in unwritten {
            sums.add(at_ms, callback, &account, traffic);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().expect("nobody panics holding it")
    }
}

impl Sums {
    fn add(&mut self, at_ms: i64, callback: CallbackId, account: &Account, traffic: Traffic) {
        let callbacks = self.steps.entry(at_ms).or_default();
        let accounts = callbacks.entry(callback).or_default();
        if let Some(sum) = accounts.get_mut(account) {
            *sum += traffic;
            return;
        }
        accounts.insert(account.clone(), traffic);
        self.len += 1;
        if self.len > SUMS_MAX {
            self.give_up_the_oldest();
        }
    }

    fn give_up_the_oldest(&mut self) {
        if let Some((_, callbacks)) = self.steps.pop_first() {
            self.len -= callbacks.values().map(HashMap::len).sum::<usize>();
        }
        if !std::mem::replace(&mut self.gave_up, true) {
            tracing::warn!(
                "sums for charts could not be written for too long: the oldest are lost"
            );
        }
    }
}

/// The rows that sums add to, in the order of their keys: two processes that write at once lock them in the same order.
pub(crate) fn rows(sums: &[Sum]) -> BTreeMap<Key, Traffic> {
    let mut rows = BTreeMap::new();
    for Sum { at_ms, callback, account, traffic } in sums {
        let of =
            [TrafficOf::All, TrafficOf::Account(account.clone()), TrafficOf::Callback(*callback)];
        for of in of {
            for step in Step::ALL {
                let key = Key { of: of.clone(), step, at_ms: begin(step, *at_ms) };
                match rows.entry(key) {
                    Entry::Vacant(row) => {
                        row.insert(*traffic);
                    }
                    Entry::Occupied(mut row) => *row.get_mut() += *traffic,
                }
            }
        }
    }
    rows
}

fn of(delivery: &Delivery, attempt: &Attempt) -> Traffic {
    let succeeded = matches!(attempt.outcome, Outcome::Success { .. });
    Traffic {
        delivered: (delivery.state == DeliveryState::Delivered).into(),
        exhausted: (delivery.state == DeliveryState::Exhausted).into(),
        succeeded: succeeded.into(),
        failed: (!succeeded).into(),
        duration: attempt.duration,
        duration_max: attempt.duration,
    }
}

/// When the step begins that a moment is in.
fn begin(step: Step, ms: i64) -> i64 {
    let length = whole_ms(step.length());
    ms.div_euclid(length) * length
}

pub(crate) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(at_ms: i64, account: &str) -> Sum {
        let traffic = Traffic { delivered: 1, ..Traffic::default() };
        let callback = CallbackId::from_uuid(uuid::Uuid::nil());
        Sum { at_ms, callback, account: account.parse().expect("an account"), traffic }
    }

    #[test]
    fn sums_that_cannot_be_written_are_bounded_and_the_newest_stay() {
        let tally = Tally::default();
        let names: Vec<_> = (0..SUMS_MAX - 1).map(|number| format!("a{number}")).collect();
        tally.put_back(names.iter().map(|name| sum(300_000, name)));
        tally.put_back([sum(0, "old"), sum(300_000, "new"), sum(300_000, "a0")]);
        let kept = tally.take();
        assert_eq!(kept.len(), SUMS_MAX);
        assert!(kept.iter().all(|sum| sum.at_ms == 300_000), "the oldest is gone");
        let again = kept.iter().find(|sum| sum.account.as_str() == "a0").expect("kept");
        assert_eq!(again.traffic.delivered, 2);
        assert!(tally.take().is_empty());
    }

    #[test]
    fn step_begins_at_a_multiple_of_its_length_before_1970_too() {
        for (ms, expected) in [(0, 0), (299_999, 0), (300_000, 300_000), (-1, -300_000)] {
            assert_eq!(begin(Step::FiveMinutes, ms), expected);
        }
    }
}
