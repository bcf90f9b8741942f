//! Moving.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::values::Values;
use super::{SqliteStore, transaction};
use crate::transfer::{self, Column, Dialect, Table, Transfer, Unfinished};
use crate::{Error, MasterKey, sql};

const SQLITE: Dialect = Dialect { object: "json_object", as_text: "", as_id: "", joined_by: "" };

/// Asked first: reading a table that is not there is an error.
const HAS_UNFINISHED: &str = "SELECT COUNT(*) AS number FROM sqlite_schema WHERE type = 'table' AND name = 'unfinished_import'";

#[async_trait]
impl Transfer for SqliteStore {
    async fn export_rows(
        &self,
        table: Table,
        after: Option<&str>,
        limit: usize,
        key: &MasterKey,
    ) -> Result<Vec<String>, Error> {
        let values = transfer::bind_key(table, after, Values::default())?;
        let sql = transfer::select(table, &SQLITE, after.is_some(), limit);
        let rows = sqlx::query_with(AssertSqlSafe(sql), values.0)
            .fetch_all(self.database.readers())
            .await?;
        let moved = |row: &SqliteRow| {
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
        let rows = rows.iter().map(|row| transfer::reseal(table, row.clone(), key, own));
        let rows = transfer::array(&rows.collect::<Result<Vec<_>, _>>()?);
        let database = std::sync::Arc::clone(&self.database);
        let write = async move {
            let mut writer = database.writer().await;
            transaction::begin(&mut writer).await?;
            let written = write(&mut writer, sql, rows).await;
            transaction::end(&mut writer, written.map(Some)).await.map(|_| ())
        };
        self.writes.to_the_end(write).await
    }

    async fn filled(&self) -> Result<Vec<Table>, Error> {
        let mut filled = Vec::new();
        for table in Table::ALL {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", table.as_str());
            let found = sqlx::query(AssertSqlSafe(sql)).fetch_optional(self.database.readers());
            if found.await?.is_some() {
                filled.push(table);
            }
        }
        Ok(filled)
    }

    async fn unfinished_import(&self, id: &str) -> Result<Unfinished, Error> {
        let there = sqlx::query(HAS_UNFINISHED).fetch_one(self.database.readers()).await?;
        if there.try_get::<i64, _>("number")? == 0 {
            return Ok(Unfinished::None);
        }
        let found = sqlx::query(transfer::READ_UNFINISHED).fetch_all(self.database.readers());
        let ids = found.await?;
        let ids = ids.iter().map(|row| row.try_get::<String, _>("id"));
        Ok(Unfinished::of(&ids.collect::<Result<Vec<_>, _>>()?, id))
    }

    async fn begin_import(&self, id: &str) -> Result<(), Error> {
        let mut writer = self.database.writer().await;
        sqlx::query(transfer::CREATE_UNFINISHED).execute(&mut *writer).await?;
        sqlx::query(transfer::REMEMBER_UNFINISHED).bind(id).execute(&mut *writer).await?;
        Ok(())
    }

    async fn end_import(&self) -> Result<(), Error> {
        let mut writer = self.database.writer().await;
        sqlx::query(sql::RAISE_REVISION).execute(&mut *writer).await?;
        sqlx::query(transfer::FORGET_UNFINISHED).execute(&mut *writer).await?;
        Ok(())
    }
}

async fn write(connection: &mut SqliteConnection, sql: String, rows: String) -> Result<(), Error> {
    sqlx::query(AssertSqlSafe(sql)).bind(rows).execute(connection).await?;
    Ok(())
}

/// The revision of callbacks is one that is not reached yet: whoever reads changes is told of them.
fn insert(table: Table, columns: &[Column]) -> String {
    let mut names: Vec<_> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut values: Vec<_> =
        names.iter().map(|name| format!("json_extract(value, '$.{name}')")).collect();
    if table == Table::Callback {
        names.push("revision".to_owned());
        values.push("(SELECT revision + 1 FROM meta WHERE id = 1)".to_owned());
    }
    // `WHERE TRUE`: else `ON` would be taken for that of a join.
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM json_each($1) WHERE TRUE ON CONFLICT DO NOTHING",
        table.as_str(),
        names.join(", "),
        values.join(", "),
    )
}
