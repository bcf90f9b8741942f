//! History, read.

use std::collections::BTreeMap;

use ringback_core::delivery::{Attempt, Delivery};
use ringback_core::{Account, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::arrays::Arrays;
use super::connection::{Database, in_time};
use super::partitions::day_of;
use super::statements;
use super::values::{Id, Values};
use crate::port::{Backlog, DeliveryKey, OVERDUE_AFTER, Parked, Recorded};
use crate::rows::Bind as _;
use crate::search::Searching;
use crate::sql::Statement;
use crate::{Cursor, DeliveryQuery, Error, EventQuery, EventSearch, EventsFound, Page, rows, sql};

/// Asks once for each day: usually there is one, or two around midnight.
pub(super) async fn recorded(
    database: &Database,
    deliveries: &[DeliveryKey],
) -> Result<Vec<Recorded>, Error> {
    let mut days = BTreeMap::<i32, Vec<Id>>::new();
    for key in deliveries {
        days.entry(day_of(key.created_at)).or_default().push(Id(key.id.uuid()));
    }
    let mut recorded = Vec::new();
    for (day, ids) in days {
        let values = Values::none().and(day).and(ids);
        for row in &database.rows(statements::RECORDED, values).await? {
            recorded.push(rows::recorded(row)?);
        }
    }
    Ok(recorded)
}

pub(super) async fn backlog(database: &Database, now: Timestamp) -> Result<Backlog, Error> {
    let values = Values::none().and(now.ms()).and((now - OVERDUE_AFTER).ms());
    let sql = AssertSqlSafe(sql::backlog(statements::BACKLOG));
    rows::backlog(&database.rows(sql, values).await?, now)
}

pub(super) async fn parked(
    database: &Database,
    callback: CallbackId,
    limit: usize,
) -> Result<Vec<Parked>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = Values::none().and(Id(callback.uuid())).and(limit);
    let found = database.rows(statements::PARKED, values).await?;
    found.iter().map(rows::parked).collect()
}

pub(super) async fn event(
    database: &Database,
    id: EventId,
    account: Option<&Account>,
) -> Result<Option<Event>, Error> {
    let statement = sql::event::<Values>(id, account);
    let found = database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
    found.first().map(rows::event).transpose()
}

pub(super) async fn events(
    database: &Database,
    query: &EventQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<Event>, Error> {
    let statement = sql::events::<Values>(query, limit.saturating_add(1), after);
    let found = database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
    let events = found.iter().map(rows::event).collect::<Result<_, _>>()?;
    Ok(Page::of(events, limit, |event: &Event| (event.accepted_at, event.id.to_string())))
}

pub(super) async fn delivery(
    database: &Database,
    id: DeliveryId,
) -> Result<Option<Delivery>, Error> {
    let values = Values::none().and(Id(id.uuid()));
    let found = database.rows(AssertSqlSafe(delivery_sql()), values).await?;
    found.first().map(rows::delivery).transpose()
}

/// The newest, should the producer have sent the event again on another day, after its id was forgotten.
fn delivery_sql() -> String {
    let columns = sql::DELIVERY_COLUMNS;
    format!("SELECT {columns} FROM delivery WHERE id = $1 ORDER BY day DESC LIMIT 1")
}

/// Begins a transaction all of whose statements see what was committed when the first of them read.
const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) async fn delivery_with_attempts(
    database: &Database,
    id: DeliveryId,
) -> Result<Option<(Delivery, Vec<Attempt>)>, Error> {
    let attempts = format!(
        "SELECT {} FROM attempt WHERE delivery_id = $1 ORDER BY day, number",
        sql::ATTEMPT_COLUMNS
    );
    in_time(async {
        let mut held = database.hold().await?;
        let mut moment = held.begin_with(ONE_MOMENT).await?;
        let id = Id(id.uuid());
        let delivery = sqlx::query(AssertSqlSafe(delivery_sql())).bind(id);
        let delivery = delivery.fetch_optional(&mut *moment).await?;
        let attempts = sqlx::query(AssertSqlSafe(attempts)).bind(id);
        let attempts = attempts.fetch_all(&mut *moment).await?;
        moment.commit().await?;
        held.done();
        let Some(delivery) = delivery.as_ref().map(rows::delivery).transpose()? else {
            return Ok(None);
        };
        let attempts = attempts.iter().map(rows::attempt).collect::<Result<_, _>>()?;
        Ok(Some((delivery, attempts)))
    })
    .await
}

pub(super) async fn deliveries(
    database: &Database,
    query: &DeliveryQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Result<Page<Delivery>, Error> {
    let statement = sql::deliveries::<Values>(query, limit.saturating_add(1), after);
    let found = database.rows(AssertSqlSafe(statement.sql), statement.values).await?;
    let deliveries = found.iter().map(rows::delivery).collect::<Result<_, _>>()?;
    Ok(Page::of(deliveries, limit, |delivery: &Delivery| {
        (delivery.created_at, delivery.id.to_string())
    }))
}

/// The function that says at which place a text holds another one; 0: it does not.
const FINDS: &str = "strpos";

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
    let sql = AssertSqlSafe(statements::open_circuits());
    let found = database.rows(sql, callbacks(of)).await?;
    found.iter().map(rows::callback_of_delivery).collect()
}

pub(super) fn callbacks(of: &[CallbackId]) -> Values {
    let ids: Vec<_> = of.iter().map(|callback| Id(callback.uuid())).collect();
    Values::none().and(ids)
}

pub(super) async fn last_outcomes(
    database: &Database,
    of: &[Delivery],
) -> Result<Vec<Option<Outcome>>, Error> {
    let found =
        database.rows(AssertSqlSafe(statements::last_outcomes()), last_attempts(of)).await?;
    rows::last_outcomes(&found, of.len())
}

pub(super) fn last_attempts(of: &[Delivery]) -> Values {
    let mut arrays = Arrays::of(statements::LAST_ATTEMPTS);
    for (place, delivery) in of.iter().enumerate() {
        arrays.number(i64::try_from(place).ok());
        arrays.id(delivery.id.uuid());
        arrays.number(Some(delivery.attempts.into()));
        arrays.day(day_of(delivery.created_at));
    }
    arrays.bind(Values::none())
}

async fn rows_of(database: &Database, statement: Statement<Values>) -> Result<Vec<PgRow>, Error> {
    database.rows(AssertSqlSafe(statement.sql), statement.values).await
}
