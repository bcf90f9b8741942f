//! The suite over PostgreSQL, and what only a server can show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringback_runtime::{Shutdown, TaskGroup};
use ringback_testkit::{ManualClock, servers};
use sqlx::Row as _;

use super::connection::Database;
use super::values::Values;
use super::{PostgresStore, Settings};
use crate::conformance::{Harness, sample_moment};
use crate::{MasterKey, Store};

mod partitions;
mod plans;
mod processes;
mod recording;
mod schema;
mod server;
mod transfer;

crate::store_conformance!(PostgresHarness::new().await);

/// A store, or several, over one database.
struct PostgresHarness {
    settings: Settings,
    clock: ManualClock,
    open: Option<Open>,
}

/// A store that runs, as in a process of its own.
struct Open {
    store: Arc<PostgresStore>,
    shutdown: Shutdown,
    running: TaskGroup,
}

/// What a test waits for before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

impl PostgresHarness {
    /// On the server that all tests share.
    async fn new() -> Self {
        let url = servers::fresh_database().await.expect("a database of its own");
        Self::at(&url).await
    }

    async fn at(url: &str) -> Self {
        let settings = Settings::at(url).expect("an address");
        // Partitions are made three days ahead: so that the samples' day has one, and the days before it.
        let clock = ManualClock::new(sample_moment() - Duration::from_secs(3 * 24 * 60 * 60));
        let open = Open::at(&settings, &clock).await;
        Self { settings, clock, open: Some(open) }
    }

    /// Another process over the same database.
    async fn another(&self) -> Open {
        Open::at(&self.settings, &self.clock).await
    }

    fn database(&self) -> &Database {
        &self.opened().store.database
    }

    /// Runs a statement as an operator would.
    async fn sql(&self, sql: &'static str) {
        self.database().rows(sql, Values::none()).await.expect("a statement");
    }

    /// The first column of the first row.
    async fn number(&self, sql: &'static str) -> i64 {
        let rows = self.database().rows(sql, Values::none()).await.expect("a query");
        rows.first().expect("a row").get(0)
    }

    fn opened(&self) -> &Open {
        self.open.as_ref().expect("open between reopenings")
    }
}

fn key() -> MasterKey {
    MasterKey::from_random([7; 32])
}

impl Open {
    async fn at(settings: &Settings, clock: &ManualClock) -> Self {
        let clock = Arc::new(clock.clone());
        let store = PostgresStore::open(settings.clone(), key(), clock).await.expect("it opens");
        let (shutdown, running) = (Shutdown::new(), TaskGroup::new());
        let run = Arc::clone(&store).run(shutdown.clone());
        running.start(async move {
            let Ok(()) = run.await;
        });
        Self { store, shutdown, running }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn close(self) {
        self.shutdown.request();
        self.running.drained().await;
    }
}

#[async_trait]
impl Harness for PostgresHarness {
    fn store(&self) -> Arc<dyn Store> {
        self.opened().store()
    }

    async fn reopen(&mut self) {
        self.open.take().expect("open between reopenings").close().await;
        self.open = Some(self.another().await);
    }
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
