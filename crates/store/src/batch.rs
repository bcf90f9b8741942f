//! The records of many callers, written together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ringback_core::Event;
use ringback_core::delivery::{Attempt, Delivery};
use tokio::sync::{broadcast, oneshot};

use crate::Error;
use crate::port::{HistoryRecord, LiveAttempt};
use crate::rows;

/// No batch takes another caller's records once it has as many: a commit stays short, and memory bounded.
pub(crate) const BATCH_RECORDS_MAX: usize = 1_000;
/// How far a listener of live attempts may fall behind before it misses some.
pub(crate) const LIVE_ATTEMPTS_KEPT: usize = 1_024;

/// What one caller handed in.
pub(crate) struct Handed {
    /// What is to be written.
    pub(crate) records: Vec<HistoryRecord>,
    /// Where the caller waits.
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
}

/// The rows of a batch. Of several states of one delivery there is the last: a statement may touch a row once only.
pub(crate) struct Rows<'a> {
    pub(crate) events: Vec<&'a Event>,
    /// Each with whether it is likely to be new.
    pub(crate) deliveries: Vec<(&'a Delivery, bool)>,
    /// Each with its delivery.
    pub(crate) attempts: Vec<(&'a Delivery, &'a Attempt)>,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(batch: &'a [Handed]) -> Self {
        let mut rows = Self { events: Vec::new(), deliveries: Vec::new(), attempts: Vec::new() };
        let mut places = HashMap::new();
        for record in batch.iter().flat_map(|handed| &handed.records) {
            match record {
                HistoryRecord::Event(event) => rows.events.push(event),
                HistoryRecord::Delivery { delivery, attempt, first } => {
                    match places.entry(delivery.id) {
                        Entry::Vacant(place) => {
                            place.insert(rows.deliveries.len());
                            rows.deliveries.push((delivery, *first));
                        }
                        Entry::Occupied(place) => {
                            // One row for all that is recorded of it here: new if the first of them is.
                            let (last, _) = &mut rows.deliveries[*place.get()];
                            if rows::replaces(delivery, last) {
                                *last = delivery;
                            }
                        }
                    }
                    rows.attempts.extend(attempt.as_deref().map(|attempt| (&**delivery, attempt)));
                }
            }
        }
        rows
    }
}

/// Shows attempts that are durable to those who watch.
pub(crate) fn show(records: Vec<HistoryRecord>, live: &broadcast::Sender<Arc<LiveAttempt>>) {
    for record in records {
        if let HistoryRecord::Delivery { delivery, attempt: Some(attempt), .. } = record {
            // The last listener may just have gone.
            let _ = live.send(Arc::new(LiveAttempt { delivery, attempt }));
        }
    }
}
