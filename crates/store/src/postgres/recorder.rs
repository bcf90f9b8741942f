//! History, written: the records of all callers together, a batch in one statement.
//!
//! While one batch is on its way the next one gathers, so batches grow with the load, and alone a caller waits for
//! nobody. A thousand rows in one statement cost the database a fourteenth of a thousand statements.
//!
//! What looks new is inserted, and not looked for first: that is most of it, and a fifth less work. Should a row be there
//! after all, as after a crash, nothing is written, and the batch is written once more by the statement that looks.

use std::sync::Arc;
use std::time::Duration;

use ringback_runtime::Shutdown;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::arrays::Arrays;
use super::connection::{ANSWER_PATIENCE, Database};
use super::error::{is_conflict, is_of_connection, is_of_values, is_unique_violation, no_answer};
use super::live::Live;
use super::partitions::day_of;
use super::statements::{self, Novelty, RECORDED_ROWS};
use super::values::Values;
use crate::Error;
use crate::batch::{BATCH_RECORDS_MAX, Handed, Rows};
use crate::port::HistoryRecord;
use crate::rows;
use crate::tally::Tally;

/// No batch takes another caller's records once it is as large: PostgreSQL takes 1 GiB in one statement, and both sides
/// hold it in memory.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often a batch is tried that stood in another's way.
const CONFLICTS_MAX: u32 = 10;
/// How long no row is taken for new after one was not: each mistake is a batch that is written twice, and an error in the
/// server's log.
const DOUBT: Duration = Duration::from_secs(60);

/// Hands records in.
pub(super) struct Recorder {
    waiting: mpsc::UnboundedSender<Handed>,
}

/// Where they wait. Clones share it: each writer takes what comes first.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Mutex<mpsc::UnboundedReceiver<Handed>>>);

impl Recorder {
    pub(super) fn new() -> (Self, Waiting) {
        // Unbounded, but not without bound: every caller waits for its answer, and a worker has so many callers only.
        let (waiting, handed) = mpsc::unbounded_channel();
        (Self { waiting }, Waiting(Arc::new(Mutex::new(handed))))
    }

    /// # Cancel safety
    /// What was handed in is written all the same; only the answer is lost.
    pub(super) async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Handed { records, answer }).map_err(|_| Error::stopped())?;
        answered.await.map_err(|_| Error::stopped())?
    }
}

impl Waiting {
    /// The next batch; none: all is written, and no more is taken.
    async fn batch(&self, shutdown: &Shutdown) -> Option<Vec<Handed>> {
        let mut handed = self.0.lock().await;
        let first = tokio::select! {
            biased;
            first = handed.recv() => first?,
            () = shutdown.requested() => {
                handed.close();
                handed.recv().await?
            }
        };
        let (mut records, mut bytes) = size(&first);
        let mut batch = vec![first];
        while records < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = handed.try_recv() else { break };
            let more = size(&next);
            (records, bytes) = (records + more.0, bytes + more.1);
            batch.push(next);
        }
        Some(batch)
    }
}

/// How many records, and about how large they are, as far as that has no bound.
fn size(handed: &Handed) -> (usize, usize) {
    let bytes = |record: &HistoryRecord| match record {
        HistoryRecord::Event(event) => {
            event.variables.iter().map(|(name, value)| name.len() + value.get().len()).sum()
        }
        HistoryRecord::Delivery { attempt, .. } => {
            let response = attempt.as_ref().and_then(|attempt| attempt.response.as_ref());
            response.map_or(0, |response| response.body.len())
        }
    };
    (handed.records.len(), handed.records.iter().map(bytes).sum())
}

/// Writes batches, one after the other, on a connection of its own.
pub(super) struct Writer {
    waiting: Waiting,
    database: Database,
    live: Arc<Live>,
    tally: Arc<Tally>,
    connection: Option<PgConnection>,
    sql_of_new: String,
    sql: String,
    /// Until when no row is taken for new.
    doubts_until: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        waiting: Waiting,
        database: Database,
        live: Arc<Live>,
        tally: Arc<Tally>,
    ) -> Self {
        let [sql_of_new, sql] = [Novelty::New, Novelty::Unknown].map(statements::record);
        let (connection, doubts_until) = (None, None);
        Self { waiting, database, live, tally, connection, sql_of_new, sql, doubts_until }
    }

    /// Until asked to stop, and then until nothing waits.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        while let Some(batch) = self.waiting.batch(&shutdown).await {
            self.write(batch).await;
        }
        if let Some(connection) = self.connection {
            // All that was sent was answered; whether it says good-bye does not matter.
            let _ = connection.close().await;
        }
    }

    async fn write(&mut self, batch: Vec<Handed>) {
        let written = self.write_together(&batch).await;
        if batch.len() == 1 || !matches!(written, Err(Failure::OfValues(_))) {
            self.settle(batch, written);
            return;
        }
        // One record that can't be written must not take the others along for ever.
        for handed in batch {
            let alone = vec![handed];
            let written = self.write_together(&alone).await;
            self.settle(alone, written);
        }
    }

    /// All of it or nothing.
    async fn write_together(&mut self, batch: &[Handed]) -> Result<(), Failure> {
        let mut conflicts = 0;
        loop {
            let (mut connection, fresh) = match self.connection.take() {
                Some(connection) => (connection, false),
                None => (self.database.connect().await.map_err(Failure::Other)?, true),
            };
            let novelty = self.novelty();
            let sql = match novelty {
                Novelty::New => &*self.sql_of_new,
                Novelty::Unknown => &*self.sql,
            };
            let statement = sqlx::query_with(AssertSqlSafe(sql), values(batch, novelty).0);
            // Not before the answer to COMMIT, which is part of it.
            let done = timeout(ANSWER_PATIENCE, statement.execute(&mut connection)).await;
            let error = match done {
                Ok(Ok(_)) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(Failure::Other(no_answer(ANSWER_PATIENCE).into())),
            };
            if is_of_connection(&error) {
                // It broke while nobody used it, or before anybody was told "written": to write once more changes
                // nothing. If it was made just now, there is nothing to be had.
                if fresh {
                    return Err(Failure::Other(error.into()));
                }
                continue;
            }
            self.connection = Some(connection);
            if is_conflict(&error) && conflicts < CONFLICTS_MAX {
                conflicts += 1;
                tracing::debug!(conflicts, "a batch of history stood in another's way");
            } else if novelty == Novelty::New && is_unique_violation(&error) {
                self.doubts_until = Some(Instant::now() + DOUBT);
                tracing::debug!("a batch of history is not as new as it looks");
            } else if is_of_values(&error) {
                return Err(Failure::OfValues(error));
            } else {
                return Err(Failure::Other(error.into()));
            }
        }
    }

    fn novelty(&self) -> Novelty {
        match self.doubts_until {
            Some(until) if Instant::now() < until => Novelty::Unknown,
            _ => Novelty::New,
        }
    }

    fn settle(&self, batch: Vec<Handed>, written: Result<(), Failure>) {
        let written = written.map_err(Error::from);
        if written.is_ok() {
            self.tally.add(batch.iter().flat_map(|handed| &handed.records));
        }
        for Handed { records, answer } in batch {
            // A caller that is gone needs no answer.
            let _ = answer.send(written.as_ref().map_err(|error| error.share()).copied());
            if written.is_ok() {
                self.live.show(records);
            }
        }
    }
}

/// Why a batch is not written.
enum Failure {
    /// Some value of it is the cause.
    OfValues(sqlx::Error),
    /// Anything else.
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OfValues(error) => error.into(),
            Failure::Other(error) => error,
        }
    }
}

/// The rows of a batch, in the order of their keys: two batches that touch the same rows lock them in the same order.
fn values(batch: &[Handed], novelty: Novelty) -> Values {
    let mut rows = Rows::of(batch);
    rows.events.sort_unstable_by_key(|event| event.id);
    rows.deliveries.sort_unstable_by_key(|(delivery, _)| delivery.id);
    rows.attempts.sort_unstable_by_key(|(_, attempt)| (attempt.delivery, attempt.number));
    let [mut events, mut new_deliveries, mut deliveries, mut attempts] =
        RECORDED_ROWS.map(|table| Arrays::of(table.kinds));
    for event in rows.events {
        rows::bind_event(&mut events, event);
        events.day(day_of(event.accepted_at));
    }
    for (delivery, first) in rows.deliveries {
        let new = novelty == Novelty::New && first;
        let deliveries = if new { &mut new_deliveries } else { &mut deliveries };
        rows::bind_delivery(deliveries, delivery);
        deliveries.day(day_of(delivery.created_at));
    }
    for (delivery, attempt) in rows.attempts {
        rows::bind_attempt(&mut attempts, attempt);
        attempts.day(day_of(delivery.created_at));
    }
    [events, new_deliveries, deliveries, attempts]
        .into_iter()
        .fold(Values::none(), |to, rows| rows.bind(to))
}
