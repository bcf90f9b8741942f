//! The file: opening it, reading from it, and the connection that writes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::Error;
use crate::writer::{Participant, Participants, Rank, Wake};

/// The one SQLite file of an embedded Ringback.
pub struct Database {
    readers: SqlitePool,
    writer: Mutex<SqliteConnection>,
    participants: Participants,
    wake: Wake,
    /// Held as long as the file is open; the system lets go of it however the process ends.
    _lock: File,
}

impl Database {
    /// Opens `ringback.db` in a directory, makes both if need be, and keeps other processes out.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it, [`Error::Directory`] if it can't be made or written.
    pub async fn open(directory: &Path) -> Result<Arc<Self>, Error> {
        let in_directory = |source| Error::Directory {
            path: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(in_directory)?;
        let lock = lock(directory)?;
        let options = SqliteConnectOptions::new()
            .filename(directory.join("ringback.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            // A statement of many rows keeps a journal of its own: in a file, that is one made and deleted a commit.
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-32768");
        let writer = SqliteConnection::connect_with(&options).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(
                options
                    .pragma("query_only", "true")
                    .pragma("cache_size", "-4096"),
            )
            .await?;
        Ok(Arc::new(Self {
            readers,
            writer: Mutex::new(writer),
            participants: Participants::default(),
            wake: Wake::default(),
            _lock: lock,
        }))
    }

    /// Connections that only read: what they see is committed.
    #[must_use]
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The connection that writes, for what is rare (setting up tables, configuration) and needs no company.
    ///
    /// The group commit waits meanwhile: hold it for one short transaction.
    pub async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writer.lock().await
    }

    /// Lets somebody's writes share the commits. Before [`run_writer`](Self::run_writer) starts.
    pub fn join(&self, rank: Rank, participant: Box<dyn Participant>) {
        let mut participants = self.participants.lock().expect("nobody panics holding it");
        participants.push((rank, participant));
    }

    /// What tells the writer that something waits.
    #[must_use]
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    pub(crate) fn take_participants(&self) -> Vec<(Rank, Box<dyn Participant>)> {
        std::mem::take(&mut self.participants.lock().expect("nobody panics holding it"))
    }
}

fn lock(directory: &Path) -> Result<File, Error> {
    let in_directory = |source| Error::Directory {
        path: directory.to_owned(),
        source,
    };
    let path = directory.join("ringback.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(in_directory)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse {
            path: directory.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(in_directory(source)),
    }
}

/// Splits rows into chunks of a few fixed sizes, each with the SQL text for that size.
///
/// A statement with many rows costs a tenth of as many statements. But each text is prepared once and kept: texts for
/// every possible number of rows would push each other out, so there are nine, the powers of two.
///
/// `head` ends before the first row (`INSERT INTO t (a, b) VALUES `), `columns` is the number of placeholders of a row
/// (`(?,?)`), `tail` follows the last row, without placeholders.
///
/// Placeholders are `?` and not `$1`: SQLite looks for the name of each numbered one along a list of all, so that
/// binding 4,096 of them takes milliseconds.
pub fn multi_row<'a, T>(
    rows: &'a [T],
    head: &'static str,
    columns: usize,
    tail: &'static str,
) -> impl Iterator<Item = (String, &'a [T])> {
    const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = *SIZES.iter().find(|size| **size <= rest.len())?;
        let (chunk, others) = rest.split_at(size);
        rest = others;
        let row = format!("({})", vec!["?"; columns].join(","));
        let sql = format!("{head}{}{tail}", vec![row; size].join(","));
        Some((sql, chunk))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_few_sizes() {
        let rows: Vec<u32> = (0..74).collect();
        let chunks: Vec<_> = multi_row(&rows, "INSERT INTO t (a, b) VALUES ", 2, "").collect();
        let sizes: Vec<_> = chunks.iter().map(|(_, rows)| rows.len()).collect();
        assert_eq!(sizes, [64, 8, 2]);
        assert_eq!(chunks[2].0, "INSERT INTO t (a, b) VALUES (?,?),(?,?)");
        assert_eq!(chunks[1].0.matches("(?,?)").count(), 8);
    }
}
