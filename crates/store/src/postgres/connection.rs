//! Connections, none of which is waited for without end.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{Connection as _, Postgres, Row as _, SqlSafeStr};
use tokio::time::timeout;

use super::Settings;
use super::error::{Unfit, no_answer, of_connecting};
use super::values::Values;
use crate::Error;

/// Connecting, and waiting for one of the pool to be free.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// One statement, or one short transaction. A network that swallows everything would hold it for a quarter of an hour.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// A partition for each day, partitions attached and detached beside running statements, and binary arrays of any kind
/// are in each version that is still looked after.
const VERSION_MIN: i64 = 140_000;

/// One database. Clones share it.
#[derive(Clone)]
pub(super) struct Database {
    pool: PgPool,
    settings: Settings,
}

impl Database {
    /// Connects once, so that what is wrong is told clearly and now, and looks whether the server will do.
    ///
    /// # Errors
    /// [`Error::Refused`] with what to do, [`Error::Unavailable`] if it can't be reached now.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max.get())
            .acquire_timeout(CONNECT_PATIENCE)
            .connect_lazy_with(settings.options.clone());
        let database = Self { pool, settings: settings.clone() };
        let mut connection = database.connect().await?;
        let row = sqlx::query(SERVER).fetch_one(&mut connection).await?;
        let refused = |detail: &str, unfit| Error::Refused {
            detail: format!("PostgreSQL at {} will not do: {detail}", settings.place()),
            source: Box::new(unfit),
        };
        let (version, encoding) = (row.try_get("version")?, row.try_get::<String, _>("encoding")?);
        if row.try_get::<i64, _>("version_number")? < VERSION_MIN {
            return Err(refused("version 14 or newer is needed", Unfit::Version(version)));
        }
        if encoding != "UTF8" {
            let detail = "a database in UTF8 is needed (CREATE DATABASE … ENCODING 'UTF8')";
            return Err(refused(detail, Unfit::Encoding(encoding)));
        }
        if row.try_get("standby")? {
            return Err(Error::Unavailable(Box::new(Unfit::Standby(settings.place()))));
        }
        // It said all that it was asked; whether it says good-bye does not matter.
        let _ = connection.close().await;
        Ok(database)
    }

    /// A connection beside those of the pool.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        let connecting = PgConnection::connect_with(&self.settings.options);
        let connected = timeout(CONNECT_PATIENCE, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(no_answer(CONNECT_PATIENCE)));
        connected.map_err(|error| of_connecting(error, &self.settings))
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// One of the pool, to be given back by [`Held::done`].
    pub(super) async fn hold(&self) -> Result<Held, Error> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(Held { connection, done: false }),
            // All are in use, or none can be made.
            Err(sqlx::Error::PoolTimedOut) => {
                Err(of_connecting(no_answer(CONNECT_PATIENCE), &self.settings))
            }
            Err(error) => Err(of_connecting(error, &self.settings)),
        }
    }

    /// What a statement gives.
    pub(super) async fn rows(
        &self,
        sql: impl SqlSafeStr,
        values: Values,
    ) -> Result<Vec<PgRow>, Error> {
        in_time(async {
            let mut held = self.hold().await?;
            let rows = sqlx::query_with(sql, values.0).fetch_all(&mut *held).await?;
            held.done();
            Ok(rows)
        })
        .await
    }

    /// What a statement gives that changes rows, which is a transaction of its own. One that stands in another's way is
    /// tried again: it has changed nothing.
    pub(super) async fn change(
        &self,
        sql: &'static str,
        values: impl Fn() -> Values,
    ) -> Result<Vec<PgRow>, Error> {
        in_time(async {
            let mut held = self.hold().await?;
            let changed = loop {
                let changed = sqlx::query_with(sql, values().0).fetch_all(&mut *held).await;
                if !changed.as_ref().is_err_and(super::error::is_conflict) {
                    break changed?;
                }
            };
            held.done();
            Ok(changed)
        })
        .await
    }

    /// How many rows a statement changes, which is a transaction of its own. One that stands in another's way is tried
    /// again: it has changed nothing.
    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: impl Fn() -> Values,
    ) -> Result<u64, Error> {
        in_time(async {
            let mut held = self.hold().await?;
            let done = loop {
                let done = sqlx::query_with(sql, values().0).execute(&mut *held).await;
                if !done.as_ref().is_err_and(super::error::is_conflict) {
                    break done?;
                }
            };
            held.done();
            Ok(done.rows_affected())
        })
        .await
    }
}

/// A connection of the pool. Unless it is [`done`](Self::done) with, it is closed and not given back: a transaction may be
/// open on it, or an answer on its way, because of an error or because the caller is gone.
pub(super) struct Held {
    connection: PoolConnection<Postgres>,
    done: bool,
}

impl Held {
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

/// Gives up after [`ANSWER_PATIENCE`].
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(ANSWER_PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(no_answer(ANSWER_PATIENCE).into()),
    }
}

const SERVER: &str = "SELECT current_setting('server_version_num')::BIGINT AS version_number, \
     current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, \
     pg_is_in_recovery() AS standby";
