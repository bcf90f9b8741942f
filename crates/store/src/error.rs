//! What goes wrong with configuration and history.

use std::sync::Arc;

use ringback_runtime::with_causes;

/// The store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database was written under another master key: its secrets can't be read with this one.
    #[error("the master key is not the one that this database was written with")]
    WrongMasterKey,
    /// A newer version has changed the tables: this one would misread them.
    #[error(
        "the database has schema {found}, of a newer version of Ringback: this one knows schemas up to {known}; start \
         that version or a later one, or restore a backup from before the upgrade"
    )]
    TooNew {
        /// The schema of the database.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// No disk space: nothing was written.
    #[error("the store's disk is full")]
    Full(#[source] Cause),
    /// The database can't be reached or refuses; it may serve later.
    #[error("the store can't be used now")]
    Unavailable(#[source] Cause),
    /// The database refuses, and will until somebody changes something.
    #[error("the store refuses: {detail}")]
    Refused {
        /// What it refuses, and what to do about it.
        detail: String,
        /// What it said.
        #[source]
        source: Cause,
    },
    /// A row that this version can't read.
    #[error("a row of table `{table}` can't be read: {detail}")]
    Unreadable {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

/// A cause from an adapter.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Whether the same may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Full(_) | Self::Unavailable(_) => true,
            Self::WrongMasterKey
            | Self::TooNew { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. } => false,
        }
    }

    /// The same failure for the next of several callers who share it.
    pub(crate) fn share(&self) -> Self {
        let told = |cause: &Cause| Box::new(Told(with_causes(&**cause))) as Cause;
        match self {
            Self::WrongMasterKey => Self::WrongMasterKey,
            Self::TooNew { found, known } => Self::TooNew { found: *found, known: *known },
            Self::Full(cause) => Self::Full(told(cause)),
            Self::Unavailable(cause) => Self::Unavailable(told(cause)),
            Self::Refused { detail, source } => {
                Self::Refused { detail: detail.clone(), source: told(source) }
            }
            Self::Unreadable { table, detail } => {
                Self::Unreadable { table, detail: detail.clone() }
            }
        }
    }

    /// Nobody is left to do it.
    pub(crate) fn stopped() -> Self {
        Self::Unavailable(Box::new(Stopped))
    }

    /// What a database said, given as the cause.
    pub(crate) fn of_database(error: &sqlx::Error, cause: Cause) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            Some(SQLITE_FULL | SQLITE_IOERR_WRITE | POSTGRES_DISK_FULL) => Self::Full(cause),
            Some(POSTGRES_CHARACTER_NOT_IN_REPERTOIRE) => Self::Refused {
                detail: "PostgreSQL takes no text with the character U+0000 in it".to_owned(),
                source: cause,
            },
            Some(POSTGRES_INSUFFICIENT_PRIVILEGE | POSTGRES_INVALID_SCHEMA) => Self::Refused {
                detail:
                    "PostgreSQL's user lacks a right: make it the owner of the database, or GRANT \
                         CREATE ON SCHEMA"
                        .to_owned(),
                source: cause,
            },
            _ => Self::Unavailable(cause),
        }
    }
}

const SQLITE_FULL: &str = "13";
/// What a write past a limit of the file's size gives.
const SQLITE_IOERR_WRITE: &str = "778";
const POSTGRES_DISK_FULL: &str = "53100";
const POSTGRES_INSUFFICIENT_PRIVILEGE: &str = "42501";
/// What no right to use a schema looks like.
const POSTGRES_INVALID_SCHEMA: &str = "3F000";
/// The only such character that a Rust text can hold is the one numbered 0.
const POSTGRES_CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let shared = Arc::new(error);
        Self::of_database(&shared, Box::new(Arc::clone(&shared)))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store is shutting down")]
struct Stopped;

/// What another caller was told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);
