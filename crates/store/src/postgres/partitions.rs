//! The partitions of the history: one for each day (UTC), made ahead, dropped as a whole.
//!
//! **Making one** attaches a table that is ready. `CREATE TABLE … PARTITION OF` would lock the whole table against
//! everybody for a moment, behind which all writers queue as soon as one long query (a backup) is at it; attaching lets
//! them go on and locks the default partition alone, which is empty.
//!
//! **Dropping one** needs that lock (`DETACH … CONCURRENTLY` is refused where there is a default partition). So it is
//! waited for briefly, and tried again later: writers are held up for a second or so, once a day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringback_core::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::connection::{Database, in_time};
use super::error::{is_check_violation, is_lock_timeout};
use super::migrate::{LOCK, LOCK_KEY};
use crate::Error;

/// So that nothing is missed if all processes stand still over a weekend, and clocks may differ.
const DAYS_AHEAD: i32 = 3;
/// What is moved here from further back goes to the default partition: a clock was wrong.
const DAYS_BACK_MAX: i32 = 4_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// What has partitions. Always in this order, which is the order in which recording locks them.
const TABLES: [&str; 3] = ["event", "delivery", "attempt"];
const MAKE_TRIES: u32 = 5;
const DROP_TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The day of a moment, counted from 1970-01-01, UTC.
pub(super) fn day_of(moment: Timestamp) -> i32 {
    let day = moment.ms().div_euclid(DAY_MS);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// Makes the partitions of today and the next days that are not there. Returns for how many days.
pub(super) async fn make_ahead(database: &Database, now: Timestamp) -> Result<usize, Error> {
    let today = day_of(now);
    in_time(async {
        let mut held = database.hold().await?;
        let there = days(&mut held).await?;
        let mut made = 0;
        for day in today..=today.saturating_add(DAYS_AHEAD) {
            if !there.contains_key(&day) {
                made += usize::from(make(&mut held, day).await?);
            }
        }
        held.done();
        Ok(made)
    })
    .await
}

/// The same for a start, which does not fail because of a backup that is under way: rows of a day without a partition
/// go to the default one.
pub(super) async fn make_ahead_patiently(
    database: &Database,
    now: Timestamp,
) -> Result<usize, Error> {
    for _ in 1..MAKE_TRIES {
        match make_ahead(database, now).await {
            Err(error) if error.is_temporary() => tokio::time::sleep(PAUSE).await,
            made => return made,
        }
    }
    match make_ahead(database, now).await {
        Err(error) if error.is_temporary() => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "partitions of the next days can't be made now");
            Ok(0)
        }
        made => made,
    }
}

/// Makes the partitions of these days that are not there, as far as they are days of a history that is kept.
pub(super) async fn make_these(
    database: &Database,
    wanted: &BTreeSet<i32>,
    now: Timestamp,
) -> Result<(), Error> {
    let last = day_of(now).saturating_add(DAYS_AHEAD);
    let first = last.saturating_sub(DAYS_BACK_MAX);
    in_time(async {
        let mut held = database.hold().await?;
        let there = days(&mut held).await?;
        for day in wanted.range(first..=last).filter(|day| !there.contains_key(day)) {
            make(&mut held, *day).await?;
        }
        held.done();
        Ok(())
    })
    .await
}

/// A partition.
pub(super) struct Partition {
    /// Its name, as it stands in a statement.
    name: String,
    /// How many rows it has, roughly; negative: nobody knows.
    rows: i64,
    is_of_events: bool,
}

/// All partitions but the default ones, by their day.
pub(super) async fn days(
    connection: &mut PgConnection,
) -> Result<BTreeMap<i32, Vec<Partition>>, Error> {
    let mut days = BTreeMap::<_, Vec<_>>::new();
    for row in sqlx::query(PARTITIONS).fetch_all(connection).await? {
        let (day, partition) = partition(&row)?;
        days.entry(day).or_default().push(partition);
    }
    Ok(days)
}

fn partition(row: &PgRow) -> Result<(i32, Partition), Error> {
    let name = row.try_get("name")?;
    let rows = row.try_get("rows")?;
    let is_of_events = row.try_get("is_of_events")?;
    Ok((row.try_get("day")?, Partition { name, rows, is_of_events }))
}

/// False if it was there already, or can't be made because the default partition has rows of that day: those stay where
/// they are, and so does what comes.
async fn make(connection: &mut PgConnection, day: i32) -> Result<bool, Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).bind(LOCK_KEY).execute(&mut *transaction).await?;
    sqlx::query(LOCK_PATIENCE).execute(&mut *transaction).await?;
    // Another process may have been faster.
    if days(&mut transaction).await?.contains_key(&day) {
        return Ok(false);
    }
    // As `2026-01-02T00:00:00.000Z`.
    let date = Timestamp::from_ms(i64::from(day) * DAY_MS).to_string();
    let date = date.chars().take(10).map(|c| if c == '-' { '_' } else { c }).collect::<String>();
    for table in TABLES {
        let next = day.saturating_add(1);
        let sql = format!(
            "CREATE TABLE {table}_{date} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
             ALTER TABLE {table} ATTACH PARTITION {table}_{date} FOR VALUES FROM ({day}) TO ({next})"
        );
        let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await;
        if made.as_ref().is_err_and(is_check_violation) {
            tracing::warn!(day = date, table, "rows of a day to come are in the default partition");
            transaction.rollback().await?;
            return Ok(false);
        }
        made?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// What became of a day that was to be dropped.
pub(super) enum Dropped {
    /// It is gone, with about so many events; none: a day that nothing happened on.
    Yes(usize),
    /// It stays: something of it is pending.
    No,
    /// Somebody reads the history all the time.
    Busy,
}

/// Drops a day, unless anything of it is pending.
pub(super) async fn drop_day(database: &Database, day: i32) -> Result<Dropped, Error> {
    for _ in 1..DROP_TRIES {
        match in_time(try_to_drop_day(database, day)).await? {
            Dropped::Busy => tokio::time::sleep(PAUSE).await,
            done => return Ok(done),
        }
    }
    in_time(try_to_drop_day(database, day)).await
}

async fn try_to_drop_day(database: &Database, day: i32) -> Result<Dropped, Error> {
    let mut held = database.hold().await?;
    let mut transaction = held.begin().await?;
    sqlx::query(LOCK).bind(LOCK_KEY).execute(&mut *transaction).await?;
    sqlx::query(LOCK_PATIENCE).execute(&mut *transaction).await?;
    match sqlx::query(LOCK_TABLES).execute(&mut *transaction).await {
        Err(error) if is_lock_timeout(&error) => return Ok(Dropped::Busy),
        locked => locked?,
    };
    let partitions = days(&mut transaction).await?.remove(&day).unwrap_or_default();
    // Asked again now that nobody can change it.
    let pending: bool = sqlx::query(HAS_PENDING)
        .bind(day)
        .fetch_one(&mut *transaction)
        .await?
        .try_get("has_pending")?;
    if partitions.is_empty() || pending {
        return Ok(Dropped::No);
    }
    let names: Vec<&str> = partitions.iter().map(|partition| &*partition.name).collect();
    let sql = format!("DROP TABLE {}", names.join(", "));
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await {
        Err(error) if is_lock_timeout(&error) => return Ok(Dropped::Busy),
        dropped => dropped?,
    };
    transaction.commit().await?;
    held.done();
    let events = partitions.iter().filter(|partition| partition.is_of_events);
    let events = events.map(|partition| usize::try_from(partition.rows).unwrap_or(1)).sum();
    Ok(Dropped::Yes(events))
}

const PARTITIONS: &str = "SELECT c.oid::regclass::TEXT AS name, c.reltuples::BIGINT AS rows, \
     i.inhparent = 'event'::regclass AS is_of_events, \
     substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \\(''?(-?\\d+)')::INTEGER AS day \
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
     WHERE i.inhparent IN ('event'::regclass, 'delivery'::regclass, 'attempt'::regclass) \
     AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'";
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";
/// Of the tables as a whole, and not yet of each partition.
const LOCK_TABLES: &str =
    "LOCK TABLE ONLY event, ONLY delivery, ONLY attempt IN ACCESS EXCLUSIVE MODE";
pub(super) const HAS_PENDING: &str =
    "SELECT EXISTS (SELECT 1 FROM delivery WHERE day = $1 AND status = 'pending') AS has_pending";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_begins_at_midnight_utc() {
        let day = |text: &str| day_of(text.parse().expect("a moment"));
        assert_eq!(day("1970-01-01T00:00:00Z"), 0);
        assert_eq!(day("1970-01-01T23:59:59.999Z"), 0);
        assert_eq!(day("1970-01-02T00:00:00Z"), 1);
        assert_eq!(day("1969-12-31T23:59:59.999Z"), -1);
        assert_eq!(day("2026-01-02T03:04:05.678Z"), 20_455);
        assert_eq!(day_of(Timestamp::from_ms(i64::MAX)), i32::MAX);
    }
}
