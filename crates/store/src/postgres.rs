//! The store in PostgreSQL, for many processes.
//!
//! History is the load: it is written in batches, a statement each, on connections of its own ([`recorder`]), and kept in
//! one partition for each day, so that what is too old is dropped and not deleted ([`partitions`]). Configuration is
//! rare: a transaction for each change, of which the other processes are notified ([`listener`]).

mod arrays;
mod catalog;
mod configuration;
mod connection;
mod error;
mod facts;
mod history;
mod listener;
mod live;
mod logged_request;
mod migrate;
mod partitions;
mod recorder;
mod replays;
mod retention;
mod sessions;
mod settings;
mod statements;
#[cfg(test)]
mod tests;
mod traffic;
mod transfer;
mod values;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use ringback_core::delivery::{Attempt, CancelReason, Delivery};
use ringback_core::{
    Account, ApiKeyId, Callback, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp,
};
use ringback_runtime::{Clock, Shutdown};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use crate::port::{
    Backlog, CallbackChange, DeliveryKey, HistoryRecord, LiveAttempt, Parked, Recorded, Revision,
    Store,
};
use crate::tally::Tally;
use crate::writes::Writes;
use crate::{
    ApiKey, CallbackQuery, Cursor, DeliveryQuery, Error, EventQuery, EventSearch, EventsFound,
    LastKey, LoggedRequest, LoggedRequestQuery, MasterKey, Page, sql,
};
use configuration::Configuration;
use connection::Database;
use live::Live;
use recorder::{Recorder, Waiting, Writer};
use values::Values;

pub use facts::{Facts, facts};
pub use migrate::{Migrated, migrate};
pub use settings::{InvalidUrl, Settings};
pub use transfer::other_connections;

/// Configuration and history in PostgreSQL, 14 or newer.
pub struct PostgresStore {
    settings: Settings,
    clock: Arc<dyn Clock>,
    database: Database,
    configuration: Configuration,
    recorder: Recorder,
    live: Arc<Live>,
    tally: Arc<Tally>,
    writes: Writes,
    /// Taken by [`run`](Self::run).
    work: Mutex<Option<Work>>,
}

struct Work {
    waiting: Waiting,
    live: live::Work,
}

/// How often partitions are made, and how soon again if they could not be.
const PARTITIONS_INTERVAL: Duration = Duration::from_secs(60 * 60);
const PARTITIONS_RETRY: Duration = Duration::from_secs(60);
/// How long an answer to the question whether it serves may take.
const READY_PATIENCE: Duration = Duration::from_secs(5);

impl PostgresStore {
    /// Connects, brings the tables up to date, and checks the master key. Nothing is ever recorded without
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::is_temporary`] tells what may pass (the server can't be reached now) from what will not:
    /// [`Error::Refused`] (no such database, wrong password, …) says what to do, [`Error::TooNew`] that a newer version has
    /// changed the tables, [`Error::WrongMasterKey`] that another key sealed the secrets.
    pub async fn open(
        settings: Settings,
        key: MasterKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let database = Database::open(&settings).await?;
        migrate::in_database(&database, clock.now()).await?;
        let configuration = Configuration::open(database.clone(), key).await?;
        let (recorder, waiting) = Recorder::new();
        let (live, live_work) = Live::new();
        Ok(Arc::new(Self {
            settings,
            clock,
            database,
            configuration,
            recorder,
            live: Arc::new(live),
            tally: Arc::default(),
            writes: Writes::default(),
            work: Mutex::new(Some(Work { waiting, live: live_work })),
        }))
    }

    /// Writes history, listens to other processes and makes the partitions of the days to come, until asked to stop; what
    /// was handed in before is written then. To be called once.
    ///
    /// # Errors
    /// None: what fails is told to those who wait for it, and tried again.
    ///
    /// # Panics
    /// If it is called again.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), Infallible> {
        let work = self.work.lock().expect("nobody panics holding it").take();
        let Work { waiting, live: live_work } = work.expect("it runs once");
        let writers = (0..self.settings.recorders.get()).map(|_| {
            let (live, tally) = (Arc::clone(&self.live), Arc::clone(&self.tally));
            let writer = Writer::new(waiting.clone(), self.database.clone(), live, tally);
            writer.run(shutdown.clone())
        });
        let (writers, recorded) = (join_all(writers), Shutdown::new());
        let writers = async {
            writers.await;
            recorded.request();
        };
        // Its receiver is the writers': gone when they are, so that who hands in more is told.
        drop(waiting);
        tokio::join!(
            writers,
            Box::pin(listener::run(&self.database, &self.configuration, &self.live, &shutdown)),
            Box::pin(self.live.run(live_work, &self.database, &shutdown)),
            Box::pin(self.make_partitions(&shutdown)),
            Box::pin(traffic::run(&self.tally, &self.database, &*self.clock, &recorded)),
        );
        Ok(())
    }

    /// What an operator should know of the database.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    pub async fn facts(&self) -> Result<Facts, Error> {
        facts::read(&self.database, &*self.clock).await
    }

    async fn make_partitions(&self, shutdown: &Shutdown) {
        let mut pause = PARTITIONS_INTERVAL;
        loop {
            tokio::select! {
                () = self.clock.sleep_until(self.clock.now() + pause) => {}
                () = shutdown.requested() => return,
            }
            match partitions::make_ahead(&self.database, self.clock.now()).await {
                Ok(_) => pause = PARTITIONS_INTERVAL,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "partitions of the next days can't be made now");
                    pause = PARTITIONS_RETRY;
                }
            }
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_callback(&self, callback: &Callback) -> Result<(), Error> {
        let callback = callback.clone();
        let to = self.configuration.clone();
        self.writes.to_the_end(async move { to.create_callback(&callback).await }).await
    }

    async fn update_callback(
        &self,
        callback: &Callback,
        read_at: Timestamp,
    ) -> Result<bool, Error> {
        let callback = callback.clone();
        let to = self.configuration.clone();
        self.writes.to_the_end(async move { to.update_callback(&callback, read_at).await }).await
    }

    async fn delete_callback(&self, id: CallbackId, now: Timestamp) -> Result<bool, Error> {
        let to = self.configuration.clone();
        self.writes.to_the_end(async move { to.delete_callback(id, now).await }).await
    }

    async fn callback(&self, id: CallbackId) -> Result<Option<Callback>, Error> {
        self.configuration.callback(id).await
    }

    async fn callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Callback>, Error> {
        self.configuration.callbacks(query, limit, after).await
    }

    async fn disable_gone_callback(
        &self,
        id: CallbackId,
        known_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let to = self.configuration.clone();
        self.writes
            .to_the_end(async move { to.disable_gone_callback(id, known_at, now).await })
            .await
    }

    async fn callback_changes(
        &self,
        revision: Revision,
    ) -> Result<(Vec<CallbackChange>, Revision), Error> {
        self.configuration.callback_changes(revision).await
    }

    fn revision(&self) -> watch::Receiver<Revision> {
        self.configuration.revision()
    }

    async fn create_api_key(&self, key: &ApiKey) -> Result<(), Error> {
        let key = key.clone();
        let to = self.configuration.clone();
        self.writes.to_the_end(async move { to.create_api_key(&key).await }).await
    }

    async fn delete_api_key(&self, id: ApiKeyId, last: LastKey) -> Result<bool, Error> {
        let to = self.configuration.clone();
        self.writes.to_the_end(async move { to.delete_api_key(id, last).await }).await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        self.configuration.api_keys().await
    }

    async fn log_request(&self, request: &LoggedRequest) -> Result<(), Error> {
        let database = self.database.clone();
        let request = request.clone();
        self.writes.to_the_end(async move { logged_request::keep(&database, &request).await }).await
    }

    async fn logged_requests(
        &self,
        query: &LoggedRequestQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<LoggedRequest>, Error> {
        logged_request::list(&self.database, query, limit, after).await
    }

    async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Error> {
        self.recorder.record(records).await
    }

    async fn parked(&self, callback: CallbackId, limit: usize) -> Result<Vec<Parked>, Error> {
        history::parked(&self.database, callback, limit).await
    }

    async fn resumed_with_parked(&self, since: Timestamp) -> Result<Vec<Callback>, Error> {
        self.configuration.resumed_with_parked(since).await
    }

    async fn let_go(&self, as_read: &[Delivery], now: Timestamp) -> Result<(), Error> {
        let database = self.database.clone();
        let as_read = as_read.to_vec();
        self.writes
            .to_the_end(async move { retention::let_go(&database, &as_read, now).await })
            .await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, Error> {
        history::backlog(&self.database, now).await
    }

    async fn recorded(&self, deliveries: &[DeliveryKey]) -> Result<Vec<Recorded>, Error> {
        history::recorded(&self.database, deliveries).await
    }

    async fn event(&self, id: EventId, account: Option<&Account>) -> Result<Option<Event>, Error> {
        history::event(&self.database, id, account).await
    }

    async fn events(
        &self,
        query: &EventQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Event>, Error> {
        history::events(&self.database, query, limit, after).await
    }

    async fn search_events(
        &self,
        search: &EventSearch,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<EventsFound, Error> {
        history::search_events(&self.database, search, limit, after).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        history::delivery(&self.database, id).await
    }

    async fn delivery_with_attempts(
        &self,
        id: DeliveryId,
    ) -> Result<Option<(Delivery, Vec<Attempt>)>, Error> {
        history::delivery_with_attempts(&self.database, id).await
    }

    async fn deliveries(
        &self,
        query: &DeliveryQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Delivery>, Error> {
        history::deliveries(&self.database, query, limit, after).await
    }

    async fn count_deliveries(&self, query: &DeliveryQuery, max: u32) -> Result<u64, Error> {
        history::count_deliveries(&self.database, query, max).await
    }

    async fn oldest_pending(&self, account: Option<&Account>) -> Result<Option<Timestamp>, Error> {
        history::oldest_pending(&self.database, account).await
    }

    async fn ahead(&self, callback: CallbackId, limit: usize) -> Result<Vec<Delivery>, Error> {
        history::ahead(&self.database, callback, limit).await
    }

    async fn open_circuits(&self, of: &[CallbackId]) -> Result<Vec<CallbackId>, Error> {
        history::open_circuits(&self.database, of).await
    }

    async fn last_outcomes(&self, of: &[Delivery]) -> Result<Vec<Option<Outcome>>, Error> {
        history::last_outcomes(&self.database, of).await
    }

    fn live_attempts(&self) -> broadcast::Receiver<Arc<LiveAttempt>> {
        self.live.subscribe()
    }

    async fn cancel_pending(
        &self,
        callback: CallbackId,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, Error> {
        let database = self.database.clone();
        self.writes
            .to_the_end(async move {
                retention::cancel_pending(&database, callback, reason, now, limit).await
            })
            .await
    }

    async fn cancel_delivery(
        &self,
        delivery: DeliveryKey,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let database = self.database.clone();
        self.writes
            .to_the_end(async move {
                retention::cancel_delivery(&database, delivery, reason, now).await
            })
            .await
    }

    async fn cancel_event(
        &self,
        event: &Event,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<CallbackId>, Error> {
        let (database, event) = (self.database.clone(), (event.id, event.account.clone()));
        self.writes
            .to_the_end(async move {
                retention::cancel_event(&database, event, reason, now, limit).await
            })
            .await
    }

    async fn delete_history(
        &self,
        accepted_before: Timestamp,
        limit: usize,
    ) -> Result<usize, Error> {
        let database = self.database.clone();
        self.writes
            .to_the_end(async move {
                retention::delete_history(&database, accepted_before, limit).await
            })
            .await
    }

    async fn ready(&self) -> Result<(), Error> {
        let asked = timeout(READY_PATIENCE, async {
            self.database.rows(sql::READ_META, Values::none()).await?;
            self.database.execute(sql::TOUCH_META, Values::none).await
        });
        match asked.await {
            Ok(ready) => ready.map(|_| ()),
            Err(_) => Err(error::no_answer(READY_PATIENCE).into()),
        }
    }
}
