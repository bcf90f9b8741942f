//! Days: made ahead, dropped as a whole.

use std::time::Duration;

use ringback_core::delivery::DeliveryState;
use ringback_core::{DeliveryId, Timestamp};
use sqlx::{Connection as _, Row as _};

use super::{Open, PATIENCE, PostgresHarness, until};
use crate::conformance::{Harness as _, attempts_of, sample_history_at, sample_moment};
use crate::postgres::partitions;
use crate::postgres::values::Id;
use crate::{DeliveryKey, EventQuery, HistoryRecord, Store as _};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Partitions of events, by date.
async fn dates(harness: &PostgresHarness) -> Vec<String> {
    let sql = "SELECT inhrelid::regclass::TEXT AS name FROM pg_inherits \
               WHERE inhparent = 'event'::regclass ORDER BY name";
    let rows = harness.database().rows(sql, super::Values::none()).await.expect("read");
    let names = rows.iter().map(|row| row.get::<String, _>("name"));
    names.map(|name| name.replace("event_", "")).filter(|name| name != "default").collect()
}

async fn record(harness: &PostgresHarness, number: u32, accepted_at: Timestamp) -> DeliveryId {
    let records = sample_history_at(number, accepted_at);
    let delivery = records.iter().find_map(|record| match record {
        HistoryRecord::Delivery { delivery, .. } => Some(delivery.id),
        HistoryRecord::Event(_) => None,
    });
    harness.store().record(records).await.expect("recorded");
    delivery.expect("there is one")
}

async fn delete_all(harness: &PostgresHarness, accepted_before: Timestamp) {
    while harness.store().delete_history(accepted_before, 1_000).await.expect("deleted") > 0 {}
}

#[tokio::test]
async fn days_are_made_ahead_as_time_goes_on() {
    let harness = PostgresHarness::new().await;
    let made = ["2025_12_30", "2025_12_31", "2026_01_01", "2026_01_02"];
    assert_eq!(dates(&harness).await, made);
    harness.clock.wait_for_sleeper(PATIENCE).await;
    harness.clock.advance(2 * DAY);
    until("more are made", || async { dates(&harness).await.len() == 6 }).await;
    assert_eq!(dates(&harness).await[4..], ["2026_01_03", "2026_01_04"]);
}

#[tokio::test]
async fn day_without_anything_pending_is_dropped_as_a_whole() {
    let harness = PostgresHarness::new().await;
    let today = sample_moment();
    for number in 0..30 {
        record(&harness, number, today - DAY * (number / 10)).await;
    }
    // Not over, at any moment of it.
    delete_all(&harness, today - DAY + Duration::from_secs(3_600)).await;
    assert_eq!(dates(&harness).await, ["2026_01_01", "2026_01_02"]);
    let left = harness.store().events(&EventQuery::default(), 100, None).await.expect("read");
    assert_eq!(left.items.len(), 20);
    assert_eq!(harness.number("SELECT COUNT(*) FROM attempt").await, 20);
    // A record of a day that is gone finds a place, and goes again.
    let late = record(&harness, 99, today - DAY * 2).await;
    assert!(harness.store().delivery(late).await.expect("read").is_some());
    assert_eq!(harness.opened().store.facts().await.expect("read").stray_events, 1);
    delete_all(&harness, today - DAY).await;
    assert!(harness.store().delivery(late).await.expect("read").is_none());
    assert_eq!(harness.number("SELECT COUNT(*) FROM attempt").await, 20);
}

#[tokio::test]
async fn rows_of_a_day_without_a_partition_are_kept_all_the_same() {
    let harness = PostgresHarness::new().await;
    // A clock that is four days ahead.
    let ahead = sample_moment() + DAY;
    let delivery = record(&harness, 1, ahead).await;
    let key = DeliveryKey { id: delivery, created_at: ahead };
    assert_eq!(harness.store().recorded(&[key]).await.expect("read").len(), 1);
    let elsewhere = DeliveryKey { created_at: ahead + DAY, ..key };
    assert_eq!(harness.store().recorded(&[elsewhere]).await.expect("read"), []);

    // That day comes: its rows stay where they are, and the other days have their partitions.
    harness.clock.advance(4 * DAY);
    let made = partitions::make_ahead(harness.database(), sample_moment() + DAY).await;
    made.expect("made");
    let dates = dates(&harness).await;
    assert!(!dates.contains(&"2026_01_03".to_owned()), "{dates:?}");
    assert!(dates.contains(&"2026_01_04".to_owned()), "{dates:?}");
    record(&harness, 2, ahead).await;
    assert_eq!(harness.opened().store.facts().await.expect("read").stray_events, 2);
    delete_all(&harness, ahead + DAY).await;
    assert_eq!(harness.opened().store.facts().await.expect("read").stray_events, 0);
    assert!(harness.store().delivery(delivery).await.expect("read").is_none());
}

/// A backup reads everything for hours: recording goes on, and the day is dropped afterwards.
#[tokio::test]
async fn long_reader_holds_up_retention_and_nobody_else() {
    let harness = PostgresHarness::new().await;
    let old = record(&harness, 1, sample_moment() - DAY).await;
    let mut backup = harness.database().connect().await.expect("connected");
    let mut reading = backup.begin().await.expect("begun");
    sqlx::query("SELECT COUNT(*) FROM event, delivery, attempt")
        .execute(&mut *reading)
        .await
        .expect("read");

    let Open { store, .. } = harness.another().await;
    let deleting = async {
        let deleted = store.delete_history(sample_moment(), 10).await;
        assert_eq!(deleted.expect("nothing is broken"), 0);
    };
    let recording = async {
        for number in 100..150 {
            record(&harness, number, sample_moment()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let together = tokio::time::timeout(PATIENCE, async { tokio::join!(deleting, recording) });
    together.await.expect("both go on");
    assert!(harness.store().delivery(old).await.expect("read").is_some());
    // Making partitions is not in its way, nor the other way round.
    harness.clock.advance(DAY);
    reading.rollback().await.expect("ended");
    delete_all(&harness, sample_moment()).await;
    assert!(harness.store().delivery(old).await.expect("read").is_none());
}

/// A retry by hand makes a delivery pending that is just about to be deleted: its history stays.
#[tokio::test]
async fn delivery_that_becomes_pending_meanwhile_keeps_its_history() {
    let harness = PostgresHarness::new().await;
    let yesterday = sample_moment() - DAY;
    // The days before are not in the way.
    delete_all(&harness, yesterday).await;
    let [waits, retried] =
        [record(&harness, 1, yesterday).await, record(&harness, 2, yesterday).await];
    // Something of the day is pending, so it goes row by row.
    let make_pending =
        "UPDATE delivery SET status = 'pending', next_attempt_at_ms = 1 WHERE id = $1";
    let mut by_hand = harness.database().connect().await.expect("connected");
    sqlx::query(make_pending).bind(Id(waits.uuid())).execute(&mut by_hand).await.expect("written");
    let mut retry = by_hand.begin().await.expect("begun");
    sqlx::query(make_pending).bind(Id(retried.uuid())).execute(&mut *retry).await.expect("written");

    let store = harness.store();
    let deleting = store.delete_history(sample_moment(), 10);
    let committing = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";
        until("it waits", || async { harness.number(waiting).await == 1 }).await;
        retry.commit().await.expect("committed");
    };
    let (deleted, ()) = tokio::join!(deleting, committing);
    assert_eq!(deleted.expect("deleted"), 0);
    assert_eq!(store.events(&EventQuery::default(), 10, None).await.expect("read").items.len(), 2);
    assert_eq!(attempts_of(&*store, retried).await.len(), 1);
}

/// The same while a callback is disabled: what was delivered at that moment stays delivered.
#[tokio::test]
async fn delivery_that_is_delivered_meanwhile_is_not_cancelled() {
    let harness = PostgresHarness::new().await;
    let delivery = record(&harness, 1, sample_moment()).await;
    let callback = crate::conformance::sample_callback(1).id;
    let mut by_hand = harness.database().connect().await.expect("connected");
    let set = "UPDATE delivery SET status = $1, next_attempt_at_ms = 1";
    sqlx::query(set).bind("pending").execute(&mut by_hand).await.expect("written");
    let mut delivering = by_hand.begin().await.expect("begun");
    sqlx::query(set).bind("delivered").execute(&mut *delivering).await.expect("written");

    let store = harness.store();
    let reason = ringback_core::delivery::CancelReason::CallbackDeleted;
    let cancelling = store.cancel_pending(callback, reason, sample_moment(), 10);
    let committing = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";
        until("it waits", || async { harness.number(waiting).await == 1 }).await;
        delivering.commit().await.expect("committed");
    };
    let (cancelled, ()) = tokio::join!(cancelling, committing);
    assert_eq!(cancelled.expect("written"), 0);
    let read = store.delivery(delivery).await.expect("read").expect("it is there");
    assert_eq!(read.state, DeliveryState::Delivered);
}
