//! SQLite's rows and values behind the traits of [`crate::rows`].

use sqlx::Row as _;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use uuid::Uuid;

use crate::rows::{Bind, Columns, id_text};

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values(pub(super) SqliteArguments);

impl Bind for Values {
    fn text<T: AsRef<str>>(&mut self, value: Option<T>) {
        let value = value.map(|text| text.as_ref().to_owned());
        sqlx::Arguments::add(&mut self.0, value).expect("SQLite takes any text");
    }

    fn number(&mut self, value: Option<i64>) {
        sqlx::Arguments::add(&mut self.0, value).expect("SQLite takes any number");
    }

    fn id(&mut self, value: Uuid) {
        self.text(Some(id_text(value)));
    }
}

/// The values of a statement of the group commit.
pub(super) struct Row<'a, 'b, 'c>(pub(super) &'a mut ringback_sqlite::Values<'b, 'c>);

impl Bind for Row<'_, '_, '_> {
    fn text<T: AsRef<str>>(&mut self, value: Option<T>) {
        self.0.text(value.as_ref().map(AsRef::as_ref));
    }

    fn number(&mut self, value: Option<i64>) {
        self.0.number(value);
    }

    fn id(&mut self, value: Uuid) {
        self.text(Some(id_text(value)));
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn id(&self, column: &str) -> Result<Uuid, sqlx::Error> {
        let text: &str = self.try_get(column)?;
        text.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
    }
}
