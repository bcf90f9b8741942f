//! History, read.

use std::sync::Arc;

use ringback_core::delivery::{Attempt, Delivery};
use ringback_core::{Account, CallbackId, DeliveryId, Event, EventId, Timestamp};
use ringback_sqlite::Database;
use sqlx::AssertSqlSafe;

use super::values::Values;
use crate::port::{Backlog, DeliveryKey, OVERDUE_AFTER, Parked, Recorded};
use crate::{Cursor, DeliveryQuery, Error, EventQuery, Page, rows, sql};

/// Ids asked for in one statement.
const RECORDED_IDS_MAX: usize = 500;

pub(super) async fn parked(
    database: &Database,
    callback: CallbackId,
    limit: usize,
) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query(sql::PARKED)
        .bind(callback.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(database.readers())
        .await?;
    rows.iter().map(rows::parked).collect()
}

/// The indexes are named: among those that serve, its planner takes the one with the most columns.
const BACKLOG: sql::BacklogParts = sql::BacklogParts {
    by_due: " INDEXED BY delivery_due",
    by_age: " INDEXED BY delivery_waiting",
    by_callback: " INDEXED BY delivery_parked",
    callback_id: "callback.id",
    joined_by: "",
};

pub(super) async fn backlog(database: &Database, now: Timestamp) -> Result<Backlog, Error> {
    let rows = sqlx::query(AssertSqlSafe(sql::backlog(BACKLOG)))
        .bind(now.ms())
        .bind((now - OVERDUE_AFTER).ms())
        .fetch_all(database.readers())
        .await?;
    rows::backlog(&rows, now)
}

pub(super) async fn recorded(
    database: &Database,
    deliveries: &[DeliveryKey],
) -> Result<Vec<Recorded>, Error> {
    let mut found = Vec::new();
    for chunk in deliveries.chunks(RECORDED_IDS_MAX) {
        let ids: Vec<Arc<str>> = chunk.iter().map(|key| key.id.to_string().into()).collect();
        let statement = sql::recorded::<Values>(&ids);
        let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
            // A text for every number of ids: keeping them all would push out what is used often.
            .persistent(false)
            .fetch_all(database.readers())
            .await?;
        for row in &rows {
            found.push(rows::recorded(row)?);
        }
    }
    Ok(found)
}

pub(super) async fn event(
    database: &Database,
    id: EventId,
    account: Option<&Account>,
) -> Result<Option<Event>, Error> {
    let statement = sql::event::<Values>(id, account);
    let row = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
        .fetch_optional(database.readers())
        .await?;
    row.map(|row| rows::event(&row)).transpose()
}

pub(super) async fn events(
    database: &Database,
    query: &EventQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<Event>, Error> {
    let statement = sql::events::<Values>(query, limit.saturating_add(1), after);
    let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
        .fetch_all(database.readers())
        .await?;
    let events = rows.iter().map(rows::event).collect::<Result<_, _>>()?;
    Ok(Page::of(events, limit, |event: &Event| (event.accepted_at, event.id.to_string())))
}

pub(super) async fn delivery(
    database: &Database,
    id: DeliveryId,
) -> Result<Option<Delivery>, Error> {
    let sql = format!("SELECT {} FROM delivery WHERE id = $1", sql::DELIVERY_COLUMNS);
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .fetch_optional(database.readers())
        .await?;
    row.map(|row| rows::delivery(&row)).transpose()
}

pub(super) async fn deliveries(
    database: &Database,
    query: &DeliveryQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<Delivery>, Error> {
    let statement = sql::deliveries::<Values>(query, limit.saturating_add(1), after);
    let rows = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0)
        .fetch_all(database.readers())
        .await?;
    let deliveries = rows.iter().map(rows::delivery).collect::<Result<_, _>>()?;
    Ok(Page::of(deliveries, limit, |delivery: &Delivery| {
        (delivery.created_at, delivery.id.to_string())
    }))
}

pub(super) async fn attempts(
    database: &Database,
    delivery: DeliveryId,
) -> Result<Vec<Attempt>, Error> {
    let sql = format!(
        "SELECT {} FROM attempt WHERE delivery_id = $1 ORDER BY number",
        sql::ATTEMPT_COLUMNS
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(delivery.to_string())
        .fetch_all(database.readers())
        .await?;
    rows.iter().map(rows::attempt).collect()
}
