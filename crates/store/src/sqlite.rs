//! The store in the embedded database.

mod catalog;
mod configuration;
mod history;
mod logged_request;
mod migrate;
mod recorder;
mod replays;
mod retention;
mod sessions;
#[cfg(test)]
mod tests;
mod traffic;
mod transaction;
mod transfer;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::delivery::{Attempt, CancelReason, Delivery};
use ringback_core::{
    Account, ApiKeyId, Callback, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp,
};
use ringback_runtime::Clock;
use ringback_sqlite::Database;
use tokio::sync::{broadcast, watch};

use crate::port::{
    Backlog, CallbackChange, DeliveryKey, HistoryRecord, LiveAttempt, Parked, Recorded, Revision,
    Store,
};
use crate::writes::Writes;
use crate::{
    ApiKey, CallbackQuery, Cursor, DeliveryQuery, Error, EventQuery, EventSearch, EventsFound,
    LastKey, LoggedRequest, LoggedRequestQuery, MasterKey, Page, sql,
};
use configuration::Configuration;
use recorder::Recorder;

/// Configuration and history in the embedded database.
///
/// Configuration is written in short transactions of its own; history joins the group commit.
pub struct SqliteStore {
    database: Arc<Database>,
    configuration: Configuration,
    recorder: Recorder,
    writes: Writes,
}

impl SqliteStore {
    /// Brings the tables up to date, checks the master key, and joins the group commit: to be called before
    /// [`Database::run_writer`], without which nothing is ever recorded.
    ///
    /// # Errors
    /// [`Error::TooNew`] if a newer version has changed the tables, [`Error::WrongMasterKey`] if another key sealed the
    /// secrets, [`Error`] if the database can't be used.
    pub async fn open(
        database: Arc<Database>,
        key: MasterKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        migrate::migrate(&mut *database.writer().await, clock.now()).await?;
        let configuration = Configuration::open(Arc::clone(&database), key).await?;
        let recorder = Recorder::join(&database, clock);
        let writes = Writes::default();
        Ok(Arc::new(Self { database, configuration, recorder, writes }))
    }
}

#[async_trait]
impl Store for SqliteStore {
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
        let database = Arc::clone(&self.database);
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
        let database = Arc::clone(&self.database);
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
        self.recorder.live_attempts()
    }

    async fn cancel_pending(
        &self,
        callback: CallbackId,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, Error> {
        let database = Arc::clone(&self.database);
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
        let database = Arc::clone(&self.database);
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
        let (database, event) = (Arc::clone(&self.database), (event.id, event.account.clone()));
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
        let database = Arc::clone(&self.database);
        self.writes
            .to_the_end(async move {
                retention::delete_history(&database, accepted_before, limit).await
            })
            .await
    }

    async fn ready(&self) -> Result<(), Error> {
        sqlx::query(sql::READ_META).fetch_one(self.database.readers()).await?;
        // One statement is a transaction by itself.
        let mut writer = self.database.writer().await;
        sqlx::query(sql::TOUCH_META).execute(&mut *writer).await?;
        Ok(())
    }
}

impl From<ringback_sqlite::Error> for Error {
    fn from(error: ringback_sqlite::Error) -> Self {
        if error.is_full() {
            Self::Full(Box::new(error))
        } else {
            Self::Unavailable(Box::new(error))
        }
    }
}
