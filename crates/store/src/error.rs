//! What goes wrong with configuration and history.

/// The store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database was written under another master key: its secrets can't be read with this one.
    #[error("the master key is not the one that this database was written with")]
    WrongMasterKey,
    /// A newer version has changed the tables: this one would misread them.
    #[error(
        "the database has schema {found}, of a newer version of Ringback: this one knows schemas up to {known}"
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
