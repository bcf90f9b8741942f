//! The embedded store under the conformance suite, and what only it promises.

#![expect(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

use std::path::Path;

use ringback_runtime::Shutdown;
use ringback_testkit::ManualClock;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::conformance::{self, Harness};

const KEEP: Duration = Duration::from_secs(60 * 60);

struct Running {
    database: Arc<Database>,
    store: Arc<Embedded>,
    shutdown: Shutdown,
    writer: JoinHandle<Result<(), ringback_sqlite::Error>>,
}

impl Running {
    async fn start(directory: &Path, clock: &ManualClock) -> Self {
        let database = Database::open(directory).await.expect("opened");
        let opened = Embedded::open(Arc::clone(&database), Arc::new(clock.clone())).await;
        let store = opened.expect("set up");
        let shutdown = Shutdown::new();
        let writer = tokio::spawn(Arc::clone(&database).run_writer(shutdown.clone()));
        Self { database, store, shutdown, writer }
    }

    async fn stop(self) {
        self.shutdown.request();
        self.writer.await.expect("no panic").expect("stopped");
    }

    async fn rows(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM request_key")
            .fetch_one(self.database.readers())
            .await
            .expect("read")
    }
}

struct EmbeddedHarness {
    directory: TempDir,
    clock: ManualClock,
    running: Option<Running>,
}

impl EmbeddedHarness {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::default();
        let running = Some(Running::start(directory.path(), &clock).await);
        Self { directory, clock, running }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was started")
    }

    async fn begin(&self, key: &str) -> Begun {
        let begun = self.running().store.begin(&header(key), "x", KEEP, "mark").await;
        begun.expect("begun")
    }
}

#[async_trait]
impl Harness for EmbeddedHarness {
    fn store(&self) -> Arc<dyn Idempotency> {
        Arc::clone(&self.running().store) as Arc<dyn Idempotency>
    }

    async fn restart(&mut self) {
        self.running.take().expect("it was started").stop().await;
        self.running = Some(Running::start(self.directory.path(), &self.clock).await);
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

fn header(key: &str) -> RequestKey {
    RequestKey::Header { account: None, key: key.to_owned() }
}

#[tokio::test]
async fn embedded_store_keeps_the_promises_of_the_port() {
    conformance::run(EmbeddedHarness::new).await;
}

#[tokio::test]
async fn request_whose_handler_was_dropped_is_unfinished_after_a_minute() {
    let harness = EmbeddedHarness::new().await;
    assert_eq!(harness.begin("a").await, Begun::New);
    harness.advance(Duration::from_secs(59)).await;
    assert_eq!(harness.begin("a").await, Begun::InProgress);
    harness.advance(Duration::from_secs(1)).await;
    assert_eq!(harness.begin("a").await, Begun::Unfinished { mark: "mark".to_owned() });
    assert_eq!(harness.begin("a").await, Begun::InProgress, "the repeat has it now");
}

#[tokio::test]
async fn expired_keys_are_deleted_in_steps_and_others_stay() {
    let mut harness = EmbeddedHarness::new().await;
    for number in 0..(EXPIRE_STEP + 20) {
        assert_eq!(harness.begin(&number.to_string()).await, Begun::New);
    }
    harness.advance(KEEP).await;
    assert_eq!(harness.begin("later").await, Begun::New);
    harness.restart().await;
    let running = harness.running();
    assert_eq!(running.store.expire().await.expect("expired"), EXPIRE_STEP + 20);
    assert_eq!(running.store.expire().await.expect("expired"), 0);
    assert_eq!(running.rows().await, 1);
    assert_eq!(harness.begin("later").await, Begun::Unfinished { mark: "mark".to_owned() });
}

#[tokio::test]
async fn nothing_is_begun_after_the_writer_stopped() {
    let mut harness = EmbeddedHarness::new().await;
    let running = harness.running.take().expect("it was started");
    let store = Arc::clone(&running.store);
    running.stop().await;
    assert!(store.begin(&header("a"), "x", KEEP, "mark").await.is_err());
    assert!(store.ready().await.is_err());
}
