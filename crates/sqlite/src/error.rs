//! What goes wrong with the file.

use std::path::PathBuf;

/// What SQLite, or the system, said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The embedded database could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory can't be made or its files can't be opened.
    #[error("data directory {path} can't be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Two processes on one queue would deliver everything twice.
    #[error("data directory {path} is in use by another process")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The disk is full: nothing was written, nothing is lost.
    #[error("the disk is full")]
    Full(#[source] Cause),
    /// Anything else that SQLite says.
    #[error("the embedded database failed")]
    Sqlite(#[source] Cause),
    /// The writer has stopped, as the process does.
    #[error("the embedded database is shutting down")]
    Stopped,
    /// Another piece of work of the same commit failed, and took this one along.
    #[error("the commit was rolled back: {0}")]
    RolledBack(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_FULL is 13; SQLITE_IOERR_WRITE (778) is what a write past a file-size limit gives.
        let code =
            error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            Some("13" | "778") => Self::Full(Box::new(error)),
            _ => Self::Sqlite(Box::new(error)),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error().map(|error| error.extended_code) {
            Some(13 | 778) => Self::Full(Box::new(error)),
            _ => Self::Sqlite(Box::new(error)),
        }
    }
}

impl Error {
    /// The same failure for the next of several callers who share it.
    #[must_use]
    pub fn share(&self) -> Self {
        match self {
            Self::Stopped => Self::Stopped,
            other => Self::RolledBack(ringback_runtime::with_causes(other)),
        }
    }

    /// Whether trying again later may help: only a full disk or a busy file pass by themselves.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::RolledBack(text) => text.contains("disk is full"),
            _ => false,
        }
    }
}
