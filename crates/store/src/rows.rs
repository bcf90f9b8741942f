//! Rows to values and back, for every database that speaks the SQL of this crate.
//!
//! Two small traits stand for what differs: [`Columns`] reads a row, [`Bind`] collects the values of a statement.

mod backlog;
pub(crate) mod catalog;
mod configuration;
mod headers;
mod history;
mod json;
mod logged_request;
mod replays;
mod sessions;
mod traffic;

use std::fmt;
use std::str::FromStr;

use ringback_core::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::Error;

pub(crate) use backlog::backlog;
pub(crate) use configuration::{AUTHORIZATION, PREVIOUS_SECRET, SIGNING_SECRET, place};
pub(crate) use configuration::{api_key, bind_api_key, bind_callback, callback, deleted_callback};
pub(crate) use history::{
    attempt, bind_attempt, bind_delivery, bind_event, callback_of_delivery, delivery, event,
    last_outcomes, parked, recorded, replaces, replayable,
};
pub(crate) use logged_request::{bind_logged_request, logged_request};
pub(crate) use replays::{bind_replay, bind_replay_progress, replay};
pub(crate) use sessions::{bind_hash, bind_pass, bind_pass_at, pass};
pub(crate) use traffic::{bind_traffic, bind_traffic_of, traffic, traffic_of_callbacks};

/// Reads a row.
pub(crate) trait Columns {
    /// A text, or none if it is NULL.
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error>;

    /// A number, or none if it is NULL.
    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;

    /// An id of the history.
    fn id(&self, column: &str) -> Result<Uuid, sqlx::Error>;
}

/// Collects the values of a statement, in the order of its placeholders.
pub(crate) trait Bind {
    /// A text; none is NULL.
    fn text<T: AsRef<str>>(&mut self, value: Option<T>);

    /// A number; none is NULL.
    fn number(&mut self, value: Option<i64>);

    /// An id of the history: 16 bytes where the database has a type for them, a text elsewhere. Those of the configuration
    /// are texts everywhere.
    fn id(&mut self, value: Uuid);
}

/// A row of a table, read with errors that say which column is wrong.
struct Row<'r, R> {
    columns: &'r R,
    table: &'static str,
}

impl<'r, R: Columns> Row<'r, R> {
    fn of(table: &'static str, columns: &'r R) -> Self {
        Self { columns, table }
    }

    fn unreadable(&self, column: &str, why: impl fmt::Display) -> Error {
        Error::Unreadable { table: self.table, detail: format!("column `{column}`: {why}") }
    }

    fn optional_text(&self, column: &str) -> Result<Option<&'r str>, Error> {
        self.columns.text(column).map_err(|error| self.unreadable(column, error))
    }

    fn text(&self, column: &str) -> Result<&'r str, Error> {
        self.optional_text(column)?.ok_or_else(|| self.unreadable(column, "it is NULL"))
    }

    /// A number of whatever size the value needs.
    fn optional_number<T>(&self, column: &str) -> Result<Option<T>, Error>
    where
        T: TryFrom<i64, Error: fmt::Display>,
    {
        let number = self.columns.number(column).map_err(|error| self.unreadable(column, error))?;
        let sized = number.map(T::try_from).transpose();
        sized.map_err(|error| self.unreadable(column, error))
    }

    fn number<T>(&self, column: &str) -> Result<T, Error>
    where
        T: TryFrom<i64, Error: fmt::Display>,
    {
        self.optional_number(column)?.ok_or_else(|| self.unreadable(column, "it is NULL"))
    }

    fn time(&self, column: &str) -> Result<Timestamp, Error> {
        self.number(column).map(Timestamp::from_ms)
    }

    fn id<T>(&self, column: &str, of: fn(Uuid) -> T) -> Result<T, Error> {
        self.columns.id(column).map(of).map_err(|error| self.unreadable(column, error))
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&self, column: &str) -> Result<T, Error> {
        self.text(column)?.parse().map_err(|error| self.unreadable(column, error))
    }

    fn optional_parsed<T: FromStr<Err: fmt::Display>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, Error> {
        let parsed = self.optional_text(column)?.map(str::parse).transpose();
        parsed.map_err(|error| self.unreadable(column, error))
    }

    fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.optional_number(column)?.map(Timestamp::from_ms))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        serde_json::from_str(self.text(column)?).map_err(|error| self.unreadable(column, error))
    }

    fn optional_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        let read = self.optional_text(column)?.map(serde_json::from_str).transpose();
        read.map_err(|error| self.unreadable(column, error))
    }

    /// One of a few words.
    fn word<T>(&self, column: &str, read: fn(&str) -> Option<T>) -> Result<T, Error> {
        let word = self.text(column)?;
        read(word)
            .ok_or_else(|| self.unreadable(column, format_args!("`{word}` is not known here")))
    }
}

/// A typed id as text, without a detour over the heap.
pub(crate) fn id_text(id: Uuid) -> IdText {
    let mut text = IdText([0; Hyphenated::LENGTH]);
    id.hyphenated().encode_lower(&mut text.0);
    text
}

pub(crate) struct IdText([u8; Hyphenated::LENGTH]);

impl AsRef<str> for IdText {
    fn as_ref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits and hyphens")
    }
}
