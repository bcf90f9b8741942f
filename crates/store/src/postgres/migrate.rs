//! Brings the tables up to date, however many processes start at once.

use ringback_core::Timestamp;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::connection::Database;
use super::{Settings, partitions};
use crate::Error;
use crate::migrations::{self, Migration};

/// What bringing the tables up to date came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The schema before; 0: there was none.
    pub from: i64,
    /// The schema now.
    pub to: i64,
    /// The steps taken, by name.
    pub steps: Vec<&'static str>,
    /// Days that partitions were made for.
    pub days: usize,
}

/// Brings the tables of a database up to date, and makes the partitions of the next days. Nothing is done twice, and
/// processes that do it at the same time wait for each other.
///
/// # Errors
/// [`Error::TooNew`] if a newer version has changed the tables: nothing is touched then. [`Error::Refused`] says what is
/// wrong with address or database, [`Error::Unavailable`] that it can't be reached now.
pub async fn migrate(settings: &Settings, now: Timestamp) -> Result<Migrated, Error> {
    let database = Database::open(settings).await?;
    let migrated = in_database(&database, now).await;
    database.pool().close().await;
    migrated
}

pub(super) async fn in_database(database: &Database, now: Timestamp) -> Result<Migrated, Error> {
    let mut migrated = tables(&mut database.connect().await?, now).await?;
    migrated.days = partitions::make_ahead_patiently(database, now).await?;
    Ok(migrated)
}

/// All steps in one transaction: PostgreSQL's changes of tables are as much a part of it as rows.
async fn tables(connection: &mut PgConnection, now: Timestamp) -> Result<Migrated, Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).bind(LOCK_KEY).execute(&mut *transaction).await?;
    let new = sqlx::query(IS_NEW).fetch_one(&mut *transaction).await?.try_get("is_new")?;
    if new {
        sqlx::query(migrations::CREATE_TABLE).execute(&mut *transaction).await?;
    }
    let row = sqlx::query(migrations::REACHED).fetch_one(&mut *transaction).await?;
    let reached: i64 = row.try_get("version")?;
    let known = migrations::newest(migrations::POSTGRES);
    if reached > known {
        return Err(Error::TooNew { found: reached, known });
    }
    let mut migrated = Migrated { from: reached, to: known, steps: Vec::new(), days: 0 };
    for migration in migrations::POSTGRES.iter().filter(|migration| migration.version > reached) {
        take(&mut transaction, migration, now).await?;
        migrated.steps.push(migration.name);
    }
    transaction.commit().await?;
    for name in &migrated.steps {
        tracing::info!(name, "database schema brought up to date");
    }
    Ok(migrated)
}

async fn take(
    connection: &mut PgConnection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::raw_sql(migration.sql).execute(&mut *connection).await?;
    sqlx::query(migrations::REMEMBER)
        .bind(migration.version)
        .bind(migration.name)
        .bind(now.ms())
        .execute(connection)
        .await?;
    Ok(())
}

/// Held to the end of the transaction by whoever changes tables.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
/// Which lock: "ringback" in ASCII.
pub(super) const LOCK_KEY: i64 = 0x7269_6e67_6261_636b;
/// Asked before the table is made: a database that is left alone is left alone whole.
const IS_NEW: &str = "SELECT to_regclass('schema_migration') IS NULL AS is_new";
