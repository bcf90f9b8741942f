//! PostgreSQL's rows and values behind the traits of [`crate::rows`].

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Encode, Postgres, Row as _, Type};

use crate::rows::{Bind, Columns};

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values(pub(super) PgArguments);

impl Values {
    /// None.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// These and one more.
    pub(super) fn and<T>(mut self, value: T) -> Self
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        sqlx::Arguments::add(&mut self.0, value).expect("texts and numbers can be encoded");
        self
    }
}

impl Bind for Values {
    fn text<T: AsRef<str>>(&mut self, value: Option<T>) {
        let value = value.as_ref().map(AsRef::as_ref);
        sqlx::Arguments::add(&mut self.0, value).expect("texts can be encoded");
    }

    fn number(&mut self, value: Option<i64>) {
        sqlx::Arguments::add(&mut self.0, value).expect("numbers can be encoded");
    }
}

impl Columns for PgRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }
}
