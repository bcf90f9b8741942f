//! Sums for charts: written every few seconds, and read.

use async_trait::async_trait;
use ringback_core::{CallbackId, Timestamp};
use ringback_runtime::{Clock, Shutdown};
use tokio::time::timeout;

use super::arrays::Arrays;
use super::connection::Database;
use super::values::Values;
use super::{PostgresStore, statements};
use crate::rows;
use crate::tally::{self, SHORT_STEPS_DELETED, SHORT_STEPS_KEPT, Sum, Tally, WRITE_INTERVAL};
use crate::{Error, Step, Traffic, TrafficOf, TrafficStore, sql};

/// Sums written in one statement.
const WRITTEN_TOGETHER: usize = 1_000;

/// Writes the sums every few seconds, and what is left when all that was handed in is recorded.
pub(super) async fn run(
    tally: &Tally,
    database: &Database,
    clock: &dyn Clock,
    recorded: &Shutdown,
) {
    let mut is_failing = false;
    loop {
        let is_last = timeout(WRITE_INTERVAL, recorded.requested()).await.is_ok();
        match write(tally, database, clock).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                // Once, and not every few seconds.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(error, "sums for charts can't be written now: tried again");
                }
            }
        }
        if is_last {
            return;
        }
    }
}

async fn write(tally: &Tally, database: &Database, clock: &dyn Clock) -> Result<(), Error> {
    let mut taken = tally.take();
    if taken.is_empty() {
        return Ok(());
    }
    while !taken.is_empty() {
        let batch = taken.split_off(taken.len().saturating_sub(WRITTEN_TOGETHER));
        if let Err(error) = add(&batch, database).await {
            tally.put_back(batch.into_iter().chain(taken));
            return Err(error);
        }
    }
    let old = (clock.now() - SHORT_STEPS_KEPT).ms();
    let values = || Values::none().and(old).and(SHORT_STEPS_DELETED);
    database.execute(sql::DELETE_SHORT_STEPS, values).await.map(|_| ())
}

/// All of them or none. One whose answer is lost may be added twice.
async fn add(batch: &[Sum], database: &Database) -> Result<(), Error> {
    let rows = tally::rows(batch);
    let values = || {
        let mut arrays = Arrays::of(statements::TRAFFIC_KINDS);
        for (key, sums) in &rows {
            rows::bind_traffic(&mut arrays, key, sums);
        }
        arrays.bind(Values::none())
    };
    database.execute(statements::ADD_TRAFFIC, values).await.map(|_| ())
}

#[async_trait]
impl TrafficStore for PostgresStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Traffic)>, Error> {
        let mut values = Values::none();
        rows::bind_traffic_of(&mut values, of, step);
        let found = self.database.rows(sql::TRAFFIC, values.and(since.ms())).await?;
        found.iter().map(rows::traffic).collect()
    }

    async fn traffic_of_callbacks(
        &self,
        step: Step,
        since: Timestamp,
    ) -> Result<Vec<(CallbackId, Timestamp, Traffic)>, Error> {
        let values = Values::none().and(tally::whole_ms(step.length())).and(since.ms());
        let found = self.database.rows(sql::TRAFFIC_OF_CALLBACKS, values).await?;
        rows::traffic_of_callbacks(&found)
    }
}
