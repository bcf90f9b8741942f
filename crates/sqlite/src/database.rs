//! The file: opening it, reading from it, and the connection that writes.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::Error;
use crate::thread::CommitThread;
use crate::writer::{Participant, Participants, Rank, Wake};

/// The one SQLite file of an embedded Ringback.
pub struct Database {
    readers: SqlitePool,
    writer: Mutex<SqliteConnection>,
    commits: CommitThread,
    participants: std::sync::Mutex<Participants>,
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
        let in_directory = |source| Error::Directory { path: directory.to_owned(), source };
        // For its owner alone: events are in it.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(in_directory)?;
        let lock = lock(directory)?;
        let file = directory.join(FILE);
        // SQLite gives the files that it puts beside it the same mode.
        let only_owner =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&file);
        only_owner.map_err(in_directory)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("temp_store", "memory")
            .pragma("cache_size", "-4096");
        let writer = SqliteConnection::connect_with(&options).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.pragma("query_only", "true"))
            .await?;
        Ok(Arc::new(Self {
            readers,
            writer: Mutex::new(writer),
            commits: CommitThread::start(&file)?,
            participants: std::sync::Mutex::default(),
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

    /// Lets the file grow to this many pages, as if the disk were full then: for tests.
    ///
    /// # Errors
    /// [`Error`] if SQLite refuses.
    #[doc(hidden)]
    pub async fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        let limit = format!("PRAGMA max_page_count = {pages}");
        let mut writer = self.writer().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(limit.clone())).execute(&mut *writer).await?;
        self.commits.run(move |connection| connection.execute_batch(&limit)).await??;
        Ok(())
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

    pub(crate) fn commits(&self) -> &CommitThread {
        &self.commits
    }

    pub(crate) fn take_participants(&self) -> Participants {
        std::mem::take(&mut self.participants.lock().expect("nobody panics holding it"))
    }
}

/// The database's name in its directory.
pub const FILE: &str = "ringback.db";

/// Whether there is a database in a directory.
#[must_use]
pub fn exists(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

fn lock(directory: &Path) -> Result<File, Error> {
    let in_directory = |source| Error::Directory { path: directory.to_owned(), source };
    let path = directory.join("ringback.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(in_directory)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: directory.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(in_directory(source)),
    }
}
