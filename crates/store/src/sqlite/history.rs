//! History, read.

use std::sync::Arc;

use ringback_core::delivery::{Attempt, Delivery};
use ringback_core::{Account, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use ringback_sqlite::Database;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteExecutor};

use super::values::Values;
use crate::port::{Backlog, DeliveryKey, OVERDUE_AFTER, Parked, Recorded};
use crate::rows::Bind as _;
use crate::search::Searching;
use crate::sql::Statement;
use crate::{Cursor, DeliveryQuery, Error, EventQuery, EventSearch, EventsFound, Page, rows, sql};

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
    read_delivery(database.readers(), id).await
}

/// One transaction of a connection that only reads: it sees what was committed when it read first.
pub(super) async fn delivery_with_attempts(
    database: &Database,
    id: DeliveryId,
) -> Result<Option<(Delivery, Vec<Attempt>)>, Error> {
    let mut transaction = database.readers().begin().await?;
    let delivery = read_delivery(&mut *transaction, id).await?;
    let sql = format!(
        "SELECT {} FROM attempt WHERE delivery_id = $1 ORDER BY number",
        sql::ATTEMPT_COLUMNS
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string());
    let found = found.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let attempts = found.iter().map(rows::attempt).collect::<Result<_, _>>()?;
    Ok(delivery.map(|delivery| (delivery, attempts)))
}

async fn read_delivery(
    database: impl SqliteExecutor<'_>,
    id: DeliveryId,
) -> Result<Option<Delivery>, Error> {
    let sql = format!("SELECT {} FROM delivery WHERE id = $1", sql::DELIVERY_COLUMNS);
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(database).await?;
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

/// The function that says at which place a text holds another one; 0: it does not.
const FINDS: &str = "instr";

pub(super) async fn search_events(
    database: &Database,
    search: &EventSearch,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<EventsFound, Error> {
    let mut searching = Searching::new(search, limit, after);
    if let Some(statement) = searching.bound_statement() {
        let bound = rows_of(database, statement).await?;
        let bound = bound.first().map(|row| row.try_get("accepted_at_ms")).transpose()?;
        searching.bounded(bound.map(Timestamp::from_ms));
    }
    while let Some(statement) = searching.next_statement(FINDS) {
        let found = rows_of(database, statement).await?;
        searching.take(found.iter().map(rows::event).collect::<Result<_, _>>()?);
    }
    Ok(searching.end())
}

pub(super) async fn count_deliveries(
    database: &Database,
    query: &DeliveryQuery,
    max: u32,
) -> Result<u64, Error> {
    let found = rows_of(database, sql::count_deliveries(query, max)).await?;
    let total: i64 = found.first().ok_or(sqlx::Error::RowNotFound)?.try_get("total")?;
    Ok(total.unsigned_abs())
}

pub(super) async fn oldest_pending(
    database: &Database,
    account: Option<&Account>,
) -> Result<Option<Timestamp>, Error> {
    let found = rows_of(database, sql::oldest_pending(account)).await?;
    let oldest = found.first().map(|row| row.try_get("created_at_ms")).transpose()?;
    Ok(oldest.map(Timestamp::from_ms))
}

pub(super) async fn ahead(
    database: &Database,
    callback: CallbackId,
    limit: usize,
) -> Result<Vec<Delivery>, Error> {
    let found = rows_of(database, sql::ahead(callback, limit)).await?;
    found.iter().map(rows::delivery).collect()
}

pub(super) async fn open_circuits(
    database: &Database,
    of: &[CallbackId],
) -> Result<Vec<CallbackId>, Error> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Values::default();
    of.iter().for_each(|callback| values.id(callback.uuid()));
    let statement = sqlx::query_with(AssertSqlSafe(open_circuits_of(of.len())), values.0);
    let found = statement.fetch_all(database.readers()).await?;
    found.iter().map(rows::callback_of_delivery).collect()
}

pub(super) fn open_circuits_of(callbacks: usize) -> String {
    sql::open_circuits(&format!("VALUES {}", vec!["(?)"; callbacks].join(",")))
}

pub(super) async fn last_outcomes(
    database: &Database,
    of: &[Delivery],
) -> Result<Vec<Option<Outcome>>, Error> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Values::default();
    for (place, delivery) in of.iter().enumerate() {
        values.number(i64::try_from(place).ok());
        values.id(delivery.id.uuid());
        values.number(Some(delivery.attempts.into()));
    }
    let statement = sqlx::query_with(AssertSqlSafe(last_outcomes_of(of.len())), values.0);
    rows::last_outcomes(&statement.fetch_all(database.readers()).await?, of.len())
}

pub(super) fn last_outcomes_of(deliveries: usize) -> String {
    let asked = format!("VALUES {}", vec!["(?,?,?)"; deliveries].join(","));
    let joined_by = "delivery_id = asked.id AND number = asked.attempts";
    sql::last_outcomes("place, id, attempts", &asked, joined_by)
}

async fn rows_of(
    database: &Database,
    statement: Statement<Values>,
) -> Result<Vec<SqliteRow>, Error> {
    let found = sqlx::query_with(AssertSqlSafe(statement.sql), statement.values.0);
    Ok(found.fetch_all(database.readers()).await?)
}
