//! Callbacks and API keys.

use ringback_core::{ApiKeyId, Callback, CallbackId, Timestamp};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::sync::watch;

use super::connection::{Database, in_time};
use super::listener::CONFIGURATION_CHANNEL;
use super::statements::RESUMED_WITH_PARKED;
use super::values::Values;
use crate::changes::{self, Statements};
use crate::port::{CallbackChange, Revision};
use crate::{ApiKey, CallbackQuery, Cursor, Error, LastKey, MasterKey, Page, rows, sql};

/// Clones share it.
#[derive(Clone)]
pub(super) struct Configuration {
    database: Database,
    key: MasterKey,
    revision: watch::Sender<Revision>,
}

impl Configuration {
    /// Checks the master key, or, in a new database, leaves what later ones are checked by.
    pub(super) async fn open(database: Database, key: MasterKey) -> Result<Self, Error> {
        let check = key.check();
        database.execute(sql::WRITE_MASTER_KEY_CHECK, || Values::none().and(&*check)).await?;
        let meta = database.rows(sql::READ_META, Values::none()).await?;
        let meta = meta.first().ok_or(sqlx::Error::RowNotFound)?;
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

    /// Reads the revision that is reached, by whichever process, and tells it.
    pub(super) async fn look(&self) -> Result<(), Error> {
        let revision = self.reached().await?;
        self.tell(revision);
        Ok(())
    }

    async fn reached(&self) -> Result<Revision, Error> {
        let meta = self.database.rows(sql::READ_META, Values::none()).await?;
        let meta = meta.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Revision(meta.try_get("revision")?))
    }

    /// Never back: what one connection reads may be told after what another one has written since.
    fn tell(&self, revision: Revision) {
        self.revision.send_if_modified(|told| {
            let grows = revision > *told;
            *told = revision.max(*told);
            grows
        });
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
        let values = Values::none().and(id.to_string());
        let found = self.database.rows(AssertSqlSafe(sql), values).await?;
        found.first().map(|row| Ok(rows::callback(row, &self.key)?.0)).transpose()
    }

    pub(super) async fn callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Callback>, Error> {
        let statement = sql::callbacks::<Values>(query, limit.saturating_add(1), after);
        let found = self.database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
        let callbacks = found.iter().map(|row| Ok(rows::callback(row, &self.key)?.0));
        let callbacks = callbacks.collect::<Result<_, Error>>()?;
        Ok(Page::of(callbacks, limit, |callback: &Callback| {
            (callback.created_at, callback.id.to_string())
        }))
    }

    pub(super) async fn resumed_with_parked(
        &self,
        since: Timestamp,
    ) -> Result<Vec<Callback>, Error> {
        let sql = format!("SELECT {} {}", sql::CALLBACK_COLUMNS, RESUMED_WITH_PARKED);
        let values = Values::none().and(since.ms());
        let found = self.database.rows(AssertSqlSafe(sql), values).await?;
        found.iter().map(|row| Ok(rows::callback(row, &self.key)?.0)).collect()
    }

    /// The revision is read first: what changes while the rest is read is told now or told again, but never missed.
    pub(super) async fn callback_changes(
        &self,
        since: Revision,
    ) -> Result<(Vec<CallbackChange>, Revision), Error> {
        let reached = self.reached().await?;
        let sql = format!("SELECT {} FROM callback WHERE revision > $1", sql::CALLBACK_COLUMNS);
        let put = self.database.rows(AssertSqlSafe(sql), Values::none().and(since.0)).await?;
        let deleted =
            self.database.rows(sql::DELETED_CALLBACKS_SINCE, Values::none().and(since.0)).await?;
        Ok((changes::told(&put, &deleted, &self.key)?, reached))
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
        let found = self.database.rows(AssertSqlSafe(sql), Values::none()).await?;
        found.iter().map(rows::api_key).collect()
    }

    /// Makes a change: the statements of one transaction, which also raises the revision and tells the other processes of
    /// it. False, and nothing is kept, if one of them touches no row.
    ///
    /// The new revision is told after COMMIT: who hears of it finds the change.
    pub(super) async fn change(
        &self,
        statements: impl FnOnce(Revision) -> Statements<Values> + Send,
    ) -> Result<bool, Error> {
        let changed = in_time(async {
            let mut held = self.database.hold().await?;
            let mut transaction = held.begin().await?;
            let changed = write_change(&mut transaction, statements).await?;
            match changed {
                Some(_) => transaction.commit().await?,
                None => transaction.rollback().await?,
            }
            held.done();
            Ok(changed)
        });
        let changed = changed.await?;
        if let Some(revision) = changed {
            self.tell(revision);
        }
        Ok(changed.is_some())
    }
}

async fn write_change(
    connection: &mut PgConnection,
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
    // Sent to those who listen when the transaction commits, and not at all if it does not.
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CONFIGURATION_CHANNEL)
        .bind(revision.0.to_string())
        .execute(connection)
        .await?;
    Ok(Some(revision))
}
