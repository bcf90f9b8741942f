//! What a commit does, statement by statement.
//!
//! **Why not through sqlx,** as everything else: there each statement is handed to another thread and its end waited
//! for. On a busy machine these hand-overs took most of the time of a commit, more than the rows and the sync of the
//! disk together, and statements for many rows at once, which need fewer of them, took as much to parse
//! (docs/adr/0002). So a commit is handed to SQLite's thread as a whole, and there a statement is a call.

use rusqlite::{CachedStatement, Connection, ToSql};

use crate::Error;

/// The transaction of a commit, for participants to write to.
pub struct Script<'a>(&'a Connection);

/// The values of a statement's placeholders, in their order.
pub struct Values<'a, 'b> {
    statement: &'a mut CachedStatement<'b>,
    bound: usize,
    failed: Option<rusqlite::Error>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self(connection)
    }

    /// Runs a statement that gives no rows. It is prepared once and kept, so texts should be few. `bind` gives its
    /// values.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn run(&mut self, sql: &str, bind: impl FnOnce(&mut Values<'_, '_>)) -> Result<(), Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut values = Values { statement: &mut statement, bound: 0, failed: None };
        bind(&mut values);
        if let Some(error) = values.failed {
            return Err(error.into());
        }
        statement.raw_execute()?;
        Ok(())
    }
}

impl Values<'_, '_> {
    /// The next value: a text, or NULL.
    pub fn text(&mut self, value: Option<&str>) -> &mut Self {
        self.bind(value)
    }

    /// The next value: a number, or NULL.
    pub fn number(&mut self, value: Option<i64>) -> &mut Self {
        self.bind(value)
    }

    fn bind(&mut self, value: impl ToSql) -> &mut Self {
        self.bound += 1;
        if let Err(error) = self.statement.raw_bind_parameter(self.bound, value) {
            self.failed.get_or_insert(error);
        }
        self
    }
}

/// Runs `write` in a transaction.
///
/// # Errors
/// What `write` says, or SQLite; nothing of it is written then.
pub(crate) fn transaction(
    connection: &Connection,
    write: impl FnOnce(&mut Script<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut script = Script::new(connection);
    // The last one could neither be finished nor undone: nothing can begin before it is.
    if !connection.is_autocommit() {
        script.run("ROLLBACK", |_| {})?;
    }
    // IMMEDIATE: it is going to write, and must not find out half-way that it may not.
    script.run("BEGIN IMMEDIATE", |_| {})?;
    let written = write(&mut script).and_then(|()| script.run("COMMIT", |_| {}));
    // SQLite ends the transaction by itself on some errors; a full disk is one.
    if written.is_err()
        && !connection.is_autocommit()
        && let Err(error) = script.run("ROLLBACK", |_| {})
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a transaction can't be rolled back"
        );
    }
    written
}
