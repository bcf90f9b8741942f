//! Callbacks and API keys.

use std::sync::Arc;

use ringback_core::{ApiKeyId, Callback, CallbackId, Timestamp};
use ringback_sqlite::Database;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio::sync::watch;

use super::transaction;
use super::values::Values;
use crate::changes::{self, Statements};
use crate::port::{CallbackChange, Revision};
use crate::{ApiKey, CallbackQuery, Cursor, Error, LastKey, MasterKey, Page, rows, sql};

/// Clones share it.
#[derive(Clone)]
pub(super) struct Configuration {
    database: Arc<Database>,
    key: MasterKey,
    revision: watch::Sender<Revision>,
}

impl Configuration {
    /// Checks the master key, or, in a new database, leaves what later ones are checked by.
    pub(super) async fn open(database: Arc<Database>, key: MasterKey) -> Result<Self, Error> {
        let mut writer = database.writer().await;
        sqlx::query(sql::WRITE_MASTER_KEY_CHECK).bind(key.check()).execute(&mut *writer).await?;
        let meta = sqlx::query(sql::READ_META).fetch_one(&mut *writer).await?;
        drop(writer);
        if !key.made(meta.try_get("master_key_check")?) {
            return Err(Error::WrongMasterKey);
        }
        let revision = Revision(meta.try_get("revision")?);
        Ok(Self { database, key, revision: watch::Sender::new(revision) })
    }

    /// What seals the secrets of this database.
    pub(super) fn key(&self) -> &MasterKey {
        &self.key
    }

    pub(super) fn revision(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    pub(super) async fn create_callback(&self, callback: &Callback) -> Result<(), Error> {
        let insert = |revision| changes::create_callback(callback, &self.key, revision);
        self.change(insert).await.map(|_| ())
    }

    pub(super) async fn update_callback(
        &self,
        callback: &Callback,
        read_at: Timestamp,
    ) -> Result<bool, Error> {
        self.change(|revision| changes::update_callback(callback, read_at, &self.key, revision))
            .await
    }

    pub(super) async fn delete_callback(
        &self,
        id: CallbackId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.change(|revision| changes::delete_callback(id, now, revision)).await
    }

    pub(super) async fn disable_gone_callback(
        &self,
        id: CallbackId,
        known_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let disable = |revision| changes::disable_gone_callback(id, known_at, now, revision);
        self.change(disable).await.map(|_| ())
    }

    pub(super) async fn callback(&self, id: CallbackId) -> Result<Option<Callback>, Error> {
        let sql = format!("SELECT {} FROM callback WHERE id = $1", sql::CALLBACK_COLUMNS);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(self.database.readers())
            .await?;
        row.map(|row| rows::callback(&row, &self.key).map(|(callback, _)| callback)).transpose()
    }

    pub(super) async fn callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Callback>, Error> {
        let statement = sql::callbacks::<Values>(query, limit.saturating_add(1), after);
        let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
            .fetch_all(self.database.readers())
            .await?;
        let callbacks = rows.iter().map(|row| Ok(rows::callback(row, &self.key)?.0));
        let callbacks = callbacks.collect::<Result<_, Error>>()?;
        Ok(Page::of(callbacks, limit, |callback: &Callback| {
            (callback.created_at, callback.id.to_string())
        }))
    }

    pub(super) async fn resumed_with_parked(
        &self,
        since: Timestamp,
    ) -> Result<Vec<Callback>, Error> {
        let sql = format!("SELECT {} {}", sql::CALLBACK_COLUMNS, sql::RESUMED_WITH_PARKED);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(since.ms())
            .fetch_all(self.database.readers())
            .await?;
        rows.iter().map(|row| Ok(rows::callback(row, &self.key)?.0)).collect()
    }

    /// The revision is read first: what changes while the rest is read is told now or told again, but never missed.
    pub(super) async fn callback_changes(
        &self,
        since: Revision,
    ) -> Result<(Vec<CallbackChange>, Revision), Error> {
        let readers = self.database.readers();
        let reached = sqlx::query(sql::READ_META).fetch_one(readers).await?.try_get("revision")?;
        let sql = format!("SELECT {} FROM callback WHERE revision > $1", sql::CALLBACK_COLUMNS);
        let put = sqlx::query(AssertSqlSafe(sql)).bind(since.0).fetch_all(readers).await?;
        let deleted =
            sqlx::query(sql::DELETED_CALLBACKS_SINCE).bind(since.0).fetch_all(readers).await?;
        Ok((changes::told(&put, &deleted, &self.key)?, Revision(reached)))
    }

    pub(super) async fn create_api_key(&self, key: &ApiKey) -> Result<(), Error> {
        self.change(|_| changes::create_api_key(key)).await.map(|_| ())
    }

    pub(super) async fn delete_api_key(&self, id: ApiKeyId, last: LastKey) -> Result<bool, Error> {
        self.change(|_| changes::delete_api_key(id, last)).await
    }

    pub(super) async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let sql = format!(
            "SELECT {} FROM api_key ORDER BY created_at_ms DESC, id DESC",
            sql::API_KEY_COLUMNS
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.database.readers()).await?;
        rows.iter().map(rows::api_key).collect()
    }

    /// Makes a change: the statements of one transaction, which also raises the revision. False, and nothing is kept, if
    /// one of them touches no row.
    ///
    /// The new revision is told after COMMIT and before the next change begins: who hears of it finds the change, and
    /// revisions are told in their order.
    pub(super) async fn change(
        &self,
        statements: impl FnOnce(Revision) -> Statements<Values> + Send,
    ) -> Result<bool, Error> {
        let mut writer = self.database.writer().await;
        transaction::begin(&mut writer).await?;
        let written = write_change(&mut writer, statements).await;
        let revision = transaction::end(&mut writer, written).await?;
        if let Some(revision) = revision {
            self.revision.send_replace(revision);
        }
        Ok(revision.is_some())
    }
}

async fn write_change(
    connection: &mut SqliteConnection,
    statements: impl FnOnce(Revision) -> Statements<Values> + Send,
) -> Result<Option<Revision>, Error> {
    let raised = sqlx::query(sql::RAISE_REVISION).fetch_one(&mut *connection).await?;
    let revision = Revision(raised.try_get("revision")?);
    for (sql, values) in statements(revision) {
        let done = sqlx::query_with(sql, values.0).execute(&mut *connection).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
    }
    Ok(Some(revision))
}
