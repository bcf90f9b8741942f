//! The tables, step by step. A step that was released is never changed: a database keeps what it has been through.

/// One step.
pub(crate) struct Migration {
    /// Its number; steps run in this order.
    pub(crate) version: i64,
    /// What it is about.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) sql: &'static str,
}

/// The schema that these steps lead to.
pub(crate) fn newest(steps: &[Migration]) -> i64 {
    steps.last().map_or(0, |migration| migration.version)
}

/// All steps of an SQLite database, first one first.
pub(crate) const SQLITE: &[Migration] = &[
    Migration {
        version: 1,
        name: "configuration_and_history",
        sql: include_str!("../migrations/sqlite/0001_configuration_and_history.sql"),
    },
    Migration {
        version: 2,
        name: "pausing_rates_and_circuits",
        sql: include_str!("../migrations/sqlite/0002_pausing_rates_and_circuits.sql"),
    },
    Migration {
        version: 3,
        name: "catalog_replays_and_logged_requests",
        sql: include_str!("../migrations/sqlite/0003_catalog_replays_and_logged_requests.sql"),
    },
    Migration {
        version: 4,
        name: "backlog",
        sql: include_str!("../migrations/sqlite/0004_backlog.sql"),
    },
    Migration {
        version: 5,
        name: "console",
        sql: include_str!("../migrations/sqlite/0005_console.sql"),
    },
];

/// All steps of a PostgreSQL database, first one first.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        version: 1,
        name: "configuration_and_history",
        sql: include_str!("../migrations/postgres/0001_configuration_and_history.sql"),
    },
    Migration {
        version: 2,
        name: "catalog_replays_and_logged_requests",
        sql: include_str!("../migrations/postgres/0002_catalog_replays_and_logged_requests.sql"),
    },
    Migration {
        version: 3,
        name: "backlog",
        sql: include_str!("../migrations/postgres/0003_backlog.sql"),
    },
    Migration {
        version: 4,
        name: "console",
        sql: include_str!("../migrations/postgres/0004_console.sql"),
    },
];

/// Where the steps taken are remembered.
pub(crate) const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at_ms BIGINT NOT NULL)";
pub(crate) const REACHED: &str =
    "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migration";
pub(crate) const REMEMBER: &str =
    "INSERT INTO schema_migration (version, name, applied_at_ms) VALUES ($1, $2, $3)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_from_one_without_a_gap() {
        for steps in [SQLITE, POSTGRES] {
            for (step, version) in steps.iter().zip(1..) {
                assert_eq!(step.version, version, "{}", step.name);
            }
        }
    }
}
