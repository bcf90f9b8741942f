//! The embedded queue: a table of the one SQLite file, and what of it is in memory.
//!
//! **Publish.** Dispatches that wait together become bundles, a row each, written by the group commit that all share
//! ([`ringback_sqlite`]), so 64 producers cost one sync of the disk. Their callers are told after COMMIT.
//! **Consume.** A committed message is handed out from memory, without being read or decoded again. Memory is bounded:
//! what does not fit stays on disk and is read in order when there is room (`fresh.rs` and `returned.rs` say how none
//! is skipped and none comes twice).
//! **Ack.** Deletes the row, with the next commit. A crash before it hands the message out again.
//! **Delay.** A returning message is a row with a due time; it is handed out once that has come. No second write moves
//! it. One task sleeps until the next due time: nothing polls.
//! **Redelivered** is whatever was on disk when the file was opened: it may have been handed out before.

mod buffer;
mod commits;
mod fresh;
mod returned;
mod rows;
mod state;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::{Dispatch, Timestamp, dispatch};
use ringback_runtime::{Clock, Shutdown};
use ringback_sqlite::{Database, Rank, Wake};
use sqlx::SqliteConnection;
use tokio::sync::{Notify, oneshot};

use self::buffer::{Body, Room};
use self::commits::Commits;
use self::state::{Call, Entry, Feeder, Reading, State, Writer};
use crate::{Broker, Consumer, Delayed, Depth, Error, Message, PublishError, Receipt};

/// Due times are rounded up to this, so that what is due at about the same time becomes one bundle.
const STEP_MS: i64 = 20;

/// A failed write or read is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A failed commit counts against [`Broker::ready`] this long. Not until the next success: who is told to send nothing
/// would never find out that it would succeed.
const FAILURE_COUNTS: Duration = Duration::from_secs(10);

/// The queue of an embedded Ringback.
pub struct Embedded {
    database: Arc<Database>,
    room: Room,
    shared: Arc<Shared>,
    consumers: AtomicU64,
}

/// What the queue, its consumers and the writer share.
struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    wake: Wake,
    /// Something may be there for consumers.
    arrived: Notify,
    /// Something may be to do for [`Embedded::run`].
    feed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding it")
    }
}

impl Embedded {
    /// Makes the tables if need be and joins the group commit: before [`Database::run_writer`] starts. What is on disk
    /// is handed out once [`run`](Self::run) runs.
    ///
    /// # Errors
    /// [`Error`] if the tables can't be made or read.
    pub async fn open(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ringback_sqlite::Error> {
        Self::open_with(database, clock, Room::default()).await
    }

    async fn open_with(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        room: Room,
    ) -> Result<Arc<Self>, ringback_sqlite::Error> {
        let found = {
            let mut connection = database.writer().await;
            in_transaction(&mut connection).await?
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State::found(found, room.lane_max)),
            clock,
            wake: database.wake().clone(),
            arrived: Notify::new(),
            feed: Notify::new(),
        });
        let commits = Commits::new(Arc::clone(&shared), found.last_id);
        database.join(Rank::Queue, Box::new(commits));
        Ok(Arc::new(Self { database, room, shared, consumers: AtomicU64::new(0) }))
    }

    /// Reads what waits on disk when there is room for it, and wakes consumers when a message becomes due. After the
    /// shutdown is requested consumers get nothing more; publishing and acking go on until the writer stops.
    ///
    /// # Errors
    /// None: what can't be read is tried again.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), Error> {
        // Consumers were woken for all that was due by then. What comes in later, due by then too, they are woken for
        // when it is committed.
        let mut told = self.shared.clock.now();
        while !shutdown.is_requested() {
            let fed = self.feed().await;
            tokio::select! {
                () = shutdown.requested() => {}
                () = self.shared.feed.notified() => {}
                () = self.due_after(told) => {
                    told = self.shared.clock.now();
                    self.shared.arrived.notify_waiters();
                }
                () = self.retry_time(fed) => self.shared.wake.wake(),
            }
        }
        self.shared.lock().feeder = Feeder::Stopped;
        self.shared.arrived.notify_waiters();
        Ok(())
    }

    /// Messages on disk, handed out or not, at most `limit`, after the one that was last given (none: from the
    /// beginning), each with its number. None in place of one that can't be read. They stay where they are.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    pub async fn waiting(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Option<crate::Waiting>)>, Error> {
        let read = rows::read_all(self.database.readers(), after.unwrap_or(0), limit).await;
        let messages = read.map_err(|error| Error(Box::new(error)))?;
        let waiting = messages.into_iter().map(|message| {
            let due = message.due.map_or(crate::Due::Fresh, crate::Due::At);
            let dispatches = match message.body {
                Body::Dispatches(dispatches) => Some(dispatches),
                Body::Text(text) => dispatch::decode(&text).ok(),
            };
            let waiting = dispatches.map(|dispatches| crate::Waiting { due, dispatches });
            (message.id, waiting)
        });
        Ok(waiting.collect())
    }

    /// Reads from disk whatever there is room for.
    async fn feed(&self) -> Result<(), sqlx::Error> {
        loop {
            let Some(asked) = self.shared.lock().begin_reading() else {
                return Ok(());
            };
            let readers = self.database.readers();
            let read = match &asked {
                Reading::Again(ids) => {
                    let messages = rows::read_again(readers, ids).await;
                    messages.map(|messages| (messages, fresh::Complete::Yes))
                }
                Reading::Fresh(range) => {
                    rows::read_fresh(readers, *range, self.room.read_max).await
                }
                Reading::Returned { from, id_max } => {
                    rows::read_returned(readers, *from, *id_max, self.room.read_max).await
                }
            };
            match read {
                Ok((messages, complete)) => {
                    self.shared.lock().read(&asked, messages, complete);
                    self.shared.arrived.notify_waiters();
                }
                Err(error) => {
                    tracing::error!(%error, "waiting messages could not be read from disk");
                    self.shared.lock().read_failed(asked);
                    return Err(error);
                }
            }
        }
    }

    /// Returns when the first message that is due after `told` is due; never if none is.
    async fn due_after(&self, told: Timestamp) {
        // The wall clock may have been put back.
        let told = told.min(self.shared.clock.now());
        let due = self.shared.lock().due_after(told);
        match due {
            Some(due) => self.shared.clock.sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Returns when it is time to try again what failed; never if nothing did.
    async fn retry_time(&self, fed: Result<(), sqlx::Error>) {
        let unwritten = {
            let state = self.shared.lock();
            let waits = !(state.inbox.acks.is_empty() && state.inbox.poisoned.is_empty());
            waits && matches!(state.writer, Writer::Failed { .. })
        };
        if unwritten || fed.is_err() {
            tokio::time::sleep(RETRY_AFTER).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    async fn put(&self, entries: Vec<Entry>) -> Result<(), PublishError> {
        if entries.is_empty() {
            return Ok(());
        }
        let gone = || PublishError::Unavailable(Box::new(ringback_sqlite::Error::Stopped));
        let queued_at = self.shared.clock.now();
        let (confirm, confirmed) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.writer == Writer::Gone {
                return Err(gone());
            }
            state.inbox.calls.push_back(Call { entries, queued_at, confirm });
        }
        self.shared.wake.wake();
        confirmed.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn in_transaction(
    connection: &mut SqliteConnection,
) -> Result<rows::Found, ringback_sqlite::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let found = match rows::set_up(connection).await {
        Ok(found) => found,
        Err(error) => {
            // SQLite may have rolled back by itself.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
            return Err(error.into());
        }
    };
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(found)
}

/// A due time as it is kept: rounded up, and now if it has gone by.
fn kept_due(due: Timestamp, now: Timestamp) -> Timestamp {
    if due <= now {
        return now;
    }
    let behind = due.ms().rem_euclid(STEP_MS);
    let up = if behind == 0 { 0 } else { STEP_MS - behind };
    Timestamp::from_ms(due.ms().saturating_add(up))
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError> {
        let entry = |dispatch| Entry { due: None, text: dispatch::encode(&dispatch), dispatch };
        self.put(dispatches.into_iter().map(entry).collect()).await
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError> {
        let now = self.shared.clock.now();
        let entry = |Delayed { due, dispatch }| {
            let text = dispatch::encode(&dispatch);
            Entry { due: Some(kept_due(due, now)), dispatch, text }
        };
        self.put(delayed.into_iter().map(entry).collect()).await
    }

    async fn consume(&self) -> Result<Box<dyn Consumer>, Error> {
        let number = self.consumers.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(EmbeddedConsumer { shared: Arc::clone(&self.shared), number }))
    }

    fn ack(&self, receipt: Receipt) {
        if self.shared.lock().ack(receipt.0) {
            self.shared.wake.wake_soon();
        }
    }

    async fn ready(&self) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let (writer, feeder) = {
            let state = self.shared.lock();
            (state.writer, state.feeder)
        };
        match writer {
            Writer::Gone => Err(Error(Box::new(ringback_sqlite::Error::Stopped))),
            Writer::Failed { at, disk_full } if now.since(at) < FAILURE_COUNTS => {
                let cause = if disk_full { "the disk is full" } else { "the last commit failed" };
                Err(Error(cause.into()))
            }
            Writer::Well | Writer::Failed { .. } => match feeder {
                Feeder::Open => Ok(()),
                Feeder::Stopped => Err(Error(Box::new(ringback_sqlite::Error::Stopped))),
            },
        }
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let now = self.shared.clock.now();
        let not_due = rows::count_delayed(self.database.readers(), now)
            .await
            .map_err(|error| Error(Box::new(error)))?;
        let state = self.shared.lock();
        let counts = state.counts;
        // What is not due is neither handed out nor acked; a commit that is just being told of is the only difference.
        let delayed = not_due.min(counts.later);
        Ok(Depth {
            fresh: counts.fresh,
            returned: counts.later - delayed,
            delayed,
            poison: counts.poison,
            // Nobody else puts anything there, and whoever takes it is in this process.
            intake: 0,
            rejected: 0,
            unrouted: 0,
            is_deserted: false,
            oldest_due: state
                .oldest()
                .filter(|oldest| *oldest <= now)
                .map(|oldest| now.since(oldest)),
        })
    }
}

/// One of those who share the messages.
struct EmbeddedConsumer {
    shared: Arc<Shared>,
    number: u64,
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn next(&mut self) -> Option<Message> {
        loop {
            // Made before looking: what comes between looking and waiting wakes it.
            let arrived = self.shared.arrived.notified();
            let now = self.shared.clock.now();
            let taken = {
                let mut state = self.shared.lock();
                if state.feeder == Feeder::Stopped {
                    return None;
                }
                let taken = state.take(self.number, now);
                if state.wants_feeding() {
                    self.shared.feed.notify_one();
                }
                taken
            };
            let Some(waiting) = taken else {
                arrived.await;
                continue;
            };
            let dispatches = match waiting.body {
                Body::Dispatches(dispatches) => dispatches,
                Body::Text(text) => match dispatch::decode(&text) {
                    Ok(dispatches) => dispatches,
                    Err(reason) => {
                        tracing::error!(
                            id = waiting.id,
                            error = &reason as &dyn std::error::Error,
                            "a message can't be read; it is set aside in the table `poison`"
                        );
                        self.shared.lock().set_aside(waiting.id, reason, now);
                        self.shared.wake.wake();
                        continue;
                    }
                },
            };
            let receipt = Receipt(waiting.id);
            return Some(Message { dispatches, redelivered: waiting.redelivered, receipt });
        }
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        self.shared.lock().consumer_gone(self.number);
        self.shared.feed.notify_one();
    }
}
