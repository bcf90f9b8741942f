//! Delivering again.

use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::{Account, Event, ReplayId, Timestamp};
use ringback_sqlite::Database;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::SqliteStore;
use super::values::Values;
use crate::replay::{Replay, Replayable, Replays};
use crate::rows::{self, Bind as _};
use crate::sql::{self, Parts, Statement};
use crate::{Cursor, Error, Page};

#[async_trait]
impl Replays for SqliteStore {
    async fn count_replay(&self, event: &Event) -> Result<Option<u32>, Error> {
        let (id, account) = (event.id.to_string(), event.account.to_string());
        let write = |database: Arc<Database>| async move {
            let counted = sqlx::query(sql::COUNT_REPLAY).bind(id).bind(account);
            let row = counted.fetch_optional(&mut *database.writer().await).await?;
            row.map(|row| Ok(row.try_get("replays")?)).transpose()
        };
        self.writes.to_the_end(write(Arc::clone(&self.database))).await
    }

    async fn create_replay(&self, replay: &Replay) -> Result<(), Error> {
        let mut values = Values::default();
        rows::bind_replay(&mut values, replay);
        self.write_replay(sql::INSERT_REPLAY, values).await.map(|_| ())
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, Error> {
        let sql = format!("SELECT {} FROM replay WHERE id = $1", sql::REPLAY_COLUMNS);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(self.database.readers())
            .await?;
        row.as_ref().map(rows::replay).transpose()
    }

    async fn replays(
        &self,
        account: Option<&Account>,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Replay>, Error> {
        let found = self.found(sql::replays(account, limit.saturating_add(1), after)).await?;
        let replays = found.iter().map(rows::replay).collect::<Result<_, _>>()?;
        Ok(Page::of(replays, limit, |replay: &Replay| (replay.created_at, replay.id.to_string())))
    }

    async fn take_replay(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Replay>, Error> {
        let free = sqlx::query(sql::FREE_REPLAY).bind(now.ms());
        let Some(free) = free.fetch_optional(self.database.readers()).await? else {
            return Ok(None);
        };
        let (id, owner): (String, _) = (free.try_get("id")?, owner.to_owned());
        let write = |database: Arc<Database>| async move {
            let sql = format!("{} {}", sql::TAKE_REPLAY, sql::REPLAY_COLUMNS);
            let taken = sqlx::query(AssertSqlSafe(sql))
                .bind(owner)
                .bind(until.ms())
                .bind(id)
                .bind(now.ms())
                .fetch_optional(&mut *database.writer().await)
                .await?;
            taken.as_ref().map(rows::replay).transpose()
        };
        self.writes.to_the_end(write(Arc::clone(&self.database))).await
    }

    async fn keep_replay(
        &self,
        replay: &Replay,
        owner: &str,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let mut values = Values::default();
        rows::bind_replay_progress(&mut values, replay);
        values.number(Some(until.ms()));
        values.text(Some(replay.id.to_string()));
        values.text(Some(owner));
        Ok(self.write_replay(sql::KEEP_REPLAY, values).await? > 0)
    }

    async fn release_replays(&self, owner: &str) -> Result<(), Error> {
        let mut values = Values::default();
        values.text(Some(owner));
        self.write_replay(sql::RELEASE_REPLAYS, values).await.map(|_| ())
    }

    async fn cancel_replay(&self, id: ReplayId, now: Timestamp) -> Result<bool, Error> {
        let mut values = Values::default();
        values.number(Some(now.ms()));
        values.text(Some(id.to_string()));
        Ok(self.write_replay(sql::CANCEL_REPLAY, values).await? > 0)
    }

    async fn replayable(&self, replay: &Replay, limit: usize) -> Result<Vec<Replayable>, Error> {
        let found = self.found(sql::replayable(replay, limit, Parts::default())).await?;
        found.iter().map(rows::replayable).collect()
    }

    async fn count_replayable(&self, replay: &Replay, max: usize) -> Result<u64, Error> {
        let found = self.found(sql::count_replayable(replay, max)).await?;
        let total: i64 = found.first().ok_or(sqlx::Error::RowNotFound)?.try_get("total")?;
        Ok(total.unsigned_abs())
    }
}

impl SqliteStore {
    /// One statement, which is a transaction of its own: how many rows it changed.
    async fn write_replay(&self, sql: &'static str, values: Values) -> Result<u64, Error> {
        let database = Arc::clone(&self.database);
        let write = async move {
            let mut writer = database.writer().await;
            Ok(sqlx::query_with(sql, values.0).execute(&mut *writer).await?.rows_affected())
        };
        self.writes.to_the_end(write).await
    }

    async fn found(&self, statement: Statement<Values>) -> Result<Vec<SqliteRow>, Error> {
        let found = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0);
        Ok(found.fetch_all(self.database.readers()).await?)
    }
}
