//! What an operator should know of the database.

use ringback_core::Timestamp;
use ringback_runtime::Clock;
use sqlx::Row as _;

use super::Settings;
use super::connection::Database;
use super::values::Values;
use crate::{Error, migrations};

/// What an operator should know of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the server, such as `15.8`.
    pub version: String,
    /// Of the tables; 0: there are none yet.
    pub schema: i64,
    /// The newest schema that this version of Ringback knows.
    pub schema_known: i64,
    /// How far its clock is ahead of this machine's, in milliseconds; negative: behind. As exact as a round trip is short.
    pub clock_ahead_ms: i64,
    /// Events in the default partition: their days had none when they were recorded. More than a few: some clock is wrong.
    pub stray_events: i64,
    /// `off`: what was committed may be lost, or the database broken, when the machine loses power.
    pub fsync: String,
    /// `off`: what was recorded last may be lost when the server dies.
    pub synchronous_commit: String,
    /// Connections that it takes in all.
    pub connections_max: i64,
}

/// Asks a database, and changes nothing there.
///
/// # Errors
/// [`Error`] if it can't be reached, or does not let us in.
pub async fn facts(settings: &Settings, clock: &dyn Clock) -> Result<Facts, Error> {
    let database = Database::open(settings).await?;
    let facts = read(&database, clock).await;
    database.pool().close().await;
    facts
}

pub(super) async fn read(database: &Database, clock: &dyn Clock) -> Result<Facts, Error> {
    let before = clock.now();
    let row = database.rows(FACTS, Values::none()).await?;
    let after = clock.now();
    let row = row.first().ok_or(sqlx::Error::RowNotFound)?;
    let is_new: bool = row.try_get("is_new")?;
    let schema_known = migrations::newest(migrations::POSTGRES);
    let schema = if is_new { 0 } else { number(database, migrations::REACHED).await? };
    // What a newer version has made of the table is not known.
    let has_our_tables = 0 < schema && schema <= schema_known;
    let stray_events = if has_our_tables { number(database, STRAY_EVENTS).await? } else { 0 };
    Ok(Facts {
        version: row.try_get("version")?,
        schema,
        schema_known,
        stray_events,
        clock_ahead_ms: row.try_get::<i64, _>("now_ms")? - middle(before, after).ms(),
        fsync: row.try_get("fsync")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        connections_max: row.try_get("connections_max")?,
    })
}

/// The one number that a query gives.
async fn number(database: &Database, sql: &'static str) -> Result<i64, Error> {
    let rows = database.rows(sql, Values::none()).await?;
    Ok(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?)
}

fn middle(before: Timestamp, after: Timestamp) -> Timestamp {
    before + after.since(before) / 2
}

const FACTS: &str = "SELECT current_setting('server_version') AS version, \
     floor(extract(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS now_ms, \
     to_regclass('schema_migration') IS NULL AS is_new, current_setting('fsync') AS fsync, \
     current_setting('synchronous_commit') AS synchronous_commit, \
     current_setting('max_connections')::BIGINT AS connections_max";

const STRAY_EVENTS: &str = "SELECT COUNT(*) FROM event_default";
