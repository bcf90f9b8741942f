//! Moving.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::Instant;

use super::connection::Database;
use super::partitions;
use super::values::Values;
use super::{PostgresStore, Settings};
use crate::transfer::{
    self, Column, DELIVERY_MADE_AT, Dialect, Holds, Shape, Table, Transfer, Unfinished,
};
use crate::{Error, MasterKey, sql};

const POSTGRES: Dialect = Dialect {
    object: "json_build_object",
    as_text: "::TEXT",
    as_id: "::UUID",
    joined_by: " AND delivery.day = attempt.day",
};

/// Connections of other processes to this database that call themselves as ours do. Every process of Ringback has one
/// all the time.
///
/// # Errors
/// [`Error`] if it can't be asked.
pub async fn other_connections(settings: &Settings) -> Result<i64, Error> {
    let database = Database::open(settings).await?;
    let patience = Instant::now() + CLOSED_WITHIN;
    let others = loop {
        let rows = database.rows(OTHER_CONNECTIONS, Values::none()).await?;
        let others = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("others")?;
        if others == 0 || Instant::now() >= patience {
            break others;
        }
        tokio::time::sleep(CLOSED_WITHIN / 10).await;
    };
    database.pool().close().await;
    Ok(others)
}

/// One may be our own, or of a process that has just ended: PostgreSQL takes a moment to see it closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

const OTHER_CONNECTIONS: &str = "SELECT COUNT(*) AS others FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() \
     AND application_name = current_setting('application_name')";

const HAS_UNFINISHED: &str = "SELECT to_regclass('unfinished_import') IS NOT NULL AS is_there";

#[async_trait]
impl Transfer for PostgresStore {
    async fn export_rows(
        &self,
        table: Table,
        after: Option<&str>,
        limit: usize,
        key: &MasterKey,
    ) -> Result<Vec<String>, Error> {
        let values = transfer::bind_key(table, after, Values::none())?;
        let sql = transfer::select(table, &POSTGRES, after.is_some(), limit);
        let rows = self.database.rows(AssertSqlSafe(sql), values).await?;
        let moved = |row: &PgRow| {
            transfer::reseal(table, row.try_get("moved")?, self.configuration.key(), key)
        };
        rows.iter().map(moved).collect()
    }

    async fn import_rows(
        &self,
        table: Table,
        rows: &[String],
        key: &MasterKey,
    ) -> Result<(), Error> {
        let own = self.configuration.key();
        let sql = insert(table, &transfer::columns_of(table, rows)?);
        let rows = rows.iter().map(|row| {
            transfer::reseal(table, row.clone(), key, own)
                .and_then(|row| transfer::without_nul(table, row))
        });
        let rows = transfer::array(&rows.collect::<Result<Vec<_>, _>>()?);
        if let Some(day_of) = table.shape().day_of {
            let days = self.days_of(&rows, day_of).await?;
            partitions::make_these(&self.database, &days, self.clock.now()).await?;
        }
        let database = self.database.clone();
        let write = async move {
            database.rows(AssertSqlSafe(sql), Values::none().and(rows)).await.map(|_| ())
        };
        self.writes.to_the_end(write).await
    }

    async fn filled(&self) -> Result<Vec<Table>, Error> {
        let mut filled = Vec::new();
        for table in Table::ALL {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", table.as_str());
            if !self.database.rows(AssertSqlSafe(sql), Values::none()).await?.is_empty() {
                filled.push(table);
            }
        }
        Ok(filled)
    }

    async fn unfinished_import(&self, id: &str) -> Result<Unfinished, Error> {
        let there = self.database.rows(HAS_UNFINISHED, Values::none()).await?;
        if !there.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<bool, _>("is_there")? {
            return Ok(Unfinished::None);
        }
        let ids = self.database.rows(transfer::READ_UNFINISHED, Values::none()).await?;
        let ids = ids.iter().map(|row| row.try_get::<String, _>("id"));
        Ok(Unfinished::of(&ids.collect::<Result<Vec<_>, _>>()?, id))
    }

    async fn begin_import(&self, id: &str) -> Result<(), Error> {
        self.database.execute(transfer::CREATE_UNFINISHED, Values::none).await?;
        self.database.execute(transfer::REMEMBER_UNFINISHED, || Values::none().and(id)).await?;
        Ok(())
    }

    /// The revision is raised before it is forgotten: a crash in between raises it twice, which harms nobody.
    async fn end_import(&self) -> Result<(), Error> {
        self.database.rows(sql::RAISE_REVISION, Values::none()).await?;
        self.database.execute(transfer::FORGET_UNFINISHED, Values::none).await?;
        Ok(())
    }
}

impl PostgresStore {
    /// The days that rows are of.
    async fn days_of(&self, rows: &str, day_of: &str) -> Result<BTreeSet<i32>, Error> {
        let sql = format!(
            "SELECT DISTINCT {} AS day FROM json_to_recordset($1::JSON) AS r ({day_of} BIGINT)",
            day(day_of)
        );
        let days = self.database.rows(AssertSqlSafe(sql), Values::none().and(rows)).await?;
        let days = days.iter().map(|row| row.try_get("day"));
        Ok(days.collect::<Result<_, _>>()?)
    }
}

/// See [`partitions::day_of`].
fn day(of: &str) -> String {
    format!("FLOOR(r.{of} / 86400000.0)::INTEGER")
}

/// The revision of callbacks is one that is not reached yet: whoever reads changes is told of them.
fn insert(table: Table, columns: &[Column]) -> String {
    let Shape { day_of, .. } = table.shape();
    let mut names: Vec<_> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut values: Vec<_> = names.iter().map(|name| format!("r.{name}")).collect();
    let mut members: Vec<_> = columns
        .iter()
        .map(|(name, holds)| match holds {
            Holds::Text => format!("{name} TEXT"),
            Holds::Number => format!("{name} BIGINT"),
            Holds::Id => format!("{name} UUID"),
        })
        .collect();
    if let Some(of) = day_of {
        names.push("day".to_owned());
        values.push(day(of));
        if of == DELIVERY_MADE_AT {
            members.push(format!("{of} BIGINT"));
        }
    }
    if table == Table::Callback {
        names.push("revision".to_owned());
        values.push("(SELECT revision + 1 FROM meta WHERE id = 1)".to_owned());
    }
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM json_to_recordset($1::JSON) AS r ({}) ON CONFLICT DO NOTHING",
        table.as_str(),
        names.join(", "),
        values.join(", "),
        members.join(", "),
    )
}
