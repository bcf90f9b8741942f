//! Moving: the rows of one database as text that any other one takes.
//!
//! Rows go as JSON objects, a member for each column, made and read by the databases themselves: both have the same
//! columns, so nothing is lost on the way that a value of this version might not hold. Sealed columns are the exception:
//! a database's master key stays with it, so they are sealed anew, with the transfer's own key.
//!
//! What is there already stays as it is: importing the same rows again changes nothing. No other process may be at work
//! on the database meanwhile.

use async_trait::async_trait;
use ringback_core::CallbackId;
use ringback_core::secret::Secret;
use serde_json::{Map, Value};

use crate::rows::Bind;
use crate::rows::{AUTHORIZATION, PREVIOUS_SECRET, SIGNING_SECRET, place};
use crate::{Error, MasterKey};

/// What is moved, table by table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Callbacks, with their secrets.
    Callback,
    /// API keys: hashes.
    ApiKey,
    /// The catalog, but for what is built in.
    EventType,
    /// Accounts that want something else than the default.
    Account,
    /// What the log callback was sent.
    LoggedRequest,
    /// History: what was accepted.
    Event,
    /// History: who got it, or is to get it.
    Delivery,
    /// History: each request.
    Attempt,
    /// Bulk replays. Those that run go on from where they are.
    Replay,
}

impl Table {
    /// All of them, in an order in which they can be imported.
    pub const ALL: [Self; 9] = [
        Self::Callback,
        Self::ApiKey,
        Self::EventType,
        Self::Account,
        Self::LoggedRequest,
        Self::Event,
        Self::Delivery,
        Self::Attempt,
        Self::Replay,
    ];

    /// Its name, in databases and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::ApiKey => "api_key",
            Self::EventType => "event_type",
            Self::Account => "account",
            Self::LoggedRequest => "logged_request",
            Self::Event => "event",
            Self::Delivery => "delivery",
            Self::Attempt => "attempt",
            Self::Replay => "replay",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == word)
    }
}

/// How an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// None was begun, or all were finished.
    None,
    /// This one was begun before, and did not come to its end.
    This,
    /// Another one was.
    Another,
}

impl Unfinished {
    /// How the import `id` stands, of those that were begun and did not come to their end.
    pub(crate) fn of(begun: &[String], id: &str) -> Self {
        match begun {
            [] => Self::None,
            begun if begun.iter().any(|begun| begun == id) => Self::This,
            _ => Self::Another,
        }
    }
}

/// What moving asks of a store.
#[async_trait]
pub trait Transfer: Send + Sync + 'static {
    /// Rows of a table, at most `limit`, after the last one that was given (none: from the beginning). Secrets are
    /// sealed with `key`.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn export_rows(
        &self,
        table: Table,
        after: Option<&str>,
        limit: usize,
        key: &MasterKey,
    ) -> Result<Vec<String>, Error>;

    /// Adds rows that are not there yet, all of them or, if one can't be written, none. Secrets are sealed with `key`.
    /// All have the columns of the first one; what an earlier version did not have gets the table's default.
    ///
    /// # Errors
    /// [`Error`] if they can't be written, or have a column that this version does not know.
    async fn import_rows(
        &self,
        table: Table,
        rows: &[String],
        key: &MasterKey,
    ) -> Result<(), Error>;

    /// The tables that have rows.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn filled(&self) -> Result<Vec<Table>, Error>;

    /// Whether an import was begun that did not come to its end. Until then what is here is not whole, and nobody may
    /// work on it.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn unfinished_import(&self, id: &str) -> Result<Unfinished, Error>;

    /// Remembers that this import was begun.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn begin_import(&self, id: &str) -> Result<(), Error>;

    /// Forgets that it was begun.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn end_import(&self) -> Result<(), Error>;
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Number,
    /// An id of the history: see [`crate::rows::Bind::id`].
    Id,
}

use Holds::{Id, Number, Text};

pub(crate) type Column = (&'static str, Holds);

/// A table as it is moved.
pub(crate) struct Shape {
    pub(crate) columns: &'static [Column],
    /// What finds the next page: it has an index.
    pub(crate) key: &'static [Column],
    /// Of a table of the history: what its day is told by. Of attempts it is their delivery's.
    pub(crate) day_of: Option<&'static str>,
}

impl Table {
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::Callback => CALLBACK,
            Self::ApiKey => API_KEY,
            Self::EventType => EVENT_TYPE,
            Self::Account => ACCOUNT,
            Self::LoggedRequest => LOGGED_REQUEST,
            Self::Event => EVENT,
            Self::Delivery => DELIVERY,
            Self::Attempt => ATTEMPT,
            Self::Replay => REPLAY,
        }
    }
}

const CALLBACK: Shape = Shape {
    columns: &[
        ("id", Text),
        ("description", Text),
        ("url", Text),
        ("method", Text),
        ("format", Text),
        ("authorization_sealed", Text),
        ("headers", Text),
        ("disabled_reason", Text),
        ("paused", Number),
        ("account", Text),
        ("events", Text),
        ("retry", Text),
        ("timeout_ms", Number),
        ("max_in_flight", Number),
        ("rate_limit", Text),
        ("circuit", Text),
        ("signing_secret_sealed", Text),
        ("previous_secret_sealed", Text),
        ("previous_secret_until_ms", Number),
        ("created_at_ms", Number),
        ("updated_at_ms", Number),
        ("resumed_at_ms", Number),
    ],
    key: &[("id", Text)],
    day_of: None,
};

const API_KEY: Shape = Shape {
    columns: &[
        ("id", Text),
        ("description", Text),
        ("account", Text),
        ("hash", Text),
        ("created_at_ms", Number),
    ],
    key: &[("id", Text)],
    day_of: None,
};

const EVENT_TYPE: Shape = Shape {
    columns: &[
        ("name", Text),
        ("description", Text),
        ("variables", Text),
        ("created_at_ms", Number),
        ("updated_at_ms", Number),
    ],
    key: &[("name", Text)],
    day_of: None,
};

const ACCOUNT: Shape = Shape {
    columns: &[("name", Text), ("strict", Number), ("updated_at_ms", Number)],
    key: &[("name", Text)],
    day_of: None,
};

const LOGGED_REQUEST: Shape = Shape {
    columns: &[
        ("id", Text),
        ("account", Text),
        ("callback_id", Text),
        ("received_at_ms", Number),
        ("method", Text),
        ("query", Text),
        ("headers", Text),
        ("body", Text),
        ("body_is_base64", Number),
        ("body_is_truncated", Number),
    ],
    key: &[("id", Text)],
    day_of: None,
};

const REPLAY: Shape = Shape {
    columns: &[
        ("id", Text),
        ("account", Text),
        ("filter", Text),
        ("per_second", Number),
        ("status", Text),
        ("cursor_at_ms", Number),
        ("cursor_id", Text),
        ("total", Number),
        ("replayed", Number),
        ("skipped", Number),
        ("error", Text),
        ("created_at_ms", Number),
        ("updated_at_ms", Number),
        ("finished_at_ms", Number),
    ],
    key: &[("id", Text)],
    day_of: None,
};

const EVENT: Shape = Shape {
    columns: &[
        ("id", Id),
        ("account", Text),
        ("name", Text),
        ("time_ms", Number),
        ("accepted_at_ms", Number),
        ("variables", Text),
        ("deliver_at_ms", Number),
        ("replays", Number),
    ],
    key: &[("accepted_at_ms", Number), ("id", Id), ("account", Text)],
    day_of: Some("accepted_at_ms"),
};

const DELIVERY: Shape = Shape {
    columns: &[
        ("id", Id),
        ("event_id", Id),
        ("event_name", Text),
        ("account", Text),
        ("callback_id", Id),
        ("generation", Number),
        ("status", Text),
        ("reason", Text),
        ("next_attempt_at_ms", Number),
        ("attempts", Number),
        ("series_start", Number),
        ("created_at_ms", Number),
        ("updated_at_ms", Number),
    ],
    key: &[("created_at_ms", Number), ("id", Id)],
    day_of: Some("created_at_ms"),
};

const ATTEMPT: Shape = Shape {
    columns: &[
        ("delivery_id", Id),
        ("number", Number),
        ("started_at_ms", Number),
        ("duration_ms", Number),
        ("method", Text),
        ("url", Text),
        ("request_headers", Text),
        ("format", Text),
        ("outcome", Text),
        ("status", Number),
        ("retry_after_ms", Number),
        ("error", Text),
        ("response_headers", Text),
        ("response_body", Text),
        ("response_body_is_base64", Number),
        ("response_body_is_truncated", Number),
    ],
    key: &[("delivery_id", Id), ("number", Number)],
    day_of: Some(DELIVERY_MADE_AT),
};

/// A member of attempts that is no column of theirs: when their delivery was made, which tells their day.
pub(crate) const DELIVERY_MADE_AT: &str = "delivery_created_at_ms";

/// Kept while an import is under way: in no migration, for it is made and dropped by the import itself.
pub(crate) const CREATE_UNFINISHED: &str =
    "CREATE TABLE IF NOT EXISTS unfinished_import (id TEXT NOT NULL PRIMARY KEY)";
pub(crate) const READ_UNFINISHED: &str = "SELECT id FROM unfinished_import";
pub(crate) const REMEMBER_UNFINISHED: &str =
    "INSERT INTO unfinished_import (id) VALUES ($1) ON CONFLICT DO NOTHING";
pub(crate) const FORGET_UNFINISHED: &str = "DROP TABLE IF EXISTS unfinished_import";

/// What differs between the databases.
pub(crate) struct Dialect {
    /// Makes an object of names and values.
    pub(crate) object: &'static str,
    /// Follows a row's object, to make it a text.
    pub(crate) as_text: &'static str,
    /// Follows a bound id.
    pub(crate) as_id: &'static str,
    /// Joins an attempt with its delivery, besides by its id.
    pub(crate) joined_by: &'static str,
}

/// The next rows of a table. The values of the key's columns are bound, if there is a row before.
pub(crate) fn select(table: Table, dialect: &Dialect, after: bool, limit: usize) -> String {
    let Shape { columns, key, day_of } = table.shape();
    let Dialect { object, as_text, as_id, joined_by } = dialect;
    let name = table.as_str();
    let mut members: Vec<_> =
        columns.iter().map(|(column, _)| format!("'{column}', {name}.{column}")).collect();
    let mut from = name.to_owned();
    if table == Table::Attempt {
        let day_of = day_of.expect("attempts are of the history");
        members.push(format!("'{day_of}', delivery.created_at_ms"));
        from.push_str(" JOIN delivery ON delivery.id = attempt.delivery_id");
        from.push_str(joined_by);
    }
    let members = members.join(", ");
    let order: Vec<_> = key.iter().map(|(column, _)| format!("{name}.{column}")).collect();
    let order = order.join(", ");
    let bound = key.iter().zip(1..).map(|((_, holds), number)| match holds {
        Id => format!("${number}{as_id}"),
        Text | Number => format!("${number}"),
    });
    let bound = bound.collect::<Vec<_>>().join(", ");
    let after = if after { format!(" WHERE ({order}) > ({bound})") } else { String::new() };
    format!(
        "SELECT {object}({members}){as_text} AS moved FROM {from}{after} ORDER BY {order} LIMIT {limit}"
    )
}

/// Where the next page begins: the values of the key's columns in the row before. None before the first page.
pub(crate) fn bind_key<B: Bind>(
    table: Table,
    after: Option<&str>,
    mut values: B,
) -> Result<B, Error> {
    let Some(row) = after else { return Ok(values) };
    let row = object(table, row)?;
    for (column, holds) in table.shape().key {
        match (row.get(*column), holds) {
            (Some(Value::String(text)), Text | Id) => values.text(Some(text)),
            (Some(Value::Number(number)), Number) if number.is_i64() => {
                values.number(number.as_i64());
            }
            _ => {
                let why = format!("member `{column}` is not as it should be");
                return Err(unreadable(table, why));
            }
        }
    }
    Ok(values)
}

/// A row with its secrets sealed by another key.
pub(crate) fn reseal(
    table: Table,
    row: String,
    from: &MasterKey,
    to: &MasterKey,
) -> Result<String, Error> {
    if table != Table::Callback {
        return Ok(row);
    }
    let mut row = object(table, &row)?;
    let id: CallbackId = row
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| unreadable(table, "member `id` is no UUID".to_owned()))?;
    for (column, secret) in [
        ("authorization_sealed", AUTHORIZATION),
        ("signing_secret_sealed", SIGNING_SECRET),
        ("previous_secret_sealed", PREVIOUS_SECRET),
    ] {
        // Most callbacks have none, and those of an earlier version not even the column.
        if column == "previous_secret_sealed" && row.get(column).is_none_or(Value::is_null) {
            continue;
        }
        let place = place(id, secret);
        let sealed = row.get(column).and_then(Value::as_str).unwrap_or_default();
        let opened: Secret = from
            .open(&place, sealed)
            .map_err(|error| unreadable(table, format!("member `{column}` of {id}: {error}")))?;
        row.insert(column.to_owned(), Value::String(to.seal(&place, &opened)));
    }
    Ok(Value::Object(row).to_string())
}

/// The columns that rows have.
pub(crate) fn columns_of(table: Table, rows: &[String]) -> Result<Vec<Column>, Error> {
    let Shape { columns, day_of, .. } = table.shape();
    let Some(row) = rows.first() else { return Ok(columns.to_vec()) };
    let row = object(table, row)?;
    let is_known =
        |member: &str| columns.iter().any(|(name, _)| *name == member) || day_of == Some(member);
    if let Some(member) = row.keys().find(|member| !is_known(member)) {
        let detail = format!("member `{member}` is not known here: a later version wrote it");
        return Err(unreadable(table, detail));
    }
    Ok(columns.iter().copied().filter(|(name, _)| row.contains_key(*name)).collect())
}

/// A row that PostgreSQL takes: its texts can't hold U+0000, and get U+FFFD in its place, as when they are recorded.
pub(crate) fn without_nul(table: Table, row: String) -> Result<String, Error> {
    // An escaped backslash before `u0000` looks the same: only the parsed texts tell.
    if !row.contains("\\u0000") {
        return Ok(row);
    }
    let mut row = object(table, &row)?;
    for value in row.values_mut() {
        if let Value::String(text) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    Ok(Value::Object(row).to_string())
}

/// The rows as one array, which a database takes apart.
pub(crate) fn array(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}

fn object(table: Table, row: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(row).map_err(|error| unreadable(table, error.to_string()))
}

fn unreadable(table: Table, detail: String) -> Error {
    Error::Unreadable { table: table.as_str(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    /// A column that a migration adds would else be left behind without a word.
    #[test]
    fn every_column_that_is_read_is_moved() {
        let read = [
            (Table::Callback, sql::CALLBACK_COLUMNS),
            (Table::ApiKey, sql::API_KEY_COLUMNS),
            (Table::LoggedRequest, sql::LOGGED_REQUEST_COLUMNS),
            (Table::Event, sql::EVENT_COLUMNS),
            (Table::Delivery, sql::DELIVERY_COLUMNS),
            (Table::Attempt, sql::ATTEMPT_COLUMNS),
            (Table::Replay, sql::REPLAY_COLUMNS),
        ];
        for (table, columns) in read {
            for column in columns.split(", ").filter(|column| *column != "revision") {
                let moved = table.shape().columns.iter().any(|(name, _)| *name == column);
                assert!(moved, "{table:?}: {column}");
            }
        }
    }

    #[test]
    fn columns_are_those_of_the_file_and_unknown_ones_are_refused() {
        let account = |row: &str| columns_of(Table::Account, &[row.to_owned()]);
        let earlier = account(r#"{"name":"a","updated_at_ms":1}"#).expect("known");
        assert_eq!(earlier, [("name", Text), ("updated_at_ms", Number)]);
        let later = account(r#"{"name":"a","colour":"red"}"#).expect_err("refused");
        assert!(later.to_string().contains("`colour`"), "{later}");
        let attempt = [r#"{"number":1,"delivery_created_at_ms":1}"#.to_owned()];
        let attempt = columns_of(Table::Attempt, &attempt).expect("its day is no column");
        assert_eq!(attempt, [("number", Number)]);
    }

    #[test]
    fn secrets_are_sealed_anew_and_open_with_neither_the_old_key_nor_elsewhere() {
        let [old, new] = [1, 2].map(|byte| MasterKey::from_random([byte; 32]));
        let id = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
        let at = |secret| format!("callback/{id}/{secret}");
        let row = serde_json::json!({
            "id": id,
            "authorization_sealed": old.seal(&at(AUTHORIZATION), &Secret::new("a")),
            "signing_secret_sealed": old.seal(&at(SIGNING_SECRET), &Secret::new("s")),
            "previous_secret_sealed": old.seal(&at(PREVIOUS_SECRET), &Secret::new("p")),
        });
        let moved = reseal(Table::Callback, row.to_string(), &old, &new).expect("it opens");
        let read: Value = serde_json::from_str(&moved).expect("an object");
        let sealed = read["signing_secret_sealed"].as_str().expect("a text");
        assert_eq!(new.open(&at(SIGNING_SECRET), sealed), Ok(Secret::new("s")));
        let sealed = read["previous_secret_sealed"].as_str().expect("a text");
        assert_eq!(new.open(&at(PREVIOUS_SECRET), sealed), Ok(Secret::new("p")));
        let wrong = reseal(Table::Callback, moved, &old, &new).expect_err("another key's");
        assert!(wrong.to_string().contains("authorization_sealed"), "{wrong}");
    }

    #[test]
    fn callback_without_a_previous_secret_moves_as_it_is() {
        let [old, new] = [1, 2].map(|byte| MasterKey::from_random([byte; 32]));
        let id = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
        let at = |secret| format!("callback/{id}/{secret}");
        let mut row = serde_json::json!({
            "id": id,
            "authorization_sealed": old.seal(&at(AUTHORIZATION), &Secret::new("a")),
            "signing_secret_sealed": old.seal(&at(SIGNING_SECRET), &Secret::new("s")),
        });
        let read = |row: &Value| -> Value {
            let moved = reseal(Table::Callback, row.to_string(), &old, &new).expect("it opens");
            serde_json::from_str(&moved).expect("an object")
        };
        assert_eq!(read(&row).get("previous_secret_sealed"), None, "an earlier version's");
        row["previous_secret_sealed"] = Value::Null;
        assert_eq!(read(&row)["previous_secret_sealed"], Value::Null);
    }
}
