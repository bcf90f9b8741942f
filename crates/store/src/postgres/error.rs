//! What PostgreSQL says, and what that means.

use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;

use super::Settings;
use crate::Error;

/// Two transactions stood in each other's way, and this one was given up: the same again may succeed at once.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some(SERIALIZATION_FAILURE | DEADLOCK_DETECTED))
}

/// It is about the values, and not about the database: they will fail again, and others may not.
pub(super) fn is_of_values(error: &sqlx::Error) -> bool {
    let class = |class: &&str| code(error).is_some_and(|code| code.starts_with(class));
    [DATA_EXCEPTION, CONSTRAINT_VIOLATION, PROGRAM_LIMIT_EXCEEDED].iter().any(class)
}

/// The connection is of no use any more.
pub(super) fn is_of_connection(error: &sqlx::Error) -> bool {
    let class = |class: &&str| code(error).is_some_and(|code| code.starts_with(class));
    let is_told = matches!(error, sqlx::Error::Database(_));
    !is_told || [CONNECTION_EXCEPTION, OPERATOR_INTERVENTION].iter().any(class)
}

/// Somebody else holds a lock for longer than there was patience.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// A row of the same key is there.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(UNIQUE_VIOLATION)
}

/// A row stands in the way of a constraint.
pub(super) fn is_check_violation(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(CHECK_VIOLATION)
}

/// What connecting failed with, and what to do about it.
pub(super) fn of_connecting(error: sqlx::Error, settings: &Settings) -> Error {
    let place = settings.place();
    let user = settings.options.get_username();
    let detail = match &error {
        sqlx::Error::Database(said) => match said.code().as_deref() {
            Some(INVALID_PASSWORD | INVALID_AUTHORIZATION) => format!(
                "PostgreSQL at {place} does not let user `{user}` in: check user and password in its URL, and \
                 pg_hba.conf on the server"
            ),
            Some(INVALID_CATALOG_NAME) => format!(
                "there is no such database ({place}): check the name in its URL, or create it"
            ),
            Some(INSUFFICIENT_PRIVILEGE) => {
                format!("user `{user}` may not connect to {place}: GRANT CONNECT ON DATABASE")
            }
            _ => return error.into(),
        },
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => no_tls(&place),
        sqlx::Error::Io(said) if said.kind() == io::ErrorKind::InvalidData => no_tls(&place),
        sqlx::Error::Io(_) => {
            return Error::Unavailable(Box::new(Unreachable { place, source: error }));
        }
        _ => return error.into(),
    };
    Error::Refused { detail, source: Box::new(error) }
}

fn no_tls(place: &str) -> String {
    format!(
        "no encrypted connection to PostgreSQL at {place}: check sslmode and sslrootcert in its URL"
    )
}

/// No time is left to wait for an answer.
pub(super) fn no_answer(within: Duration) -> sqlx::Error {
    let text = format!("no answer within {within:?}");
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}

#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL at {place} can't be reached")]
struct Unreachable {
    place: String,
    #[source]
    source: sqlx::Error,
}

/// What PostgreSQL is asked for is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// Too old.
    #[error("its version is {0}")]
    Version(String),
    /// Texts would be cut or garbled.
    #[error("its encoding is {0}")]
    Encoding(String),
    /// It follows another server, and only reads.
    #[error("PostgreSQL at {0} is a standby: it does not take writes")]
    Standby(String),
}

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const CONNECTION_EXCEPTION: &str = "08";
const DATA_EXCEPTION: &str = "22";
const CONSTRAINT_VIOLATION: &str = "23";
const UNIQUE_VIOLATION: &str = "23505";
const CHECK_VIOLATION: &str = "23514";
const INVALID_AUTHORIZATION: &str = "28000";
const INVALID_PASSWORD: &str = "28P01";
const INVALID_CATALOG_NAME: &str = "3D000";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const PROGRAM_LIMIT_EXCEEDED: &str = "54";
/// The server shuts down, has crashed, or is not up yet.
const OPERATOR_INTERVENTION: &str = "57P";
const LOCK_NOT_AVAILABLE: &str = "55P03";
