//! What the log callback was sent.

use sqlx::AssertSqlSafe;

use super::connection::Database;
use super::values::Values;
use crate::logged_request::trim;
use crate::{Cursor, Error, LoggedRequest, LoggedRequestQuery, Page, rows, sql};

/// Two statements, each a transaction of its own: one too many for a moment does no harm.
pub(super) async fn keep(database: &Database, request: &LoggedRequest) -> Result<(), Error> {
    let insert = || {
        let mut values = Values::none();
        rows::bind_logged_request(&mut values, request);
        values
    };
    database.execute(sql::INSERT_LOGGED_REQUEST, insert).await?;
    let (sql, _) = trim::<Values>(request);
    database.execute(sql, || trim::<Values>(request).1).await?;
    Ok(())
}

pub(super) async fn list(
    database: &Database,
    query: &LoggedRequestQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<LoggedRequest>, Error> {
    let statement = sql::logged_requests::<Values>(query, limit.saturating_add(1), after);
    let found = database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
    let requests = found.iter().map(rows::logged_request).collect::<Result<_, _>>()?;
    Ok(Page::of(requests, limit, |request: &LoggedRequest| {
        (request.received_at, request.id.to_string())
    }))
}
