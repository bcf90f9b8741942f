//! A server that is not there, goes away, or does not let us in.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use ringback_runtime::SystemClock;
use ringback_testkit::servers::{Postgres, PostgresSettings};
use tokio::time::timeout;

use super::{PATIENCE, PostgresHarness, key, until};
use crate::conformance::{Harness as _, attempts_of, sample_callback as callback, sample_history};
use crate::postgres::{PostgresStore, Settings};
use crate::{Error, EventQuery};

async fn start(parameters: Vec<String>) -> Postgres {
    Postgres::start(PostgresSettings { parameters }).await.expect("PostgreSQL starts")
}

#[tokio::test]
async fn store_goes_on_after_the_server_was_killed_and_started_again() {
    let mut server = start(Vec::new()).await;
    let url = server.create_database().await.expect("created");
    let harness = PostgresHarness::at(&url).await;
    let store = harness.store();
    store.record(sample_history(1)).await.expect("recorded");
    store.create_callback(&callback(1)).await.expect("written");
    let mut revision = store.revision();

    server.kill9().await.expect("killed");
    let error = store.record(sample_history(2)).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unavailable(_)) && error.is_temporary(), "{error:?}");
    let error = store.ready().await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");

    server.start_again().await.expect("started again");
    store.record(sample_history(2)).await.expect("recorded");
    assert_eq!(store.events(&EventQuery::default(), 10, None).await.expect("read").items.len(), 2);
    store.ready().await.expect("it serves");
    // And what others change is heard of again.
    revision.mark_unchanged();
    let other = harness.another().await;
    other.store().create_callback(&callback(2)).await.expect("written");
    timeout(PATIENCE, revision.changed()).await.expect("in time").expect("it runs");
}

#[tokio::test]
async fn restart_that_nobody_was_waiting_for_costs_no_error() {
    let mut server = start(Vec::new()).await;
    let url = server.create_database().await.expect("created");
    let harness = PostgresHarness::at(&url).await;
    let store = harness.store();
    for number in 0..3 {
        store.record(sample_history(number)).await.expect("recorded");
        server.kill9().await.expect("killed");
        server.start_again().await.expect("started again");
    }
    store.record(sample_history(3)).await.expect("recorded");
    assert_eq!(store.events(&EventQuery::default(), 10, None).await.expect("read").items.len(), 4);
}

#[tokio::test]
async fn answered_records_are_there_after_a_kill() {
    let mut server = start(Vec::new()).await;
    let url = server.create_database().await.expect("created");
    let harness = PostgresHarness::at(&url).await;
    let callers = ringback_runtime::TaskGroup::new();
    let answered = Arc::new(std::sync::Mutex::new(Vec::new()));
    for caller in 0..8_u32 {
        let (store, answered) = (harness.store(), Arc::clone(&answered));
        callers.start(async move {
            for number in 0.. {
                let number = caller * 1_000_000 + number;
                if store.record(sample_history(number)).await.is_err() {
                    return;
                }
                answered.lock().expect("nobody panics").push(number);
            }
        });
    }
    until("some are recorded", || async { answered.lock().expect("nobody panics").len() > 500 })
        .await;
    server.kill9().await.expect("killed");
    callers.drained().await;
    server.start_again().await.expect("started again");
    let store = harness.store();
    let answered = std::mem::take(&mut *answered.lock().expect("nobody panics"));
    for number in answered {
        for record in sample_history(number) {
            match record {
                crate::HistoryRecord::Event(event) => {
                    assert!(store.event(event.id, None).await.expect("read").is_some());
                }
                crate::HistoryRecord::Delivery { delivery, .. } => {
                    assert_eq!(attempts_of(&*store, delivery.id).await.len(), 1);
                }
            }
        }
    }
}

async fn refusal(url: &str) -> Error {
    let settings = Settings::at(url).expect("an address");
    let opening = PostgresStore::open(settings, key(), Arc::new(SystemClock));
    let opened = timeout(PATIENCE, opening).await.expect("an answer in time");
    opened.err().expect("it can't be opened")
}

#[tokio::test]
async fn server_that_is_not_there_is_a_matter_of_time() {
    let port = ringback_testkit::free_port().expect("a port");
    let error = refusal(&format!("postgres://ada:hush@127.0.0.1:{port}/hooks")).await;
    assert!(error.is_temporary(), "{error:?}");
    let told = ringback_runtime::with_causes(&error);
    assert!(told.contains(&format!("127.0.0.1:{port}/hooks can't be reached")), "{told}");
    assert!(!format!("{told} {error:?}").contains("hush"));
}

#[tokio::test]
async fn server_that_does_not_answer_is_not_waited_for() {
    let server = start(Vec::new()).await;
    server.pause().await.expect("paused");
    let error = refusal(&server.url()).await;
    assert!(error.is_temporary(), "{error:?}");
    server.resume().await.expect("resumed");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), readable).expect("set");
    let hba = directory.path().join("pg_hba.conf");
    let rules = "host all ada 127.0.0.1/32 scram-sha-256\nhost all ringback 127.0.0.1/32 trust\n";
    std::fs::write(&hba, rules).expect("written");
    let server = start(vec![format!("hba_file={}", hba.display())]).await;
    let url = server.create_database().await.expect("created");
    let harness = PostgresHarness::at(&url).await;
    harness.sql("CREATE ROLE ada LOGIN PASSWORD 'open sesame'").await;
    let as_user = |user: &str| url.replace("ringback@", user);

    for (url, what) in [
        (as_user("ada:hush@"), "does not let user `ada` in"),
        (as_user("ada@"), "does not let user `ada` in"),
        // No rule for him.
        (as_user("bob:hush@"), "does not let user `bob` in"),
        (format!("{}_hush", as_user("ringback@")), "no such database"),
        (format!("{url}?sslmode=require"), "no encrypted connection"),
        (format!("{url}?sslmode=verify-full&sslrootcert=/nowhere"), "no encrypted connection"),
    ] {
        let error = refusal(&url).await;
        assert!(matches!(error, Error::Refused { .. }), "{url}: {error:?}");
        assert!(!error.is_temporary());
        assert!(error.to_string().contains(what), "{error}");
        if url.contains(":hush@") {
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
    }
    // The right password is no matter of this.
    let settings = Settings::at(&as_user("ada:open%20sesame@")).expect("an address");
    crate::postgres::connection::Database::open(&settings).await.expect("connected");
}

#[tokio::test]
async fn database_in_another_encoding_is_refused() {
    let server = start(Vec::new()).await;
    let url = server.create_database().await.expect("created");
    let harness = PostgresHarness::at(&url).await;
    harness.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'").await;
    let (server, _) = url.rsplit_once('/').expect("an address");
    let error = refusal(&format!("{server}/latin")).await;
    assert!(error.to_string().contains("UTF8"), "{error}");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn full_pool_is_told_and_not_waited_for_without_end() {
    let harness = PostgresHarness::new().await;
    let mut held = Vec::new();
    // One is the listener's.
    for _ in 1..harness.settings.connections_max.get() {
        held.push(harness.database().hold().await.expect("one more"));
    }
    let store = harness.store();
    let error = timeout(Duration::from_secs(10), store.ready()).await.expect("in time");
    assert!(matches!(error, Err(Error::Unavailable(_))), "{error:?}");
    held.into_iter().for_each(super::super::connection::Held::done);
    store.ready().await.expect("it serves");
}
