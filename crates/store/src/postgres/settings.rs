//! Where the database is, and how many connections it may be asked for.

use std::fmt;
use std::num::NonZeroU32;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// Where the database is, and how many connections it may be asked for. `Debug` shows no password.
#[derive(Clone)]
pub struct Settings {
    /// Connections for reading and for configuration, one of which listens for what others change.
    pub connections_max: NonZeroU32,
    /// Connections that history is written on, beside those.
    pub recorders: NonZeroU32,
    pub(super) options: PgConnectOptions,
}

/// The text is no address of a database. Says nothing of what stands in it: that may be a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "not the address of a PostgreSQL database, such as postgres://user:password@host:5432/database"
)]
pub struct InvalidUrl(#[source] Option<sqlx::Error>);

/// Enough for an API and a worker: history, which is most of the work, does not go over these.
const CONNECTIONS_MAX: NonZeroU32 = NonZeroU32::new(8).expect("8 is not zero");
/// A second one writes up to two fifths more where commits are slow, and costs the database a tenth more for each delivery,
/// as batches are smaller (`examples/record.rs`). Several processes have several anyway.
const RECORDERS: NonZeroU32 = NonZeroU32::MIN;

impl Settings {
    /// Those for the database at this address, `postgres://user:password@host:port/database?sslmode=…`, as libpq reads it.
    /// What it leaves out comes from the environment (`PGHOST`, `PGUSER`, `PGPASSWORD`, …).
    ///
    /// # Errors
    /// [`InvalidUrl`] if it is none.
    pub fn at(url: &str) -> Result<Self, InvalidUrl> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(InvalidUrl(None));
        }
        let options: PgConnectOptions = url.parse().map_err(|error| InvalidUrl(Some(error)))?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("ringback"),
        };
        // Only asked for by those who read floats; and PgBouncer refuses what it does not know.
        let options = options.extra_float_digits(None).disable_statement_logging();
        Ok(Self { connections_max: CONNECTIONS_MAX, recorders: RECORDERS, options })
    }

    /// Host, port and database, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => format!("{}/{database}", socket.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place())
            .field("connections_max", &self.connections_max)
            .field("recorders", &self.recorders)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_does_not_show() {
        let settings = Settings::at("postgres://ada:hush%20hush@db.example.com:6543/hooks");
        let settings = settings.expect("an address");
        assert_eq!(settings.place(), "db.example.com:6543/hooks");
        let shown = format!("{settings:?}");
        assert!(shown.contains("db.example.com:6543/hooks") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for url in
            ["", "hush", "mysql://ada:hush@db/x", "postgres://ada:hush@db:x/x", "postgres://[hush"]
        {
            let error = Settings::at(url).expect_err("no address");
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            assert!(!format!("{error} {cause:?} {error:?}").contains("hush"), "{url}: {error:?}");
        }
    }
}
