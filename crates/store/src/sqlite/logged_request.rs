//! What the log callback was sent.

use ringback_sqlite::Database;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::transaction;
use super::values::Values;
use crate::logged_request::trim;
use crate::{Cursor, Error, LoggedRequest, LoggedRequestQuery, Page, rows, sql};

pub(super) async fn keep(database: &Database, request: &LoggedRequest) -> Result<(), Error> {
    let mut writer = database.writer().await;
    transaction::begin(&mut writer).await?;
    let written = write(&mut writer, request).await;
    transaction::end(&mut writer, written.map(Some)).await.map(|_| ())
}

async fn write(connection: &mut SqliteConnection, request: &LoggedRequest) -> Result<(), Error> {
    let mut values = Values::default();
    rows::bind_logged_request(&mut values, request);
    sqlx::query_with(sql::INSERT_LOGGED_REQUEST, values.0).execute(&mut *connection).await?;
    let (sql, values) = trim::<Values>(request);
    sqlx::query_with(sql, values.0).execute(connection).await?;
    Ok(())
}

pub(super) async fn list(
    database: &Database,
    query: &LoggedRequestQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<LoggedRequest>, Error> {
    let statement = sql::logged_requests::<Values>(query, limit.saturating_add(1), after);
    let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
        .fetch_all(database.readers())
        .await?;
    let requests = rows.iter().map(rows::logged_request).collect::<Result<_, _>>()?;
    Ok(Page::of(requests, limit, |request: &LoggedRequest| {
        (request.received_at, request.id.to_string())
    }))
}
