//! Callbacks and API keys.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::DisabledReason;
use ringback_core::secret::Secret;
use ringback_core::{ApiKeyId, Callback, CallbackId, Timestamp};
use ringback_sqlite::Database;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::values::Values;
use crate::port::{CallbackChange, Revision};
use crate::rows::{self, Bind as _};
use crate::{ApiKey, CallbackQuery, Cursor, Error, MasterKey, Page, sql};

/// Clones share it.
#[derive(Clone)]
pub(super) struct Configuration {
    database: Arc<Database>,
    key: MasterKey,
    revision: watch::Sender<Revision>,
}

const MASTER_KEY_CHECK_PLACE: &str = "meta/master_key_check";
const MASTER_KEY_CHECK_TEXT: &str = "ringback";

impl Configuration {
    /// Checks the master key, or, in a new database, leaves what later ones are checked by.
    pub(super) async fn open(database: Arc<Database>, key: MasterKey) -> Result<Self, Error> {
        let mut writer = database.writer().await;
        let check = key.seal(MASTER_KEY_CHECK_PLACE, &Secret::new(MASTER_KEY_CHECK_TEXT));
        sqlx::query(sql::WRITE_MASTER_KEY_CHECK)
            .bind(check)
            .execute(&mut *writer)
            .await?;
        let meta = sqlx::query(sql::READ_META).fetch_one(&mut *writer).await?;
        drop(writer);
        let check: &str = meta.try_get("master_key_check")?;
        key.open(MASTER_KEY_CHECK_PLACE, check)
            .map_err(|_| Error::WrongMasterKey)?;
        let revision = Revision(meta.try_get("revision")?);
        Ok(Self {
            database,
            key,
            revision: watch::Sender::new(revision),
        })
    }

    pub(super) fn revision(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    pub(super) async fn create_callback(&self, callback: &Callback) -> Result<(), Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let mut values = Values::default();
        rows::bind_callback(&mut values, callback, callback.updated_at, &self.key);
        values.number(Some(revision.0));
        sqlx::query_with(sql::INSERT_CALLBACK, values.0)
            .execute(&mut *transaction)
            .await?;
        self.commit_change(transaction, revision).await
    }

    pub(super) async fn update_callback(
        &self,
        callback: &Callback,
        read_at: Timestamp,
    ) -> Result<bool, Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let mut values = Values::default();
        rows::bind_callback(
            &mut values,
            callback,
            later(callback.updated_at, read_at),
            &self.key,
        );
        values.number(Some(revision.0));
        values.number(Some(read_at.ms()));
        let updated = sqlx::query_with(sql::UPDATE_CALLBACK, values.0)
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        self.commit_change(transaction, revision).await?;
        Ok(true)
    }

    pub(super) async fn delete_callback(
        &self,
        id: CallbackId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let id = id.to_string();
        let deleted = sqlx::query(sql::DELETE_CALLBACK)
            .bind(&id)
            .execute(&mut *transaction)
            .await?;
        if deleted.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        sqlx::query(sql::REMEMBER_DELETED_CALLBACK)
            .bind(id)
            .bind(revision.0)
            .bind(now.ms())
            .execute(&mut *transaction)
            .await?;
        self.commit_change(transaction, revision).await?;
        Ok(true)
    }

    pub(super) async fn disable_gone_callback(
        &self,
        id: CallbackId,
        known_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let disabled = sqlx::query(sql::DISABLE_CALLBACK)
            .bind(id.to_string())
            .bind(DisabledReason::Gone.as_str())
            .bind(later(now, known_at).ms())
            .bind(revision.0)
            .bind(known_at.ms())
            .execute(&mut *transaction)
            .await?;
        if disabled.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(());
        }
        self.commit_change(transaction, revision).await
    }

    pub(super) async fn callback(&self, id: CallbackId) -> Result<Option<Callback>, Error> {
        let sql = format!(
            "SELECT {} FROM callback WHERE id = $1",
            sql::CALLBACK_COLUMNS
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(self.database.readers())
            .await?;
        row.map(|row| rows::callback(&row, &self.key).map(|(callback, _)| callback))
            .transpose()
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

    /// The revision is read first: what changes while the rest is read is told now or told again, but never missed.
    pub(super) async fn callback_changes(
        &self,
        since: Revision,
    ) -> Result<(Vec<CallbackChange>, Revision), Error> {
        let readers = self.database.readers();
        let reached = sqlx::query(sql::READ_META)
            .fetch_one(readers)
            .await?
            .try_get("revision")?;
        let sql = format!(
            "SELECT {} FROM callback WHERE revision > $1",
            sql::CALLBACK_COLUMNS
        );
        let put = sqlx::query(AssertSqlSafe(sql))
            .bind(since.0)
            .fetch_all(readers)
            .await?;
        let deleted = sqlx::query(sql::DELETED_CALLBACKS_SINCE)
            .bind(since.0)
            .fetch_all(readers)
            .await?;
        let mut changes = Vec::with_capacity(put.len() + deleted.len());
        for row in &put {
            let (callback, revision) = rows::callback(row, &self.key)?;
            changes.push((revision, CallbackChange::Put(Arc::new(callback))));
        }
        for row in &deleted {
            let (id, revision) = rows::deleted_callback(row)?;
            changes.push((revision, CallbackChange::Deleted(id)));
        }
        changes.sort_by_key(|(revision, _)| *revision);
        Ok((
            changes.into_iter().map(|(_, change)| change).collect(),
            Revision(reached),
        ))
    }

    pub(super) async fn create_api_key(&self, key: &ApiKey) -> Result<(), Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let mut values = Values::default();
        rows::bind_api_key(&mut values, key);
        sqlx::query_with(sql::INSERT_API_KEY, values.0)
            .execute(&mut *transaction)
            .await?;
        self.commit_change(transaction, revision).await
    }

    pub(super) async fn delete_api_key(&self, id: ApiKeyId) -> Result<bool, Error> {
        let mut writer = self.database.writer().await;
        let (mut transaction, revision) = begin_change(&mut writer).await?;
        let deleted = sqlx::query(sql::DELETE_API_KEY)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        if deleted.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        self.commit_change(transaction, revision).await?;
        Ok(true)
    }

    pub(super) async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let sql = format!(
            "SELECT {} FROM api_key ORDER BY created_at_ms DESC, id DESC",
            sql::API_KEY_COLUMNS
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(self.database.readers())
            .await?;
        rows.iter().map(rows::api_key).collect()
    }

    /// Commits, and only then tells the new revision: who hears of it finds the change.
    async fn commit_change(
        &self,
        transaction: Transaction<'_, Sqlite>,
        revision: Revision,
    ) -> Result<(), Error> {
        transaction.commit().await?;
        self.revision.send_replace(revision);
        Ok(())
    }
}

/// Begins a transaction that changes the configuration, with the revision it leads to.
async fn begin_change(
    writer: &mut SqliteConnection,
) -> Result<(Transaction<'_, Sqlite>, Revision), Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let raised = sqlx::query(sql::RAISE_REVISION)
        .fetch_one(&mut *transaction)
        .await?;
    Ok((transaction, Revision(raised.try_get("revision")?)))
}

/// A time of change is the lock that updates are checked by: it grows even if two changes fall into one millisecond, or
/// the clock was set back.
fn later(now: Timestamp, before: Timestamp) -> Timestamp {
    now.max(before + Duration::from_millis(1))
}
