//! The tables and their statements.

use ringback_core::Timestamp;
use ringback_core::dispatch::InvalidBundle;
use ringback_sqlite::{Error, Script};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::buffer::{Body, Size, Waiting};
use super::fresh::{Complete, Tail};
use super::returned::DueKey;

/// Ids are given by this adapter and not by SQLite: one process writes, so it can tell them before the rows exist.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS message (
        id INTEGER PRIMARY KEY,
        due_ms INTEGER,
        queued_ms INTEGER NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS message_due ON message (due_ms, id) WHERE due_ms IS NOT NULL;
    CREATE TABLE IF NOT EXISTS poison (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        due_ms INTEGER,
        queued_ms INTEGER NOT NULL,
        payload TEXT NOT NULL,
        reason TEXT NOT NULL,
        set_aside_ms INTEGER NOT NULL
    );";

/// What is on disk when the file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub last_id: u64,
    pub fresh: u64,
    /// When the first of the fresh ones was put on the queue.
    pub oldest_fresh: Option<Timestamp>,
    pub later: u64,
    pub poison: u64,
}

/// A message as it is written.
#[derive(Debug)]
pub(super) struct NewRow {
    pub message: Waiting,
    pub payload: String,
}

/// A message that can't be read.
#[derive(Debug)]
pub(super) struct Poisoned {
    pub id: u64,
    pub reason: InvalidBundle,
    pub at: Timestamp,
}

/// Makes the tables and counts what is in them.
pub(super) async fn set_up(connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
    sqlx::raw_sql(SCHEMA).execute(&mut *connection).await?;
    let row = sqlx::query(
        "SELECT (SELECT COALESCE(MAX(id), 0) FROM message),
                (SELECT COUNT(*) FROM message),
                (SELECT COUNT(*) FROM message WHERE due_ms IS NOT NULL),
                (SELECT queued_ms FROM message WHERE due_ms IS NULL ORDER BY id LIMIT 1),
                (SELECT COUNT(*) FROM poison)",
    )
    .fetch_one(connection)
    .await?;
    let number = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let later = number(2)?;
    Ok(Found {
        last_id: number(0)?,
        fresh: number(1)? - later,
        oldest_fresh: row.try_get::<Option<i64>, _>(3)?.map(Timestamp::from_ms),
        later,
        poison: number(4)?,
    })
}

pub(super) fn insert(script: &mut Script<'_>, rows: &[NewRow]) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO message (id, due_ms, queued_ms, payload) VALUES (?, ?, ?, ?)";
    rows.iter().try_for_each(|NewRow { message, payload }| {
        script.run(INSERT, |values| {
            values
                .number(Some(message.id.cast_signed()))
                .number(message.due.map(Timestamp::ms))
                .number(Some(message.queued_at.ms()))
                .text(Some(payload));
        })
    })
}

pub(super) fn delete(script: &mut Script<'_>, ids: &[u64]) -> Result<(), Error> {
    ids.iter().try_for_each(|id| {
        script.run("DELETE FROM message WHERE id = ?", |values| {
            values.number(Some(id.cast_signed()));
        })
    })
}

pub(super) fn set_aside(script: &mut Script<'_>, poisoned: &[Poisoned]) -> Result<(), Error> {
    const SET_ASIDE: &str = "INSERT INTO poison (reason, set_aside_ms, due_ms, queued_ms, payload)
         SELECT ?, ?, due_ms, queued_ms, payload FROM message WHERE id = ?";
    for Poisoned { id, reason, at } in poisoned {
        script.run(SET_ASIDE, |values| {
            values
                .text(Some(&with_cause(reason)))
                .number(Some(at.ms()))
                .number(Some(id.cast_signed()));
        })?;
        delete(script, &[*id])?;
    }
    Ok(())
}

/// The first fresh messages of a range.
pub(super) async fn read_fresh(
    readers: &SqlitePool,
    range: Tail,
    limit: u32,
) -> Result<(Vec<Waiting>, Complete), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, due_ms, queued_ms, payload FROM message
         WHERE id > $1 AND id <= $2 AND due_ms IS NULL ORDER BY id LIMIT $3",
    )
    .bind(range.after.cast_signed())
    .bind(range.to.cast_signed())
    .bind(limit)
    .fetch_all(readers)
    .await?;
    Ok((waiting(&rows)?, complete(&rows, limit)))
}

/// The first returning messages from a key on, of those with ids up to `id_max`.
pub(super) async fn read_returned(
    readers: &SqlitePool,
    from: DueKey,
    id_max: u64,
    limit: u32,
) -> Result<(Vec<Waiting>, Complete), sqlx::Error> {
    // Without the `+`, SQLite may walk the ids up to `id_max` and sort; this way it follows the order of due times.
    let rows = sqlx::query(
        "SELECT id, due_ms, queued_ms, payload FROM message INDEXED BY message_due
         WHERE due_ms IS NOT NULL AND (due_ms, id) >= ($1, $2) AND +id <= $3
         ORDER BY due_ms, id LIMIT $4",
    )
    .bind(from.0.ms())
    .bind(from.1.cast_signed())
    .bind(id_max.cast_signed())
    .bind(limit)
    .fetch_all(readers)
    .await?;
    Ok((waiting(&rows)?, complete(&rows, limit)))
}

/// All messages after an id.
pub(super) async fn read_all(
    readers: &SqlitePool,
    after: u64,
    limit: u32,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, due_ms, queued_ms, payload FROM message WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.cast_signed())
    .bind(limit)
    .fetch_all(readers)
    .await?;
    waiting(&rows)
}

/// Messages by their ids.
pub(super) async fn read_again(
    readers: &SqlitePool,
    ids: &[u64],
) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, due_ms, queued_ms, payload FROM message
         WHERE id IN (SELECT value FROM json_each($1))",
    )
    .bind(json(ids))
    .fetch_all(readers)
    .await?;
    waiting(&rows)
}

/// How many are not due yet.
pub(super) async fn count_delayed(
    readers: &SqlitePool,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM message WHERE due_ms IS NOT NULL AND due_ms > $1")
            .bind(now.ms())
            .fetch_one(readers)
            .await?;
    Ok(count.cast_unsigned())
}

fn complete(rows: &[SqliteRow], limit: u32) -> Complete {
    if u32::try_from(rows.len()).is_ok_and(|len| len < limit) {
        Complete::Yes
    } else {
        Complete::No
    }
}

fn waiting(rows: &[SqliteRow]) -> Result<Vec<Waiting>, sqlx::Error> {
    let messages = rows.iter().map(|row| {
        let payload: String = row.try_get(3)?;
        Ok(Waiting {
            id: row.try_get::<i64, _>(0)?.cast_unsigned(),
            due: row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_ms),
            queued_at: Timestamp::from_ms(row.try_get(2)?),
            size: Size::of(&payload),
            body: Body::Text(payload),
            redelivered: false,
        })
    });
    messages.collect()
}

fn json(ids: &[u64]) -> String {
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn with_cause(reason: &InvalidBundle) -> String {
    match std::error::Error::source(reason) {
        Some(cause) => format!("{reason}: {cause}"),
        None => reason.to_string(),
    }
}
