//! History, written: the records of all callers together, in the group commit.

use std::sync::Arc;

use ringback_runtime::Clock;
use ringback_sqlite::{Database, Participant, Rank, Script, Values, Wake};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::traffic::Sums;
use super::values::Row;
use crate::batch::{BATCH_RECORDS_MAX, Handed, LIVE_ATTEMPTS_KEPT, Rows, show};
use crate::port::{HistoryRecord, LiveAttempt};
use crate::{Error, rows, sql};

/// Hands records in.
pub(super) struct Recorder {
    waiting: mpsc::UnboundedSender<Handed>,
    wake: Wake,
    live: broadcast::Sender<Arc<LiveAttempt>>,
}

impl Recorder {
    pub(super) fn join(database: &Database, clock: Arc<dyn Clock>) -> Self {
        // Unbounded, but not without bound: every caller waits for its answer, and a worker has so many callers only.
        let (waiting, handed) = mpsc::unbounded_channel();
        let live = broadcast::Sender::new(LIVE_ATTEMPTS_KEPT);
        let wake = database.wake().clone();
        let sums = Sums::join(database, clock);
        let (batch, live_of_writer) = (Vec::new(), live.clone());
        let writer = Writer { handed, batch, wake: wake.clone(), live: live_of_writer, sums };
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
    sums: Sums,
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
        for (delivery, _) in rows.deliveries {
            let bind =
                |values: &mut Values<'_, '_>| rows::bind_delivery(&mut Row(values), delivery);
            script.run(sql::INSERT_DELIVERY, bind)?;
        }
        for (_, attempt) in rows.attempts {
            script
                .run(sql::INSERT_ATTEMPT, |values| rows::bind_attempt(&mut Row(values), attempt))?;
        }
        Ok(())
    }

    fn settle(&mut self, committed: Result<(), &ringback_sqlite::Error>) {
        if committed.is_ok() {
            self.sums.add(self.batch.iter().flat_map(|handed| &handed.records));
        }
        for Handed { records, answer } in self.batch.drain(..) {
            // A caller that is gone needs no answer.
            let _ = answer.send(committed.map_err(|error| error.share().into()));
            if committed.is_ok() && self.live.receiver_count() > 0 {
                show(records, &self.live);
            }
        }
    }
}
