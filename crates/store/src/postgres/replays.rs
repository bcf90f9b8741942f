//! Delivering again.

use async_trait::async_trait;
use ringback_core::{Account, Event, ReplayId, Timestamp};
use sqlx::{AssertSqlSafe, Row as _};

use super::partitions::day_of;
use super::values::{Id, Values};
use super::{PostgresStore, statements};
use crate::replay::{Replay, Replayable, Replays};
use crate::rows::{self, Bind as _};
use crate::sql;
use crate::{Cursor, Error, Page};

#[async_trait]
impl Replays for PostgresStore {
    async fn count_replay(&self, event: &Event) -> Result<Option<u32>, Error> {
        let (id, account) = (Id(event.id.uuid()), event.account.to_string());
        let day = day_of(event.accepted_at);
        let database = self.database.clone();
        let write = async move {
            let values = Values::none().and(id).and(account).and(day);
            let counted = database.rows(statements::COUNT_REPLAY, values).await?;
            let number = counted.first().map(|row| row.try_get::<i64, _>("replays")).transpose()?;
            Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
        };
        self.writes.to_the_end(write).await
    }

    async fn create_replay(&self, replay: &Replay) -> Result<(), Error> {
        let values = || {
            let mut values = Values::none();
            rows::bind_replay(&mut values, replay);
            values
        };
        self.database.execute(sql::INSERT_REPLAY, values).await.map(|_| ())
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, Error> {
        let sql = format!("SELECT {} FROM replay WHERE id = $1", sql::REPLAY_COLUMNS);
        let values = Values::none().and(id.to_string());
        let found = self.database.rows(AssertSqlSafe(sql), values).await?;
        found.first().map(rows::replay).transpose()
    }

    async fn replays(
        &self,
        account: Option<&Account>,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Replay>, Error> {
        let statement = sql::replays::<Values>(account, limit.saturating_add(1), after);
        let found = self.database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
        let replays = found.iter().map(rows::replay).collect::<Result<_, _>>()?;
        Ok(Page::of(replays, limit, |replay: &Replay| (replay.created_at, replay.id.to_string())))
    }

    async fn take_replay(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Replay>, Error> {
        let free = self.database.rows(sql::FREE_REPLAY, Values::none().and(now.ms())).await?;
        let Some(free) = free.first() else { return Ok(None) };
        let id: String = free.try_get("id")?;
        let sql = format!("{} {}", sql::TAKE_REPLAY, sql::REPLAY_COLUMNS);
        let values = Values::none().and(owner).and(until.ms()).and(id).and(now.ms());
        let taken = self.database.rows(AssertSqlSafe(sql), values).await?;
        taken.first().map(rows::replay).transpose()
    }

    async fn keep_replay(
        &self,
        replay: &Replay,
        owner: &str,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let values = || {
            let mut values = Values::none();
            rows::bind_replay_progress(&mut values, replay);
            values.number(Some(until.ms()));
            values.text(Some(replay.id.to_string()));
            values.text(Some(owner));
            values
        };
        Ok(self.database.execute(sql::KEEP_REPLAY, values).await? > 0)
    }

    async fn release_replays(&self, owner: &str) -> Result<(), Error> {
        self.database.execute(sql::RELEASE_REPLAYS, || Values::none().and(owner)).await.map(|_| ())
    }

    async fn cancel_replay(&self, id: ReplayId, now: Timestamp) -> Result<bool, Error> {
        let values = || Values::none().and(now.ms()).and(id.to_string());
        Ok(self.database.execute(sql::CANCEL_REPLAY, values).await? > 0)
    }

    async fn replayable(&self, replay: &Replay, limit: usize) -> Result<Vec<Replayable>, Error> {
        let statement = sql::replayable::<Values>(replay, limit, statements::BY_DAY);
        let found = self.database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
        found.iter().map(rows::replayable).collect()
    }

    async fn count_replayable(&self, replay: &Replay, max: usize) -> Result<u64, Error> {
        let statement = sql::count_replayable::<Values>(replay, max);
        let found = self.database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
        let total: i64 = found.first().ok_or(sqlx::Error::RowNotFound)?.try_get("total")?;
        Ok(total.unsigned_abs())
    }
}
