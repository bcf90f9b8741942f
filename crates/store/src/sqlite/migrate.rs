//! Brings the tables up to date.

use ringback_core::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use super::transaction;
use crate::Error;
use crate::migrations::{self, Migration};

/// Takes the steps that are missing, each in a transaction of its own: a process that dies half-way goes on where it
/// was. A database that is ahead of this version is left alone.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(migrations::CREATE_TABLE).execute(&mut *connection).await?;
    let reached: i64 =
        sqlx::query(migrations::REACHED).fetch_one(&mut *connection).await?.try_get("version")?;
    let known = migrations::newest(migrations::SQLITE);
    if reached > known {
        return Err(Error::TooNew { found: reached, known });
    }
    for migration in migrations::SQLITE.iter().filter(|migration| migration.version > reached) {
        transaction::begin(connection).await?;
        let taken = take(connection, migration, now).await;
        transaction::end(connection, taken.map(Some)).await?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "database schema brought up to date"
        );
    }
    Ok(())
}

async fn take(
    connection: &mut SqliteConnection,
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
