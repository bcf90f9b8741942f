//! The catalog, and the settings of accounts.

pub(crate) const EVENT_TYPES: &str =
    "SELECT name, description, variables FROM event_type ORDER BY name";
pub(crate) const PUT_EVENT_TYPE: &str = "INSERT INTO event_type (name, description, variables, created_at_ms, updated_at_ms) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET description = excluded.description, \
     variables = excluded.variables, updated_at_ms = excluded.updated_at_ms";
pub(crate) const DELETE_EVENT_TYPE: &str = "DELETE FROM event_type WHERE name = $1";

/// An account is in the table once it has wanted something else than the default.
pub(crate) const ACCOUNT_SETTINGS: &str =
    "SELECT name, strict FROM account WHERE strict <> 0 ORDER BY name";
pub(crate) const PUT_ACCOUNT_SETTINGS: &str = "INSERT INTO account (name, strict, updated_at_ms) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET strict = excluded.strict, updated_at_ms = excluded.updated_at_ms";
