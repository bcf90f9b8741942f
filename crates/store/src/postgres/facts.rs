//! What an operator should know of the database.

use ringback_core::Timestamp;
use ringback_runtime::Clock;
use sqlx::Row as _;

use super::Settings;
use super::connection::Database;
use super::values::Values;
use crate::Error;

/// What an operator should know of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the server, such as `15.8`.
    pub version: String,
    /// Of the tables; 0: there are none yet.
    pub schema: i64,
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
    let tables = if is_new { None } else { database.rows(TABLES, Values::none()).await?.pop() };
    let of_tables =
        |column| tables.as_ref().map_or(Ok(0), |row| sqlx::Row::try_get::<i64, _>(row, column));
    Ok(Facts {
        version: row.try_get("version")?,
        schema: of_tables("schema")?,
        clock_ahead_ms: row.try_get::<i64, _>("now_ms")? - middle(before, after).ms(),
        stray_events: of_tables("stray_events")?,
        fsync: row.try_get("fsync")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        connections_max: row.try_get("connections_max")?,
    })
}

fn middle(before: Timestamp, after: Timestamp) -> Timestamp {
    before + after.since(before) / 2
}

const FACTS: &str = "SELECT current_setting('server_version') AS version, \
     floor(extract(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS now_ms, \
     to_regclass('schema_migration') IS NULL AS is_new, current_setting('fsync') AS fsync, \
     current_setting('synchronous_commit') AS synchronous_commit, \
     current_setting('max_connections')::BIGINT AS connections_max";

const TABLES: &str = "SELECT (SELECT COALESCE(MAX(version), 0) FROM schema_migration) AS schema, \
     (SELECT COUNT(*) FROM event_default) AS stray_events";
