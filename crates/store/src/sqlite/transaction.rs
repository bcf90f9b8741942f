//! Transactions of the connection that writes, opened and closed by hand: SQLite ends one by itself on some errors (a full
//! disk is one), and sqlx's own count of open transactions does not notice, after which it refuses to begin another.

use sqlx::SqliteConnection;

use crate::Error;

/// Begins a transaction. [`end`] has to follow, so whoever calls this must not be dropped in between: see
/// [`Writes`](crate::writes::Writes).
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), Error> {
    // IMMEDIATE: it is going to write, and must not find out half-way that it may not.
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Commits what was written. Rolls back if it failed, or if there is nothing (`Ok(None)`) to keep.
pub(super) async fn end<T>(
    connection: &mut SqliteConnection,
    written: Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let ended = match written {
        Ok(Some(value)) => {
            let committed = sqlx::query("COMMIT").execute(&mut *connection).await;
            committed.map(|_| Some(value)).map_err(Error::from)
        }
        nothing => nothing,
    };
    if !matches!(ended, Ok(Some(_)))
        && let Err(error) = sqlx::query("ROLLBACK").execute(connection).await
    {
        tracing::debug!(%error, "nothing left to roll back");
    }
    ended
}
