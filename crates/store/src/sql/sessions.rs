//! Who is signed in to the console, and links that open a session.

macro_rules! columns {
    () => {
        "hash, key_hash, account, created_at_ms, expires_at_ms"
    };
}

pub(crate) const INSERT_SESSION: &str =
    concat!("INSERT INTO session (", columns!(), ") VALUES ($1, $2, $3, $4, $5)");
pub(crate) const FORGET_SESSIONS: &str = "DELETE FROM session WHERE expires_at_ms <= $1";
pub(crate) const SESSION: &str =
    concat!("SELECT ", columns!(), " FROM session WHERE hash = $1 AND expires_at_ms > $2");
pub(crate) const DELETE_SESSION: &str = "DELETE FROM session WHERE hash = $1";

pub(crate) const INSERT_CONSOLE_LINK: &str =
    concat!("INSERT INTO console_link (", columns!(), ") VALUES ($1, $2, $3, $4, $5)");
pub(crate) const FORGET_CONSOLE_LINKS: &str = "DELETE FROM console_link WHERE expires_at_ms <= $1";
pub(crate) const CONSOLE_LINK: &str =
    concat!("SELECT ", columns!(), " FROM console_link WHERE hash = $1 AND expires_at_ms > $2");
/// One statement: of several who run it at once, one is given the row.
pub(crate) const REDEEM_CONSOLE_LINK: &str = concat!(
    "DELETE FROM console_link WHERE hash = $1 AND expires_at_ms > $2 RETURNING ",
    columns!()
);
