//! Tables and keys at the start.

use std::sync::Arc;

use futures_util::future::join_all;
use ringback_testkit::{ManualClock, servers};

use super::{Open, PostgresHarness, key};
use crate::conformance::{Harness as _, sample_callback as callback, sample_moment};
use crate::postgres::{Migrated, PostgresStore, Settings, migrate};
use crate::{Error, MasterKey, Store as _};

async fn fresh() -> Settings {
    let url = servers::fresh_database().await.expect("a database of its own");
    Settings::at(&url).expect("an address")
}

#[tokio::test]
async fn migrating_says_what_it_did_and_does_nothing_twice() {
    let settings = fresh().await;
    let migrated = migrate(&settings, sample_moment()).await.expect("migrated");
    let steps = vec![
        "configuration_and_history",
        "catalog_replays_and_logged_requests",
        "backlog",
        "console",
    ];
    assert_eq!(migrated, Migrated { from: 0, to: 4, steps, days: 4 });
    let again = migrate(&settings, sample_moment()).await.expect("migrated");
    assert_eq!(again, Migrated { from: 4, to: 4, steps: Vec::new(), days: 0 });
}

#[tokio::test]
async fn eight_processes_that_start_at_once_make_one_database() {
    let settings = fresh().await;
    let clock = ManualClock::new(sample_moment());
    let opened = join_all((0..8).map(|_| Open::at(&settings, &clock))).await;
    for (open, number) in opened.iter().zip(0..) {
        open.store.create_callback(&callback(number)).await.expect("written");
    }
    for open in &opened {
        for number in 0..8 {
            let read = open.store.callback(callback(number).id).await.expect("read");
            assert!(read.is_some(), "one key seals for all of them");
        }
    }
}

#[tokio::test]
async fn eight_processes_that_migrate_at_once_take_each_step_once() {
    let settings = fresh().await;
    let migrated = join_all((0..8).map(|_| migrate(&settings, sample_moment()))).await;
    let migrated: Vec<_> = migrated.into_iter().map(|done| done.expect("migrated")).collect();
    assert_eq!(migrated.iter().filter(|migrated| !migrated.steps.is_empty()).count(), 1);
    assert_eq!(migrated.iter().map(|migrated| migrated.days).sum::<usize>(), 4);
}

#[tokio::test]
async fn database_of_a_newer_version_is_refused_untouched() {
    let mut harness = PostgresHarness::new().await;
    harness
        .sql("INSERT INTO schema_migration (version, name, applied_at_ms) VALUES (99, 'later', 0)")
        .await;
    let before = harness.number("SELECT COUNT(*) FROM pg_class").await;
    let clock = Arc::new(harness.clock.clone());
    let error = PostgresStore::open(harness.settings.clone(), key(), clock).await.err();
    let error = error.expect("too new");
    assert!(matches!(error, Error::TooNew { found: 99, known: 4 }));
    assert!(!error.is_temporary());
    let error = migrate(&harness.settings, sample_moment()).await.expect_err("too new");
    assert!(matches!(error, Error::TooNew { .. }));
    // An operator can still look, whatever the newer version has made of its tables.
    harness.sql("ALTER TABLE event_default RENAME TO of_a_newer_version").await;
    let facts = harness.opened().store.facts().await.expect("read");
    assert_eq!((facts.schema, facts.schema_known, facts.stray_events), (99, 4, 0));
    assert_eq!(harness.number("SELECT COUNT(*) FROM pg_class").await, before);
    harness.open.take().expect("open").close().await;
}

#[tokio::test]
async fn wrong_master_key_is_refused_and_the_right_one_still_serves() {
    let mut harness = PostgresHarness::new().await;
    harness.store().create_callback(&callback(1)).await.expect("written");
    let clock = Arc::new(harness.clock.clone());
    let wrong = MasterKey::from_random([8; 32]);
    let wrong = PostgresStore::open(harness.settings.clone(), wrong, clock).await;
    let error = wrong.err().expect("another key");
    assert!(matches!(error, Error::WrongMasterKey));
    assert!(!error.is_temporary());
    harness.reopen().await;
    assert!(harness.store().callback(callback(1).id).await.expect("read").is_some());
}

#[tokio::test]
async fn right_that_is_missing_is_named() {
    let harness = PostgresHarness::new().await;
    harness.sql("CREATE SCHEMA empty").await;
    let role = servers::fresh_prefix();
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'hush'");
    let rows = harness.database().rows(sqlx::AssertSqlSafe(sql), super::Values::none());
    rows.await.expect("a statement");
    let place = harness.settings.place();
    let url = format!("postgres://{role}:hush@{place}?options=-c%20search_path%3Dempty");
    let settings = Settings::at(&url).expect("an address");
    let error = migrate(&settings, sample_moment()).await.expect_err("no right to make tables");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("GRANT"), "{error}");
    assert!(!format!("{error:?}").contains("hush"));
}
