//! A database of the version before is brought up to date, with all that is in it.

use std::num::NonZeroU32;

use ringback_core::callback::{CallbackState, CircuitPolicy};
use ringback_core::secret::Secret;
use ringback_core::{CallbackId, DeliveryId};
use ringback_sqlite::Database;

use super::{key, open};
use crate::Store as _;
use crate::migrations::{CREATE_TABLE, REMEMBER, SQLITE};

const CALLBACK: &str = "018bcfe5-6800-7303-8303-030303030303";
const DELIVERY: &str = "018bcfe5-6800-8303-8303-030303030304";

/// The first step alone, and a row each as the first version wrote them.
async fn first_version(database: &Database) {
    let mut writer = database.writer().await;
    let first = &SQLITE[0];
    for sql in [CREATE_TABLE, first.sql] {
        sqlx::raw_sql(sql).execute(&mut *writer).await.expect("made");
    }
    sqlx::query(REMEMBER)
        .bind(first.version)
        .bind(first.name)
        .bind(0_i64)
        .execute(&mut *writer)
        .await
        .expect("written");
    let seal = |secret: &str, text: &str| {
        key().seal(&format!("callback/{CALLBACK}/{secret}"), &Secret::new(text))
    };
    let signing_secret = format!("whsec_{}", "A".repeat(43) + "=");
    sqlx::query(
        "INSERT INTO callback (id, revision, description, url, method, format, authorization_sealed, headers, \
         disabled_reason, account, events, retry, timeout_ms, max_in_flight, signing_secret_sealed, created_at_ms, \
         updated_at_ms) VALUES ($1, 1, 'old', 'https://example.com/', 'POST', 'form', $2, '[]', NULL, NULL, \
         '[\"*\"]', $3, 15000, 32, $4, 1, 1)",
    )
    .bind(CALLBACK)
    .bind(seal("authorization", r#"{"type":"none"}"#))
    .bind(r#"{"enabled":true,"delay_ms":300000,"max_retries":3,"backoff":{"type":"fixed"}}"#)
    .bind(seal("signing_secret", &signing_secret))
    .execute(&mut *writer)
    .await
    .expect("written");
    sqlx::query(
        "INSERT INTO delivery (id, event_id, event_name, account, callback_id, generation, status, reason, \
         next_attempt_at_ms, attempts, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, 'OLD', 'acme', $2, 0, 'pending', 'retry', 9, 4, 1, 2)",
    )
    .bind(DELIVERY)
    .bind(CALLBACK)
    .execute(&mut *writer)
    .await
    .expect("written");
}

#[tokio::test]
async fn database_of_the_version_before_keeps_what_is_in_it() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let database = Database::open(directory.path()).await.expect("nobody else has it");
    first_version(&database).await;
    let store = open(&database, key()).await.expect("brought up to date");
    let id: CallbackId = CALLBACK.parse().expect("an id");
    let callback = store.callback(id).await.expect("read").expect("it is there");
    assert_eq!(callback.description, "old");
    assert_eq!(callback.state, CallbackState::Enabled);
    assert_eq!(callback.rate_limit, None);
    assert_eq!(callback.circuit, CircuitPolicy::default());
    assert_eq!(callback.resumed_at, None);
    assert_eq!(callback.previous_secret, None);
    let id: DeliveryId = DELIVERY.parse().expect("an id");
    let delivery = store.delivery(id).await.expect("read").expect("it is there");
    assert_eq!((delivery.attempts, delivery.series_start), (4, NonZeroU32::MIN));
    drop(store);
    // And once it is, nothing is left to do.
    open(&database, key()).await.expect("up to date");
}
