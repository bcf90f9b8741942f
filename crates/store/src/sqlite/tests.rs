//! The suite over SQLite, and what only a file can show.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ringback_core::callback::Authorization;
use ringback_core::secret::Secret;
use ringback_runtime::{Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use sqlx::Row as _;
use tempfile::TempDir;

use super::SqliteStore;
use crate::conformance::Harness;
use crate::{Error, MasterKey, Store};

crate::store_conformance!(SqliteHarness::new().await);

struct SqliteHarness {
    directory: TempDir,
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
        let open = Open::in_directory(directory.path()).await;
        Self {
            directory,
            open: Some(open),
        }
    }

    fn database(&self) -> &Database {
        &self
            .open
            .as_ref()
            .expect("open between reopenings")
            .database
    }
}

fn key() -> MasterKey {
    MasterKey::from_random([7; 32])
}

async fn open(database: &Arc<Database>, key: MasterKey) -> Result<Arc<SqliteStore>, Error> {
    SqliteStore::open(Arc::clone(database), key, Arc::new(SystemClock)).await
}

impl Open {
    async fn in_directory(directory: &Path) -> Self {
        let database = Database::open(directory).await.expect("nobody else has it");
        let store = open(&database, key()).await.expect("the tables are made");
        let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
        let running = Arc::clone(&database).run_writer(shutdown.clone());
        writer.start(async move { running.await.expect("it never fails") });
        Self {
            database,
            store,
            shutdown,
            writer,
        }
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
        self.open
            .take()
            .expect("open between reopenings")
            .close()
            .await;
        self.open = Some(Open::in_directory(self.directory.path()).await);
    }
}

fn callback(number: u8) -> ringback_core::Callback {
    crate::conformance::sample_callback(number)
}

/// Whether any file of the database holds this text.
fn on_disk(directory: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(directory).expect("the data directory");
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("a file of the database");
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
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
    let signing_secret = callback.signing_secret.reveal();
    harness
        .store()
        .create_callback(&callback)
        .await
        .expect("written");
    let path = harness.directory.path().to_owned();
    let check = || {
        assert!(
            on_disk(&path, "in plain view"),
            "the files looked at are the right ones"
        );
        for secret in ["correct horse", "ada-who-signs-in", signing_secret.reveal()] {
            assert!(!on_disk(&path, secret), "{secret} can be read");
        }
        assert!(
            !on_disk(&path, key().to_base64().reveal()),
            "the master key can be read"
        );
    };
    check();
    // And so it is once the log has gone into the database itself.
    harness.reopen().await;
    check();
}

#[tokio::test]
async fn wrong_master_key_is_refused_and_the_right_one_still_serves() {
    let mut harness = SqliteHarness::new().await;
    harness
        .store()
        .create_callback(&callback(1))
        .await
        .expect("written");
    harness.open.take().expect("open").close().await;
    let database = Database::open(harness.directory.path())
        .await
        .expect("nobody else has it");
    let wrong = open(&database, MasterKey::from_random([8; 32])).await;
    assert!(matches!(wrong, Err(Error::WrongMasterKey)));
    let right = open(&database, key())
        .await
        .expect("the key it was written with");
    assert!(
        right
            .callback(callback(1).id)
            .await
            .expect("read")
            .is_some()
    );
}

#[tokio::test]
async fn database_of_a_newer_version_is_refused_untouched() {
    let mut harness = SqliteHarness::new().await;
    harness.open.take().expect("open").close().await;
    let database = Database::open(harness.directory.path())
        .await
        .expect("nobody else has it");
    sqlx::query(
        "INSERT INTO schema_migration (version, name, applied_at_ms) VALUES (99, 'later', 0)",
    )
    .execute(&mut *database.writer().await)
    .await
    .expect("written");
    let error = open(&database, key()).await.err().expect("too new");
    assert!(matches!(error, Error::TooNew { found: 99, .. }));
    assert!(
        error.to_string().contains("newer version of Ringback"),
        "{error}"
    );
}

#[tokio::test]
async fn sealed_text_that_was_moved_to_another_callback_does_not_open() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    for number in [1, 2] {
        store
            .create_callback(&callback(number))
            .await
            .expect("written");
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
    let error = store
        .callback(callback(2).id)
        .await
        .expect_err("it is the other one's");
    assert!(
        matches!(&error, Error::Unreadable { table: "callback", detail }
        if detail.contains("authorization_sealed"))
    );
    assert!(store.callback(callback(1).id).await.is_ok());
}

#[tokio::test]
async fn row_that_cannot_be_read_is_named_by_table_and_column() {
    let harness = SqliteHarness::new().await;
    harness
        .store()
        .create_callback(&callback(1))
        .await
        .expect("written");
    sqlx::query("UPDATE callback SET method = 'BREW'")
        .execute(&mut *harness.database().writer().await)
        .await
        .expect("written");
    let error = harness
        .store()
        .callback(callback(1).id)
        .await
        .expect_err("no such method");
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
    told.await
        .expect("told within ten seconds")
        .expect("the store is open");
    assert!(store.callback(callback.id).await.expect("read").is_some());
}

#[tokio::test]
async fn recording_after_the_writer_stopped_is_an_error_and_no_wait() {
    let mut harness = SqliteHarness::new().await;
    let Open {
        database,
        store,
        shutdown,
        writer,
    } = harness.open.take().expect("open");
    shutdown.request();
    writer.drained().await;
    let records = crate::conformance::sample_history(1);
    let error = store
        .record(records)
        .await
        .expect_err("nobody writes any more");
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    drop(database);
}

#[tokio::test]
async fn full_disk_is_told_and_nothing_is_half_written() {
    let harness = SqliteHarness::new().await;
    let store = harness.store();
    let pages: i64 = {
        let mut writer = harness.database().writer().await;
        let pages = sqlx::query("PRAGMA page_count")
            .fetch_one(&mut *writer)
            .await
            .expect("read")
            .get(0);
        let limit = format!("PRAGMA max_page_count = {}", pages + 20);
        sqlx::query(sqlx::AssertSqlSafe(limit))
            .execute(&mut *writer)
            .await
            .expect("set");
        pages
    };
    let mut written = 0;
    let error = loop {
        assert!(
            written < 1_000,
            "{pages} pages and 20 more hold no thousand events"
        );
        match store
            .record(crate::conformance::sample_history(written))
            .await
        {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let large: Vec<_> = (2_000..3_000)
        .flat_map(crate::conformance::sample_history)
        .collect();
    assert!(matches!(store.record(large).await, Err(Error::Full(_))));
    let change = store
        .create_callback(&crate::conformance::sample_callback(1))
        .await;
    let callbacks = store
        .callbacks(&crate::CallbackQuery::default(), 10, None)
        .await
        .expect("read");
    assert_eq!(change.is_ok(), callbacks.items.len() == 1);

    let events = store
        .events(&crate::EventQuery::default(), 2_000, None)
        .await
        .expect("read");
    let deliveries = store
        .deliveries(&crate::DeliveryQuery::default(), 2_000, None)
        .await
        .expect("read");
    assert_eq!(events.items.len(), written as usize);
    assert_eq!(deliveries.items.len(), written as usize);
    for delivery in deliveries.items {
        assert_eq!(store.attempts(delivery.id).await.expect("read").len(), 1);
    }
    // Room again: it goes on by itself.
    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(&mut *harness.database().writer().await)
        .await
        .expect("set");
    store
        .record(crate::conformance::sample_history(written))
        .await
        .expect("recorded");
}

/// How SQLite goes about a query.
async fn plan(database: &Database, sql: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(database.readers())
        .await
        .expect("a query");
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    steps.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn every_list_runs_along_an_index_and_sorts_nothing() {
    use crate::sql;
    use crate::{Cursor, DeliveryQuery, EventQuery, StatusFilter};

    type Values = super::values::Values;
    let harness = SqliteHarness::new().await;
    let after = Cursor {
        at: ringback_core::Timestamp::EPOCH,
        id: "x".to_owned(),
    };
    let account = || Some("acme".parse().expect("an account"));
    let callback = Some(callback(1).id);
    let delivery = DeliveryQuery::default;
    let deliveries = [
        (delivery(), "delivery_by_time"),
        (
            DeliveryQuery {
                account: account(),
                ..delivery()
            },
            "delivery_by_account",
        ),
        (
            DeliveryQuery {
                callback,
                ..delivery()
            },
            "delivery_by_callback",
        ),
        (
            DeliveryQuery {
                status: Some(StatusFilter::Pending),
                ..delivery()
            },
            "delivery_undelivered",
        ),
        (
            DeliveryQuery {
                status: Some(StatusFilter::Exhausted),
                ..delivery()
            },
            "delivery_undelivered",
        ),
        (
            DeliveryQuery {
                status: Some(StatusFilter::Cancelled),
                ..delivery()
            },
            "delivery_undelivered",
        ),
        (
            DeliveryQuery {
                status: Some(StatusFilter::Delivered),
                ..delivery()
            },
            "delivery_by_time",
        ),
    ];
    for (query, index) in deliveries {
        let statement = sql::deliveries::<Values>(&query, 50, Some(&after));
        let plan = plan(harness.database(), &statement.sql).await;
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{query:?}: {plan}"
        );
    }
    let event = EventQuery::default;
    let events = [
        (event(), "event_by_time"),
        (
            EventQuery {
                account: account(),
                ..event()
            },
            "event_by_account",
        ),
    ];
    for (query, index) in events {
        let statement = sql::events::<Values>(&query, 50, Some(&after));
        let plan = plan(harness.database(), &statement.sql).await;
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{query:?}: {plan}"
        );
    }
    let keys = [
        ("id".into(), "account".into()),
        ("id".into(), "account".into()),
    ];
    let by_event = DeliveryQuery {
        event: Some(ringback_core::EventId::from_uuid(uuid::Uuid::nil())),
        ..delivery()
    };
    for (statement, index) in [
        (
            sql::deliveries::<Values>(&by_event, 50, None).sql,
            "delivery_by_event",
        ),
        (sql::DELETABLE_EVENTS.to_owned(), "event_by_time"),
        (sql::DELETABLE_EVENTS.to_owned(), "delivery_by_event"),
        (
            sql::delete_events::<Values>(&keys).sql,
            "sqlite_autoindex_event_1",
        ),
        (sql::delete_events::<Values>(&keys).sql, "delivery_by_event"),
        (
            sql::delete_deliveries::<Values>(&keys).sql,
            "delivery_by_event",
        ),
        (
            sql::delete_attempts::<Values>(&["id".into()]).sql,
            "sqlite_autoindex_attempt_1",
        ),
    ] {
        let plan = plan(harness.database(), &statement).await;
        assert!(
            plan.contains(index) && !plan.contains("SCAN delivery"),
            "{statement}: {plan}"
        );
    }
}
