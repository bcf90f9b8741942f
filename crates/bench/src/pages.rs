//! What the pages of the console take of the server's time, with a million deliveries in the history, on both databases.
//!
//! The pages are asked for as a browser would, through the console's own router, one at a time; what is measured is the time
//! until the last byte of the answer, without a network between. Ten seconds pass from one to the next, so that each reads
//! anew what is kept in memory for so long.

mod history;
mod visits;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ringback_runtime::{Clock as _, Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::postgres::{PostgresStore, Settings};
use ringback_store::sqlite::SqliteStore;
use ringback_store::{MasterKey, Store};
use ringback_testkit::ManualClock;
use ringback_testkit::servers::{Postgres, PostgresSettings};

use self::history::History;
use self::visits::Visits;
use crate::receiver::say;

/// How much there is to look at.
#[derive(Args)]
pub(crate) struct Options {
    /// Deliveries in the history
    #[arg(long, default_value_t = 1_000_000)]
    deliveries: usize,
    /// How often each page is asked for
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// One database alone
    #[arg(long)]
    only: Option<Which>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
}

/// What a page may take.
const GOAL_MS: f64 = 100.0;

pub(crate) async fn run(options: Options) -> Result<()> {
    let mut slow = 0;
    if options.only != Some(Which::Postgres) {
        slow += in_sqlite(&options).await?;
    }
    if options.only != Some(Which::Sqlite) {
        slow += in_postgres(&options).await?;
    }
    if slow > 0 {
        bail!("{slow} pages took more than {GOAL_MS} ms");
    }
    Ok(())
}

async fn in_sqlite(options: &Options) -> Result<usize> {
    let directory = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let database = Database::open(directory.path()).await?;
    let store = SqliteStore::open(Arc::clone(&database), master_key(), clock.clone()).await?;
    let (shutdown, tasks) = (Shutdown::new(), TaskGroup::new());
    let running = Arc::clone(&database).run_writer(shutdown.clone());
    tasks.start(async move { running.await.expect("it never fails") });
    let slow = measure("SQLite", options, store, clock).await?;
    shutdown.request();
    tasks.drained().await;
    Ok(slow)
}

async fn in_postgres(options: &Options) -> Result<usize> {
    let server = Postgres::start(PostgresSettings::default()).await?;
    let settings = Settings::at(&server.create_database().await?)?;
    let clock = Arc::new(ManualClock::new(SystemClock.now() - history::DAY * history::DAYS));
    let store = PostgresStore::open(settings, master_key(), clock.clone()).await?;
    let (shutdown, tasks) = (Shutdown::new(), TaskGroup::new());
    let run = Arc::clone(&store).run(shutdown.clone());
    tasks.start(async move {
        let Ok(()) = run.await;
    });
    for _ in 0..history::DAYS {
        // It makes the partitions of the days as they come.
        clock.advance(history::DAY);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let slow = measure("PostgreSQL", options, store, clock).await?;
    shutdown.request();
    tasks.drained().await;
    Ok(slow)
}

fn master_key() -> MasterKey {
    MasterKey::from_random([7; 32])
}

/// Returns how many pages were too slow.
async fn measure(
    name: &str,
    options: &Options,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
) -> Result<usize> {
    let history = History::written(&store, options.deliveries, clock.now()).await?;
    say(&format!("\n{name}: {} deliveries\n\n", options.deliveries))?;
    say("| page | first ms | median ms | worst ms | KB |\n|---|---|---|---|---|\n")?;
    let visits = Visits::begin(store, clock, &history).await?;
    let mut slow = 0;
    for (what, path, visitor) in visits.pages(&history).await? {
        let visit = visits.visit(visitor, &path, options.runs).await?;
        let (first, median, worst) = (visit.first_ms(), visit.median_ms(), visit.worst_ms());
        let kb = visit.bytes / 1_000;
        say(&format!("| {what} | {first:.1} | {median:.1} | {worst:.1} | {kb} |\n"))?;
        slow += usize::from(first.max(worst) > GOAL_MS);
    }
    Ok(slow)
}
