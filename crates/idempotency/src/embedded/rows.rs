//! The table of request keys and its statements.

use ringback_core::Timestamp;
use ringback_sqlite::{Error, Script};
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::requests::{Change, Write};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS request_key (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        mark TEXT NOT NULL,
        answer TEXT,
        expires_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS request_key_expires ON request_key (expires_ms);";

/// A request as it is found on disk.
#[derive(Debug)]
pub(super) struct Stored {
    pub fingerprint: String,
    pub mark: String,
    pub answer: Option<String>,
    pub expires: Timestamp,
}

pub(super) async fn set_up(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SCHEMA).execute(connection).await?;
    Ok(())
}

pub(super) async fn find(readers: &SqlitePool, key: &str) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query("SELECT fingerprint, mark, answer, expires_ms FROM request_key WHERE key = $1")
        .bind(key)
        .fetch_optional(readers)
        .await?
        .map(|row| {
            Ok(Stored {
                fingerprint: row.try_get(0)?,
                mark: row.try_get(1)?,
                answer: row.try_get(2)?,
                expires: Timestamp::from_ms(row.try_get(3)?),
            })
        })
        .transpose()
}

pub(super) fn write(script: &mut Script<'_>, changes: &[Change]) -> Result<(), Error> {
    const PUT: &str =
        "INSERT INTO request_key (key, fingerprint, mark, answer, expires_ms) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, mark = excluded.mark,
        answer = excluded.answer, expires_ms = excluded.expires_ms";

    changes.iter().try_for_each(|Change { key, write, .. }| match write {
        Write::Put { fingerprint, mark, answer, expires } => script.run(PUT, |values| {
            values
                .text(Some(key))
                .text(Some(fingerprint))
                .text(Some(mark))
                .text(answer.as_deref())
                .number(Some(expires.ms()));
        }),
        Write::Remove => script.run("DELETE FROM request_key WHERE key = ?", |values| {
            values.text(Some(key));
        }),
    })
}

/// Deletes keys that have expired, up to a limit; how many it were.
pub(super) async fn delete_expired(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: usize,
) -> Result<usize, sqlx::Error> {
    let deleted = sqlx::query(
        "DELETE FROM request_key WHERE key IN
            (SELECT key FROM request_key WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)",
    )
    .bind(now.ms())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(usize::try_from(deleted.rows_affected()).unwrap_or(usize::MAX))
}
