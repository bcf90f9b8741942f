//! SQLite's rows and values behind the traits of [`crate::rows`].

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteArguments, SqliteRow};

use crate::rows::{Bind, Columns};

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values(pub(super) SqliteArguments);

impl Values {
    pub(super) fn with_capacity(values: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        sqlx::Arguments::reserve(&mut arguments, values, 0);
        Self(arguments)
    }
}

impl Bind for Values {
    fn text(&mut self, value: Option<Arc<str>>) {
        sqlx::Arguments::add(&mut self.0, value).expect("SQLite takes any text");
    }

    fn number(&mut self, value: Option<i64>) {
        sqlx::Arguments::add(&mut self.0, value).expect("SQLite takes any number");
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }
}
