//! Who is signed in to the console.

use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::values::Values;
use crate::rows::{self, Bind as _};
use crate::{Error, KeyHash, Pass, Sessions, sql};

#[async_trait]
impl Sessions for SqliteStore {
    async fn create_session(&self, session: &Pass) -> Result<(), Error> {
        self.add(sql::FORGET_SESSIONS, sql::INSERT_SESSION, session).await
    }

    async fn session(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error> {
        self.good(sql::SESSION, hash, now).await
    }

    async fn delete_session(&self, hash: KeyHash) -> Result<(), Error> {
        let mut values = Values::default();
        rows::bind_hash(&mut values, hash);
        self.write(sql::DELETE_SESSION, values).await.map(|_| ())
    }

    async fn create_console_link(&self, link: &Pass) -> Result<(), Error> {
        self.add(sql::FORGET_CONSOLE_LINKS, sql::INSERT_CONSOLE_LINK, link).await
    }

    async fn console_link(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error> {
        self.good(sql::CONSOLE_LINK, hash, now).await
    }

    async fn redeem_console_link(
        &self,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Pass>, Error> {
        let mut values = Values::default();
        rows::bind_pass_at(&mut values, hash, now);
        let redeemed = self.write(sql::REDEEM_CONSOLE_LINK, values).await?;
        redeemed.first().map(rows::pass).transpose()
    }
}

impl SqliteStore {
    /// Forgets what has expired, and adds one.
    async fn add(
        &self,
        forget: &'static str,
        insert: &'static str,
        pass: &Pass,
    ) -> Result<(), Error> {
        let (mut now, mut values) = (Values::default(), Values::default());
        now.number(Some(pass.created_at.ms()));
        rows::bind_pass(&mut values, pass);
        self.write(forget, now).await?;
        self.write(insert, values).await.map(|_| ())
    }

    async fn good(
        &self,
        sql: &'static str,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Pass>, Error> {
        let mut values = Values::default();
        rows::bind_pass_at(&mut values, hash, now);
        let found = sqlx::query_with(sql, values.0).fetch_optional(self.database.readers()).await?;
        found.as_ref().map(rows::pass).transpose()
    }

    /// One statement, which is a transaction of its own: the rows that it gives.
    async fn write(&self, sql: &'static str, values: Values) -> Result<Vec<SqliteRow>, Error> {
        let database = Arc::clone(&self.database);
        let write = async move {
            let mut writer = database.writer().await;
            Ok(sqlx::query_with(sql, values.0).fetch_all(&mut *writer).await?)
        };
        self.writes.to_the_end(write).await
    }
}
