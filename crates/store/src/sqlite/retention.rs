//! History, changed and deleted afterwards.

use std::sync::Arc;

use ringback_core::delivery::{CancelReason, Delivery};
use ringback_core::{Account, CallbackId, EventId, Timestamp};
use ringback_sqlite::Database;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::transaction;
use super::values::Values;
use crate::Error;
use crate::port::DeliveryKey;
use crate::rows;
use crate::sql::{self, Statement};

/// Rows named in one statement.
const NAMED_ROWS_MAX: usize = 100;

pub(super) async fn delete_history(
    database: &Database,
    accepted_before: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    let deleted = delete_step(database, accepted_before, limit).await?;
    // Once for all steps: the last one finds nothing.
    if deleted == 0 {
        for old in sql::DELETE_OLD {
            let old = sqlx::query(old).bind(accepted_before.ms());
            old.execute(&mut *database.writer().await).await?;
        }
    }
    Ok(deleted)
}

/// Looks for the events on a connection that only reads, however long old events with pending deliveries make that, and
/// holds the writer only to delete them.
async fn delete_step(
    database: &Database,
    accepted_before: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    let found = sqlx::query(sql::DELETABLE_EVENTS)
        .bind(accepted_before.ms())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(database.readers())
        .await?;
    let found = found.iter().map(event_key).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Ok(0);
    }
    let mut writer = database.writer().await;
    transaction::begin(&mut writer).await?;
    let deleted = delete_chunks(&mut writer, &found).await;
    transaction::end(&mut writer, deleted.map(Some)).await.map(Option::unwrap_or_default)
}

pub(super) async fn cancel_pending(
    database: &Database,
    callback: CallbackId,
    reason: CancelReason,
    now: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    // One statement is a transaction of its own.
    let cancelled = sqlx::query(sql::CANCEL_PENDING)
        .bind(reason.as_str())
        .bind(now.ms())
        .bind(callback.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .execute(&mut *database.writer().await)
        .await?;
    Ok(usize::try_from(cancelled.rows_affected()).unwrap_or(usize::MAX))
}

pub(super) async fn cancel_delivery(
    database: &Database,
    delivery: DeliveryKey,
    reason: CancelReason,
    now: Timestamp,
) -> Result<bool, Error> {
    let cancelled = sqlx::query(sql::CANCEL_DELIVERY)
        .bind(reason.as_str())
        .bind(now.ms())
        .bind(delivery.id.to_string())
        .execute(&mut *database.writer().await)
        .await?;
    Ok(cancelled.rows_affected() > 0)
}

pub(super) async fn cancel_event(
    database: &Database,
    (event, account): (EventId, Account),
    reason: CancelReason,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CallbackId>, Error> {
    let cancelled = sqlx::query(sql::CANCEL_EVENT)
        .bind(reason.as_str())
        .bind(now.ms())
        .bind(event.to_string())
        .bind(account.as_str())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *database.writer().await)
        .await?;
    cancelled.iter().map(rows::callback_of_delivery).collect()
}

pub(super) async fn let_go(
    database: &Database,
    as_read: &[Delivery],
    now: Timestamp,
) -> Result<(), Error> {
    let mut writer = database.writer().await;
    transaction::begin(&mut writer).await?;
    let written = let_each_go(&mut writer, as_read, now).await;
    transaction::end(&mut writer, written.map(Some)).await.map(|_| ())
}

async fn let_each_go(
    connection: &mut SqliteConnection,
    as_read: &[Delivery],
    now: Timestamp,
) -> Result<(), Error> {
    for delivery in as_read {
        sqlx::query(sql::LET_GO)
            .bind(now.ms())
            .bind(delivery.id.to_string())
            .bind(delivery.created_at.ms())
            .bind(delivery.updated_at.ms())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn delete_chunks(
    connection: &mut SqliteConnection,
    events: &[EventKey],
) -> Result<usize, Error> {
    let mut deleted = 0;
    for events in events.chunks(NAMED_ROWS_MAX) {
        deleted += delete_events(connection, events).await?;
    }
    Ok(deleted)
}

/// An event's id and account.
type EventKey = (Arc<str>, Arc<str>);

async fn delete_events(
    connection: &mut SqliteConnection,
    events: &[EventKey],
) -> Result<usize, Error> {
    let rows = returned(connection, sql::delete_events(events)).await?;
    let events = rows.iter().map(event_key).collect::<Result<Vec<_>, _>>()?;
    if events.is_empty() {
        return Ok(0);
    }
    let rows = returned(connection, sql::delete_deliveries(&events)).await?;
    let deliveries = rows.iter().map(|row| text(row, "id")).collect::<Result<Vec<_>, _>>()?;
    for deliveries in deliveries.chunks(NAMED_ROWS_MAX) {
        returned(connection, sql::delete_attempts(deliveries)).await?;
    }
    Ok(events.len())
}

async fn returned(
    connection: &mut SqliteConnection,
    statement: Statement<Values>,
) -> Result<Vec<SqliteRow>, Error> {
    let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
        // A text for every number of rows: keeping them all would push out those of the hot path.
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

fn event_key(row: &SqliteRow) -> Result<EventKey, Error> {
    Ok((text(row, "id")?, text(row, "account")?))
}

fn text(row: &SqliteRow, column: &str) -> Result<Arc<str>, Error> {
    Ok(row.try_get::<&str, _>(column)?.into())
}
