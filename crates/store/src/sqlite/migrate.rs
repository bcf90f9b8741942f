//! Brings the tables up to date.

use ringback_core::Timestamp;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::{Error, migrations};

/// Takes the steps that are missing, each in a transaction of its own: a process that dies half-way goes on where it
/// was. A database that is ahead of this version is left alone.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(migrations::CREATE_TABLE)
        .execute(&mut *connection)
        .await?;
    let reached: i64 = sqlx::query(migrations::REACHED)
        .fetch_one(&mut *connection)
        .await?
        .try_get("version")?;
    let known = migrations::ALL
        .last()
        .map_or(0, |migration| migration.version);
    if reached > known {
        return Err(Error::TooNew {
            found: reached,
            known,
        });
    }
    for migration in migrations::ALL
        .iter()
        .filter(|migration| migration.version > reached)
    {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(migration.sql)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(migrations::REMEMBER)
            .bind(migration.version)
            .bind(migration.name)
            .bind(now.ms())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "database schema brought up to date"
        );
    }
    Ok(())
}
