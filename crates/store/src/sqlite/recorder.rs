//! History, written: the records of all callers together, in the group commit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ringback_core::Event;
use ringback_core::delivery::{Attempt, Delivery};
use ringback_sqlite::{Database, Participant, Rank, Script, Values, Wake};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::values::Row;
use crate::Error;
use crate::port::{HistoryRecord, LiveAttempt};
use crate::rows;
use crate::sql;

/// No batch takes another caller's records once it has as many: a commit stays short, and memory bounded.
const BATCH_RECORDS_MAX: usize = 1_000;
/// How far a listener of live attempts may fall behind before it misses some.
const LIVE_ATTEMPTS_KEPT: usize = 1_024;

/// Hands records in.
pub(super) struct Recorder {
    waiting: mpsc::UnboundedSender<Handed>,
    wake: Wake,
    live: broadcast::Sender<Arc<LiveAttempt>>,
}

/// What one caller handed in.
struct Handed {
    records: Vec<HistoryRecord>,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Recorder {
    pub(super) fn join(database: &Database) -> Self {
        // Unbounded, but not without bound: every caller waits for its answer, and a worker has so many callers only.
        let (waiting, handed) = mpsc::unbounded_channel();
        let live = broadcast::Sender::new(LIVE_ATTEMPTS_KEPT);
        let wake = database.wake().clone();
        let writer = Writer { handed, batch: Vec::new(), wake: wake.clone(), live: live.clone() };
        database.join(Rank::History, Box::new(writer));
        Self { waiting, wake, live }
    }

    /// # Cancel safety
    /// What was handed in is written all the same; only the answer is lost.
    pub(super) async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let stopped = || Error::from(ringback_sqlite::Error::Stopped);
        self.waiting.send(Handed { records, answer }).map_err(|_| stopped())?;
        self.wake.wake();
        answered.await.map_err(|_| stopped())?
    }

    pub(super) fn live_attempts(&self) -> broadcast::Receiver<Arc<LiveAttempt>> {
        self.live.subscribe()
    }
}

/// Writes them.
struct Writer {
    handed: mpsc::UnboundedReceiver<Handed>,
    batch: Vec<Handed>,
    wake: Wake,
    live: broadcast::Sender<Arc<LiveAttempt>>,
}

impl Participant for Writer {
    fn gather(&mut self) -> bool {
        let mut records = 0;
        while records < BATCH_RECORDS_MAX {
            let Ok(handed) = self.handed.try_recv() else {
                break;
            };
            records += handed.records.len();
            self.batch.push(handed);
        }
        if !self.handed.is_empty() {
            self.wake.wake();
        }
        !self.batch.is_empty()
    }

    fn write(&mut self, script: &mut Script<'_>) -> Result<(), ringback_sqlite::Error> {
        let rows = Rows::of(&self.batch);
        for event in rows.events {
            script.run(sql::INSERT_EVENT, |values| rows::bind_event(&mut Row(values), event))?;
        }
        for delivery in rows.deliveries {
            let bind =
                |values: &mut Values<'_, '_>| rows::bind_delivery(&mut Row(values), delivery);
            script.run(sql::INSERT_DELIVERY, bind)?;
        }
        for attempt in rows.attempts {
            script
                .run(sql::INSERT_ATTEMPT, |values| rows::bind_attempt(&mut Row(values), attempt))?;
        }
        Ok(())
    }

    fn settle(&mut self, committed: Result<(), &ringback_sqlite::Error>) {
        for Handed { records, answer } in self.batch.drain(..) {
            // A caller that is gone needs no answer.
            let _ = answer.send(committed.map_err(|error| error.share().into()));
            if committed.is_ok() && self.live.receiver_count() > 0 {
                show(records, &self.live);
            }
        }
    }
}

/// The rows of a batch. Of several states of one delivery there is the last: a statement may touch a row once only.
struct Rows<'a> {
    events: Vec<&'a Event>,
    deliveries: Vec<&'a Delivery>,
    attempts: Vec<&'a Attempt>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a [Handed]) -> Self {
        let mut rows = Self { events: Vec::new(), deliveries: Vec::new(), attempts: Vec::new() };
        let mut places = HashMap::new();
        for record in batch.iter().flat_map(|handed| &handed.records) {
            match record {
                HistoryRecord::Event(event) => rows.events.push(event),
                HistoryRecord::Delivery { delivery, attempt } => {
                    match places.entry(delivery.id) {
                        Entry::Vacant(place) => {
                            place.insert(rows.deliveries.len());
                            rows.deliveries.push(delivery);
                        }
                        Entry::Occupied(place) => {
                            let last = &mut rows.deliveries[*place.get()];
                            if rows::replaces(delivery, last) {
                                *last = delivery;
                            }
                        }
                    }
                    rows.attempts.extend(attempt.as_deref());
                }
            }
        }
        rows
    }
}

fn show(records: Vec<HistoryRecord>, live: &broadcast::Sender<Arc<LiveAttempt>>) {
    for record in records {
        if let HistoryRecord::Delivery { delivery, attempt: Some(attempt) } = record {
            // The last listener may just have gone.
            let _ = live.send(Arc::new(LiveAttempt { delivery, attempt }));
        }
    }
}
