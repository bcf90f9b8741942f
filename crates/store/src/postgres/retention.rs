//! History, changed and deleted afterwards.

use std::collections::HashSet;

use ringback_core::delivery::{CancelReason, Delivery};
use ringback_core::{Account, CallbackId, EventId, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, Row as _};

use super::connection::{Database, in_time};
use super::partitions::{self, Dropped, HAS_PENDING, day_of};
use super::statements;
use super::values::{Id, Values};
use crate::port::DeliveryKey;
use crate::{Error, rows, sql};

pub(super) async fn cancel_pending(
    database: &Database,
    callback: CallbackId,
    reason: CancelReason,
    now: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    let values = || {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Values::none().and(reason.as_str()).and(now.ms()).and(Id(callback.uuid())).and(limit)
    };
    let cancelled = database.execute(statements::CANCEL_PENDING, values).await?;
    Ok(usize::try_from(cancelled).unwrap_or(usize::MAX))
}

pub(super) async fn cancel_delivery(
    database: &Database,
    delivery: DeliveryKey,
    reason: CancelReason,
    now: Timestamp,
) -> Result<bool, Error> {
    let values = || {
        let (id, day) = (Id(delivery.id.uuid()), day_of(delivery.created_at));
        Values::none().and(reason.as_str()).and(now.ms()).and(id).and(day)
    };
    Ok(database.execute(statements::CANCEL_DELIVERY, values).await? > 0)
}

pub(super) async fn cancel_event(
    database: &Database,
    (event, account): (EventId, Account),
    reason: CancelReason,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CallbackId>, Error> {
    let values = || {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = Values::none().and(reason.as_str()).and(now.ms()).and(Id(event.uuid()));
        values.and(account.as_str()).and(limit)
    };
    let cancelled = database.change(statements::CANCEL_EVENT, values).await?;
    cancelled.iter().map(rows::callback_of_delivery).collect()
}

pub(super) async fn let_go(
    database: &Database,
    as_read: &[Delivery],
    now: Timestamp,
) -> Result<(), Error> {
    let values = || {
        let each = |value: fn(&Delivery) -> i64| as_read.iter().map(value).collect::<Vec<_>>();
        Values::none()
            .and(now.ms())
            .and(as_read.iter().map(|delivery| Id(delivery.id.uuid())).collect::<Vec<_>>())
            .and(each(|delivery| delivery.created_at.ms()))
            .and(each(|delivery| delivery.updated_at.ms()))
            .and(each(|delivery| day_of(delivery.created_at).into()))
    };
    database.execute(statements::LET_GO, values).await.map(|_| ())
}

pub(super) async fn delete_history(
    database: &Database,
    accepted_before: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    let deleted = delete_step(database, day_of(accepted_before), limit).await?;
    // Once for all steps: the last one finds nothing.
    if deleted == 0 {
        for old in sql::DELETE_OLD {
            database.execute(old, || Values::none().and(accepted_before.ms())).await?;
        }
    }
    Ok(deleted)
}

/// Goes through the days before this one, oldest first: drops the first one that has nothing pending, or deletes from the
/// first one that has anything to delete besides.
async fn delete_step(database: &Database, end: i32, limit: usize) -> Result<usize, Error> {
    let mut held = database.hold().await?;
    let partitions = partitions::days(&mut held).await?;
    held.done();
    for day in partitions.into_keys().filter(|day| *day < end) {
        let deleted = if has_pending(database, day).await? {
            delete_events(database, day, limit).await?
        } else {
            match partitions::drop_day(database, day).await? {
                Dropped::Yes(events) => events,
                Dropped::No => 0,
                Dropped::Busy => {
                    tracing::info!(
                        "somebody reads the history all the time: it is not deleted now"
                    );
                    return Ok(0);
                }
            }
        };
        if deleted > 0 {
            return Ok(deleted);
        }
    }
    for row in database.rows(statements::STRAY_DAYS, Values::none().and(end)).await? {
        let deleted = delete_events(database, row.try_get("day")?, limit).await?;
        if deleted > 0 {
            return Ok(deleted);
        }
    }
    Ok(0)
}

async fn has_pending(database: &Database, day: i32) -> Result<bool, Error> {
    let rows = database.rows(HAS_PENDING, Values::none().and(day)).await?;
    Ok(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("has_pending")?)
}

/// Deletes events of a day that have no pending delivery, and what belongs to them. The deliveries are locked before they
/// are asked whether they are pending: a retry by hand may just be making one so.
async fn delete_events(database: &Database, day: i32, limit: usize) -> Result<usize, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    in_time(async {
        let mut held = database.hold().await?;
        let mut transaction = held.begin().await?;
        let mut events = HashSet::new();
        let found = sqlx::query(statements::DELETABLE_EVENTS).bind(day).bind(limit);
        for row in found.fetch_all(&mut *transaction).await? {
            events.insert((row.try_get("id")?, row.try_get("account")?));
        }
        let ids: Vec<Id> = events.iter().map(|(id, _): &EventKey| *id).collect();
        let locked = sqlx::query(statements::LOCK_DELIVERIES).bind(day).bind(ids);
        let locked = locked.fetch_all(&mut *transaction).await?;
        let locked = locked.iter().map(locked_delivery).collect::<Result<Vec<_>, _>>()?;
        for (_, event, pending) in &locked {
            if *pending {
                events.remove(event);
            }
        }
        let gone = locked.iter().filter(|(_, event, _)| events.contains(event));
        let deliveries: Vec<Id> = gone.map(|(id, ..)| *id).collect();
        let (ids, accounts): (Vec<Id>, Vec<&str>) =
            events.iter().map(|(id, account)| (*id, &**account)).unzip();
        for sql in statements::DELETE_DELIVERIES {
            sqlx::query(sql).bind(day).bind(&deliveries).execute(&mut *transaction).await?;
        }
        let deleted = sqlx::query(statements::DELETE_EVENTS).bind(day).bind(ids).bind(accounts);
        let deleted = deleted.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        held.done();
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    })
    .await
}

/// An event's id and account.
type EventKey = (Id, String);

/// Its id, its event, and whether it is pending.
fn locked_delivery(row: &PgRow) -> Result<(Id, EventKey, bool), Error> {
    let event = (row.try_get("event_id")?, row.try_get("account")?);
    Ok((row.try_get("id")?, event, row.try_get::<&str, _>("status")? == "pending"))
}
