//! A copy of the database while it is in use.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::Error;
use crate::database::FILE;

/// Copies the database of a directory, as it is at one moment, into a file that is empty or not there. Whoever has the
/// directory open goes on writing meanwhile. Returns once the copy is on disk.
///
/// # Errors
/// [`Error`] if it can't be read or written.
pub async fn backup(directory: &Path, to: &Path) -> Result<(), Error> {
    // Not read-only: if nobody has it open, reading may have to recover what a crash left in the log beside it.
    let options =
        SqliteConnectOptions::new().filename(directory.join(FILE)).create_if_missing(false);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await;
    // Everything it was asked for it has done, or has not.
    let _ = connection.close().await;
    copied?;
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|source| Error::Directory { path: to.to_owned(), source })
}
