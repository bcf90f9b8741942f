//! Moving from one database to another, and back.

use ringback_core::callback::{Authorization, CallbackState};
use ringback_core::secret::Secret;
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_core::{ApiKeyId, Event};
use ringback_runtime::SystemClock;

use super::*;
use crate::conformance::{
    assert_same_callback, sample_callback, sample_history, sample_parked, sample_replay,
};
use crate::sqlite::SqliteStore;
use crate::transfer::{Table, Transfer, Unfinished};
use crate::{AccountSettings, ApiKey, EventQuery, KeyHash, LoggedRequest, Scope, UnknownTypes};

/// Small, so that there are several pages.
const PAGE: usize = 3;

fn transfer_key() -> MasterKey {
    MasterKey::from_random([9; 32])
}

async fn exported(from: &dyn Transfer) -> Vec<(Table, Vec<String>)> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        let mut rows: Vec<String> = Vec::new();
        loop {
            let after = rows.last().map(String::as_str);
            let page = from.export_rows(table, after, PAGE, &transfer_key()).await;
            let page = page.expect("they are read");
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        tables.push((table, rows));
    }
    tables
}

async fn import(to: &dyn Transfer, tables: &[(Table, Vec<String>)]) {
    for (table, rows) in tables {
        for rows in rows.chunks(PAGE) {
            to.import_rows(*table, rows, &transfer_key()).await.expect("they are written");
        }
    }
}

/// Rows as values, without what is sealed: that never looks the same.
fn plain(tables: &[(Table, Vec<String>)]) -> Vec<(Table, Vec<serde_json::Value>)> {
    let row = |row: &String| {
        let mut row: serde_json::Value = serde_json::from_str(row).expect("an object");
        for (name, value) in row.as_object_mut().expect("an object") {
            if name.ends_with("_sealed") {
                *value = serde_json::Value::Null;
            }
        }
        row
    };
    tables.iter().map(|(table, rows)| (*table, rows.iter().map(row).collect())).collect()
}

/// Rows as PostgreSQL keeps them.
fn without_nul(
    mut tables: Vec<(Table, Vec<serde_json::Value>)>,
) -> Vec<(Table, Vec<serde_json::Value>)> {
    let mut replaced = 0;
    for row in tables.iter_mut().flat_map(|(_, rows)| rows) {
        for value in row.as_object_mut().expect("an object").values_mut() {
            if let Some(text) = value.as_str().filter(|text| text.contains('\0')) {
                *value = text.replace('\0', "\u{fffd}").into();
                replaced += 1;
            }
        }
    }
    assert_eq!(replaced, 1, "there is one to be replaced");
    tables
}

/// One of everything, and of history several pages.
async fn fill(store: &dyn Store) {
    let mut callback = sample_callback(1);
    callback.description = "backslash \\u0000, tab\t, \"quotes\", Zürich, \u{1f600}".to_owned();
    callback.authorization = Authorization::Bearer { token: Secret::new("open sesame") };
    callback.previous_secret = Some(PreviousSecret {
        secret: SigningSecret::from_random([3; 32]),
        until: sample_moment(),
    });
    store.create_callback(&callback).await.expect("written");
    let paused = ringback_core::Callback { state: CallbackState::Paused, ..sample_callback(2) };
    store.create_callback(&paused).await.expect("written");
    let key = ApiKey {
        id: ApiKeyId::from_parts(sample_moment(), [1; 10]),
        description: "test".to_owned(),
        scope: Scope::Account("acme".parse().expect("an account")),
        hash: KeyHash::of(&Secret::new("rbk_1")),
        created_at: sample_moment(),
    };
    store.create_api_key(&key).await.expect("written");
    let types = ringback_core::catalog::built_in().to_vec();
    assert!(store.change_event_types(&types[..1], &[], sample_moment()).await.expect("written"));
    let unknown_types = UnknownTypes::Refused;
    let account = AccountSettings { account: "acme".parse().expect("an account"), unknown_types };
    store.put_account_settings(&account, sample_moment()).await.expect("written");
    let logged = LoggedRequest {
        id: ringback_core::LoggedRequestId::from_parts(sample_moment(), [1; 10]),
        account: None,
        callback: None,
        received_at: sample_moment(),
        method: "GET".to_owned(),
        // PostgreSQL takes no such text.
        query: "f=\0lp".to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
        body: vec![0, 255],
        body_truncated: true,
    };
    store.log_request(&logged).await.expect("written");
    for number in 0..8 {
        store.record(sample_history(number)).await.expect("recorded");
    }
    store.record(sample_parked(100, &paused)).await.expect("recorded");
    let event = first_event(store).await;
    assert_eq!(store.count_replay(&event).await.expect("written"), Some(1));
    store.create_replay(&sample_replay()).await.expect("written");
}

async fn first_event(store: &dyn Store) -> Event {
    let page = store.events(&EventQuery::default(), 1, None).await.expect("read");
    page.items.into_iter().next().expect("there are some")
}

#[tokio::test]
async fn everything_moves_from_sqlite_to_postgres_and_back_without_a_difference() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, sqlite) = sqlite(directory.path(), [1; 32]).await;
    let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
    let running = Arc::clone(&database).run_writer(shutdown.clone());
    writer.start(async move { running.await.expect("it never fails") });
    fill(&*sqlite).await;
    let there = exported(&*sqlite).await;
    assert_eq!(there.len(), sqlite.filled().await.expect("read").len(), "one of everything");

    let postgres = PostgresHarness::new().await;
    let target = &postgres.opened().store;
    assert_eq!(target.filled().await.expect("read"), []);
    // Twice, as after a crash.
    import(&**target, &there).await;
    import(&**target, &there).await;
    target.end_import().await.expect("written");
    let expected = without_nul(plain(&there));
    assert_eq!(plain(&exported(&**target).await), expected);
    assert_eq!(postgres.number("SELECT COUNT(*) FROM event_default").await, 0);

    let back_directory = tempfile::tempdir().expect("a directory");
    let (_, back) = self::sqlite(back_directory.path(), [3; 32]).await;
    import(&*back, &exported(&**target).await).await;
    back.end_import().await.expect("written");
    assert_eq!(plain(&exported(&*back).await), expected);

    for store in [&**target as &dyn Store, &*back] {
        let callback = store.callback(sample_callback(1).id).await.expect("read").expect("there");
        let was = sqlite.callback(callback.id).await.expect("read").expect("there");
        assert_same_callback(&callback, &was);
        let (changes, _) = store.callback_changes(crate::Revision::ZERO).await.expect("read");
        assert_eq!(changes.len(), 2, "workers are told of them");
        let parked = store.parked(sample_callback(2).id, 10).await.expect("read");
        assert_eq!(parked.len(), 1);
        let event = first_event(&*sqlite).await;
        let counted = store.count_replay(&event).await.expect("written");
        assert_eq!(counted, Some(2), "replays are counted on");
    }
    shutdown.request();
    writer.drained().await;
}

#[tokio::test]
async fn import_is_remembered_until_it_is_finished() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, sqlite) = sqlite(directory.path(), [1; 32]).await;
    let postgres = PostgresHarness::new().await;
    for store in [&*sqlite as &dyn Transfer, &*postgres.opened().store] {
        let standing = async |id| store.unfinished_import(id).await.expect("read");
        assert_eq!(standing("a").await, Unfinished::None);
        for _ in 0..2 {
            store.begin_import("a").await.expect("written");
            assert_eq!(standing("a").await, Unfinished::This);
            assert_eq!(standing("b").await, Unfinished::Another);
        }
        store.end_import().await.expect("written");
        assert_eq!(standing("a").await, Unfinished::None);
    }
}

#[tokio::test]
async fn batch_with_a_row_that_cannot_be_written_is_not_written_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, sqlite) = sqlite(directory.path(), [1; 32]).await;
    let postgres = PostgresHarness::new().await;
    for store in [&*sqlite as &dyn Transfer, &*postgres.opened().store] {
        let good =
            r#"{"name":"A","description":"","variables":"[]","created_at_ms":1,"updated_at_ms":1}"#;
        let rows = [good.to_owned(), good.replace("\"A\"", "null")];
        let written = store.import_rows(Table::EventType, &rows, &transfer_key()).await;
        written.expect_err("a name is missing");
        assert_eq!(store.filled().await.expect("read"), []);
    }
}

#[tokio::test]
async fn callback_of_a_version_that_knew_no_previous_secret_is_taken() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, from) = sqlite(directory.path(), [1; 32]).await;
    let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
    let running = Arc::clone(&database).run_writer(shutdown.clone());
    writer.start(async move { running.await.expect("it never fails") });
    let callback = sample_callback(1);
    from.create_callback(&callback).await.expect("written");
    let rows = from.export_rows(Table::Callback, None, PAGE, &transfer_key()).await.expect("read");
    let mut row: serde_json::Value = serde_json::from_str(&rows[0]).expect("an object");
    for column in ["previous_secret_sealed", "previous_secret_until_ms"] {
        assert!(row.as_object_mut().expect("an object").remove(column).is_some(), "{column}");
    }
    let rows = [row.to_string()];

    let target_directory = tempfile::tempdir().expect("a directory");
    let (_, target) = sqlite(target_directory.path(), [2; 32]).await;
    let postgres = PostgresHarness::new().await;
    let import_to = async |to: &dyn Transfer| {
        to.import_rows(Table::Callback, &rows, &transfer_key()).await.expect("written");
    };
    import_to(&*target).await;
    import_to(&*postgres.opened().store).await;
    for store in [&*target as &dyn Store, &*postgres.opened().store] {
        let read = store.callback(callback.id).await.expect("read").expect("there");
        assert_same_callback(&read, &callback);
    }
    shutdown.request();
    writer.drained().await;
}

async fn sqlite(
    directory: &std::path::Path,
    key: [u8; 32],
) -> (Arc<ringback_sqlite::Database>, Arc<SqliteStore>) {
    let database = ringback_sqlite::Database::open(directory).await.expect("nobody else has it");
    let key = MasterKey::from_random(key);
    let store = SqliteStore::open(Arc::clone(&database), key, Arc::new(SystemClock)).await;
    (database, store.expect("the tables are made"))
}
