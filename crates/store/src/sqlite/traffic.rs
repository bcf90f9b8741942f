//! Sums for charts: written in the group commit, and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ringback_core::{CallbackId, Timestamp};
use ringback_runtime::{Clock, TaskGroup};
use ringback_sqlite::{Database, Participant, Rank, Script, Wake};

use super::SqliteStore;
use super::values::{Row, Values};
use crate::port::HistoryRecord;
use crate::rows::{self, Bind as _};
use crate::tally::{self, SHORT_STEPS_DELETED, SHORT_STEPS_KEPT, Sum, Tally, WRITE_INTERVAL};
use crate::{Error, Step, Traffic, TrafficOf, TrafficStore, sql};

/// Sums written in one commit: whoever waits for that commit waits some milliseconds for them.
const WRITTEN_TOGETHER: usize = 250;

/// Adds up what is recorded, and sees to it that the sums are written some seconds later. Clones share them.
#[derive(Clone)]
pub(super) struct Sums(Arc<Shared>);

struct Shared {
    tally: Tally,
    /// Whether somebody will say when it is time to write.
    is_timed: AtomicBool,
    /// Whether it is time to write.
    is_due: AtomicBool,
    timers: TaskGroup,
    wake: Wake,
}

impl Sums {
    pub(super) fn join(database: &Database, clock: Arc<dyn Clock>) -> Self {
        let sums = Self(Arc::new(Shared {
            tally: Tally::default(),
            is_timed: AtomicBool::new(false),
            is_due: AtomicBool::new(false),
            timers: TaskGroup::new(),
            wake: database.wake().clone(),
        }));
        let writer = Writer {
            sums: sums.clone(),
            clock,
            taken: Vec::new(),
            batch: Vec::new(),
            is_closing: false,
        };
        database.join(Rank::History, Box::new(writer));
        sums
    }

    /// Adds what is durable now.
    pub(super) fn add<'a>(&self, records: impl Iterator<Item = &'a HistoryRecord>) {
        if self.0.tally.add(records) {
            self.write_in_time();
        }
    }

    fn write_in_time(&self) {
        if self.0.is_timed.swap(true, Ordering::Relaxed) {
            return;
        }
        // Ends by itself. When the writer stops before, it takes what there is.
        let shared = Arc::clone(&self.0);
        self.0.timers.start(async move {
            tokio::time::sleep(WRITE_INTERVAL).await;
            shared.is_due.store(true, Ordering::Relaxed);
            shared.wake.wake_soon();
        });
    }
}

/// Writes them.
struct Writer {
    sums: Sums,
    clock: Arc<dyn Clock>,
    /// Those whose time has come.
    taken: Vec<Sum>,
    batch: Vec<Sum>,
    is_closing: bool,
}

impl Participant for Writer {
    fn gather(&mut self) -> bool {
        let shared = &self.sums.0;
        if self.taken.is_empty()
            && (self.is_closing || shared.is_due.swap(false, Ordering::Relaxed))
        {
            // What comes from now on is timed anew.
            shared.is_timed.store(false, Ordering::Relaxed);
            self.taken = shared.tally.take();
        }
        self.batch = self.taken.split_off(self.taken.len().saturating_sub(WRITTEN_TOGETHER));
        if !self.taken.is_empty() {
            shared.wake.wake();
        }
        !self.batch.is_empty()
    }

    fn write(&mut self, script: &mut Script<'_>) -> Result<(), ringback_sqlite::Error> {
        for (key, sums) in tally::rows(&self.batch) {
            script.run(sql::INSERT_TRAFFIC, |values| {
                rows::bind_traffic(&mut Row(values), &key, &sums);
            })?;
        }
        let old = (self.clock.now() - SHORT_STEPS_KEPT).ms();
        script.run(sql::DELETE_SHORT_STEPS, |values| {
            values.number(Some(old)).number(Some(SHORT_STEPS_DELETED));
        })
    }

    fn settle(&mut self, committed: Result<(), &ringback_sqlite::Error>) {
        let batch = std::mem::take(&mut self.batch);
        if let Err(error) = committed {
            tracing::debug!(error = error as &dyn std::error::Error, "sums are not written now");
            self.sums.0.tally.put_back(batch.into_iter().chain(self.taken.drain(..)));
            self.sums.write_in_time();
        }
    }

    fn close(&mut self) {
        self.is_closing = true;
    }
}

#[async_trait]
impl TrafficStore for SqliteStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Traffic)>, Error> {
        let mut values = Values::default();
        rows::bind_traffic_of(&mut values, of, step);
        values.number(Some(since.ms()));
        let found =
            sqlx::query_with(sql::TRAFFIC, values.0).fetch_all(self.database.readers()).await?;
        found.iter().map(rows::traffic).collect()
    }

    async fn traffic_of_callbacks(
        &self,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(CallbackId, Timestamp, Traffic)>, Error> {
        let found = sqlx::query(sql::TRAFFIC_OF_CALLBACKS)
            .bind(tally::whole_ms(step.length()))
            .bind(since.ms())
            .fetch_all(self.database.readers())
            .await?;
        rows::traffic_of_callbacks(&found)
    }
}
