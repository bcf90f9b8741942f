//! The suite over SQLite, and what only a file can show.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::callback::Authorization;
use ringback_core::secret::Secret;
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_runtime::{Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use ringback_testkit::ManualClock;
use sqlx::Row as _;
use tempfile::TempDir;

use super::SqliteStore;
use crate::conformance::{
    Harness, attempts_of, sample_callback as callback, sample_history, sample_moment,
};
use crate::{Error, MasterKey, Store};

mod migrations;
mod plans;

crate::store_conformance!(SqliteHarness::new().await);

struct SqliteHarness {
    directory: TempDir,
    clock: ManualClock,
    open: Option<Open>,
}

struct Open {
    database: Arc<Database>,
    store: Arc<SqliteStore>,
    shutdown: Shutdown,
    writer: TaskGroup,
}

impl SqliteHarness {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let clock = ManualClock::new(sample_moment());
        let open = Open::in_directory(directory.path(), &clock).await;
        Self { directory, clock, open: Some(open) }
    }

    fn database(&self) -> &Database {
        &self.open.as_ref().expect("open between reopenings").database
    }
}

fn key() -> MasterKey {
    MasterKey::from_random([7; 32])
}

async fn open(database: &Arc<Database>, key: MasterKey) -> Result<Arc<SqliteStore>, Error> {
    SqliteStore::open(Arc::clone(database), key, Arc::new(SystemClock)).await
}

impl Open {
    async fn in_directory(directory: &Path, clock: &ManualClock) -> Self {
        let database = Database::open(directory).await.expect("nobody else has it");
        let clock = Arc::new(clock.clone());
        let store = SqliteStore::open(Arc::clone(&database), key(), clock).await;
        let store = store.expect("the tables are made");
        let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
        let running = Arc::clone(&database).run_writer(shutdown.clone());
        writer.start(async move { running.await.expect("it never fails") });
        Self { database, store, shutdown, writer }
    }

    async fn close(self) {
        self.shutdown.request();
        self.writer.drained().await;
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    fn store(&self) -> Arc<dyn Store> {
        let open = self.open.as_ref().expect("open between reopenings");
        Arc::clone(&open.store) as Arc<dyn Store>
    }

    async fn reopen(&mut self) {
        self.open.take().expect("open between reopenings").close().await;
        self.open = Some(Open::in_directory(self.directory.path(), &self.clock).await);
    }
}

/// Whether any file of the database holds this text.
fn on_disk(directory: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(directory).expect("the data directory");
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("a file of the database");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn secrets_are_on_no_disk() {
    let mut harness = SqliteHarness::new().await;
    let mut callback = callback(1);
    callback.description = "in plain view".to_owned();
    callback.authorization = Authorization::Basic {
        username: "ada-who-signs-in".to_owned(),
        password: Secret::new("correct horse battery staple"),
    };
    let previous = SigningSecret::from_random([9; 32]);
    let (signing_secret, previous_secret) = (callback.signing_secret.reveal(), previous.reveal());
    callback.previous_secret =
        Some(PreviousSecret { secret: previous, until: callback.created_at });
    harness.store().create_callback(&callback).await.expect("written");
    let path = harness.directory.path().to_owned();
    let check = || {
        assert!(on_disk(&path, "in plain view"), "the files looked at are the right ones");
        let signing = [signing_secret.reveal(), previous_secret.reveal()];
        for secret in ["correct horse", "ada-who-signs-in"].into_iter().chain(signing) {
            assert!(!on_disk(&path, secret), "{secret} can be read");
        }
        assert!(!on_disk(&path, key().to_base64().reveal()), "the master key can be read");
    };
    check();
    // And so it is once the log has gone into the database itself.
    harness.reopen().await;
    check();
}

#[tokio::test]
async fn wrong_master_key_is_refused_and_the_right_one_still_serves() {
    let mut harness = SqliteHarness::new().await;
    harness.store().create_callback(&callback(1)).await.expect("written");
    harness.open.take().expect("open").close().await;
    let database = Database::open(harness.directory.path()).await.expect("nobody else has it");
    let wrong = open(&database, MasterKey::from_random([8; 32])).await;
    assert!(matches!(wrong, Err(Error::WrongMasterKey)));
    let right = open(&database, key()).await.expect("the key it was written with");
    assert!(right.callback(callback(1).id).await.expect("read").is_some());
}

#[tokio::test]
async fn database_of_a_newer_version_is_refused_untouched() {
    let mut harness = SqliteHarness::new().await;
    harness.open.take().expect("open").close().await;
    let database = Database::open(harness.directory.path()).await.expect("nobody else has it");
    sqlx::query(
        "INSERT INTO schema_migration (version, name, applied_at_ms) VALUES (99, 'later', 0)",
    )
    .execute(&mut *database.writer().await)
    .await
    .expect("written");
    let error = open(&database, key()).await.err().expect("too new");
    assert!(matches!(error, Error::TooNew { found: 99, .. }));
    assert!(error.to_string().contains("newer version of Ringback"), "{error}");
}

#[tokio::test]
async fn sealed_text_that_was_moved_to_another_callback_does_not_open() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    for number in [1, 2] {
        store.create_callback(&callback(number)).await.expect("written");
    }
    sqlx::query(
        "UPDATE callback SET authorization_sealed = \
         (SELECT authorization_sealed FROM callback WHERE id = $1) WHERE id = $2",
    )
    .bind(callback(1).id.to_string())
    .bind(callback(2).id.to_string())
    .execute(&mut *harness.database().writer().await)
    .await
    .expect("written");
    let error = store.callback(callback(2).id).await.expect_err("it is the other one's");
    assert!(matches!(&error, Error::Unreadable { table: "callback", detail }
        if detail.contains("authorization_sealed")));
    assert!(store.callback(callback(1).id).await.is_ok());
}

#[tokio::test]
async fn row_that_cannot_be_read_is_named_by_table_and_column() {
    let harness = SqliteHarness::new().await;
    harness.store().create_callback(&callback(1)).await.expect("written");
    sqlx::query("UPDATE callback SET method = 'BREW'")
        .execute(&mut *harness.database().writer().await)
        .await
        .expect("written");
    let error = harness.store().callback(callback(1).id).await.expect_err("no such method");
    assert_eq!(
        error.to_string(),
        "a row of table `callback` can't be read: column `method`: `BREW` is not known here"
    );
}

#[tokio::test]
async fn change_goes_on_when_its_caller_goes_away() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    let mut revision = store.revision();
    // Held, so that the change is under way when its caller goes.
    let writer = harness.database().writer().await;
    let callback = callback(1);
    let mut change = store.create_callback(&callback);
    std::future::poll_fn(|context| {
        assert!(change.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(change);
    drop(writer);
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), revision.changed());
    told.await.expect("told within ten seconds").expect("the store is open");
    assert!(store.callback(callback.id).await.expect("read").is_some());
}

#[tokio::test]
async fn recording_after_the_writer_stopped_is_an_error_and_no_wait() {
    let mut harness = SqliteHarness::new().await;
    let Open { database, store, shutdown, writer } = harness.open.take().expect("open");
    shutdown.request();
    writer.drained().await;
    let records = sample_history(1);
    let error = store.record(records).await.expect_err("nobody writes any more");
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    drop(database);
}

#[tokio::test]
async fn retention_deletes_in_steps_the_oldest_first() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    let at = |ms| sample_moment() + std::time::Duration::from_millis(ms);
    for number in 0..250 {
        store.record(sample_history(number)).await.expect("recorded");
    }
    // 240 are old enough, to the millisecond.
    for (step, deleted) in [100, 100, 40, 0].into_iter().enumerate() {
        assert_eq!(store.delete_history(at(240), 100).await.expect("deleted"), deleted);
        let events = store.events(&crate::EventQuery::default(), 1_000, None).await.expect("read");
        assert_eq!(events.items.len(), 250 - (100 * (step + 1)).min(240));
        let oldest = events.items.iter().map(|event| event.accepted_at).min();
        assert_eq!(oldest, Some(at((100 * (step as u64 + 1)).min(240))));
    }
}

#[tokio::test]
async fn full_disk_is_told_and_nothing_is_half_written() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    leave_pages(harness.database(), 5).await;
    let mut callbacks = 0;
    let error = loop {
        match store.create_callback(&callback(callbacks)).await {
            Ok(()) if callbacks < 100 => callbacks += 1,
            Ok(()) => panic!("5 pages do not hold a hundred callbacks"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let revision = *store.revision().borrow();
    leave_pages(harness.database(), 20).await;
    let mut written = 0;
    let error = loop {
        assert!(written < 1_000, "20 pages hold no thousand events");
        match store.record(sample_history(written)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let large: Vec<_> = (2_000..3_000).flat_map(sample_history).collect();
    assert!(matches!(store.record(large).await, Err(Error::Full(_))));

    let kept = store.callbacks(&crate::CallbackQuery::default(), 200, None).await.expect("read");
    assert_eq!(kept.items.len(), usize::from(callbacks));
    assert_eq!(store.callback_changes(crate::Revision::ZERO).await.expect("read").1, revision);
    let events = store.events(&crate::EventQuery::default(), 2_000, None).await.expect("read");
    let deliveries =
        store.deliveries(&crate::DeliveryQuery::default(), 2_000, None).await.expect("read");
    assert_eq!(events.items.len(), written as usize);
    assert_eq!(deliveries.items.len(), written as usize);
    for delivery in deliveries.items {
        assert_eq!(attempts_of(&*store, delivery.id).await.len(), 1);
    }
    // Room again: everything goes on by itself.
    leave_pages(harness.database(), 100_000).await;
    store.record(sample_history(written)).await.expect("recorded");
    store.create_callback(&callback(callbacks)).await.expect("written");
    let deleted = store.delete_history(ringback_core::Timestamp::from_ms(i64::MAX), 10).await;
    assert_eq!(deleted.expect("deleted"), 10);
    store.ready().await.expect("it serves");
}

/// Lets the database grow by so many pages and no more: what a full disk is to SQLite.
async fn leave_pages(database: &Database, pages: i64) {
    let count: i64 = sqlx::query("PRAGMA page_count")
        .fetch_one(&mut *database.writer().await)
        .await
        .expect("read")
        .get(0);
    let limit = u32::try_from(count + pages).expect("a small file");
    database.limit_pages(limit).await.expect("set");
}

#[tokio::test]
async fn short_steps_of_traffic_go_after_two_days() {
    let mut harness = SqliteHarness::new().await;
    harness.store().record(sample_history(1)).await.expect("recorded");
    harness.reopen().await;
    harness.clock.advance(std::time::Duration::from_secs(2 * 24 * 60 * 60 + 5 * 60));
    harness.store().record(sample_history(2)).await.expect("recorded");
    harness.reopen().await;
    let store = harness.store();
    let since = ringback_core::Timestamp::EPOCH;
    let [short, long] =
        crate::Step::ALL.map(|step| store.traffic(&crate::TrafficOf::All, step, since));
    assert!(short.await.expect("read").is_empty());
    let long = long.await.expect("read");
    assert_eq!(long.iter().map(|(_, traffic)| traffic.delivered).sum::<u64>(), 2);
}

#[tokio::test]
async fn traffic_is_written_while_it_runs() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    store.record(sample_history(1)).await.expect("recorded");
    let written = async {
        let all = (&crate::TrafficOf::All, crate::Step::Hour, ringback_core::Timestamp::EPOCH);
        while store.traffic(all.0, all.1, all.2).await.expect("read").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(30), written).await;
    in_time.expect("some seconds later it is there");
}
