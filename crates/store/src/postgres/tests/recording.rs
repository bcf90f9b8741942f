//! History, written.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, WaitReason};
use ringback_core::{Event, Outcome};

use super::{PostgresHarness, until};
use crate::conformance::{
    Harness as _, attempts_of, sample_callback as callback, sample_history, sample_moment,
};
use crate::{DeliveryQuery, Error, EventQuery, HistoryRecord};

/// The same with another event name throughout.
fn renamed(records: Vec<HistoryRecord>, name: &str) -> Vec<HistoryRecord> {
    let name = || name.parse().expect("a name");
    let renamed = |record| match record {
        HistoryRecord::Event(event) => {
            HistoryRecord::Event(Arc::new(Event { name: name(), ..(*event).clone() }))
        }
        HistoryRecord::Delivery { delivery, attempt, first } => {
            let mut delivery = (*delivery).clone();
            delivery.event_name = name();
            HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first }
        }
    };
    records.into_iter().map(renamed).collect()
}

#[tokio::test]
async fn record_that_cannot_be_written_takes_no_other_along() {
    let harness = PostgresHarness::new().await;
    harness.sql("ALTER TABLE delivery ADD CHECK (event_name <> 'BAD')").await;
    let store = harness.store();
    let records = |number| match number {
        13 => renamed(sample_history(number), "BAD"),
        _ => sample_history(number),
    };
    let written = join_all((0..50).map(|number| store.record(records(number)))).await;
    for (written, number) in written.into_iter().zip(0..) {
        assert_eq!(written.is_err(), number == 13, "{number}: {written:?}");
    }
    let events = store.events(&EventQuery::default(), 100, None).await.expect("read");
    assert_eq!(events.items.len(), 49, "all of it or nothing");
}

#[tokio::test]
async fn null_character_is_replaced_in_history_and_refused_in_configuration() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let mut records = sample_history(1);
    let Some(HistoryRecord::Delivery { delivery, attempt: Some(attempt), .. }) = records.pop()
    else {
        panic!("the last one is a delivery with its attempt");
    };
    let outcome = Outcome::Connection { reason: "peer said \0".to_owned() };
    let attempt = Attempt { outcome, response: None, ..(*attempt).clone() };
    let record = HistoryRecord::Delivery {
        delivery: Arc::clone(&delivery),
        attempt: Some(Arc::new(attempt)),
        first: true,
    };
    store.record(vec![record]).await.expect("recorded");
    let read = attempts_of(&*store, delivery.id).await;
    assert_eq!(read[0].outcome.error(), Some("peer said \u{fffd}"));

    let mut callback = callback(1);
    callback.description = "a\0b".to_owned();
    let error = store.create_callback(&callback).await.expect_err("no such text");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("U+0000"), "{error}");
    callback.description = "ab".to_owned();
    store.create_callback(&callback).await.expect("written");
}

/// Two processes that write the same deliveries again and again, each in an order of its own.
#[tokio::test]
async fn processes_that_record_the_same_do_not_stand_in_each_others_way() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    let recording = (0..40).map(|caller: u32| {
        let store = if caller.is_multiple_of(2) { harness.store() } else { other.store() };
        async move {
            for round in 0..5 {
                let numbers = (0..40).map(|number| (number * (caller + round + 1)) % 41);
                let records = numbers.flat_map(sample_history).collect();
                store.record(records).await.expect("recorded");
            }
        }
    });
    join_all(recording).await;
    let deliveries = harness.store().deliveries(&DeliveryQuery::default(), 100, None).await;
    let deliveries = deliveries.expect("read").items;
    assert_eq!(deliveries.len(), 41);
    for delivery in deliveries {
        assert_eq!(delivery.state, DeliveryState::Delivered);
        assert_eq!(attempts_of(&*other.store, delivery.id).await.len(), 1);
    }
}

/// How many recorders wrote last without looking whether the rows are there, and how many with.
async fn recorders(harness: &PostgresHarness) -> (i64, i64) {
    let recorders = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND query LIKE 'WITH e AS (%'";
    let with = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND query LIKE 'WITH e AS (%ON CONFLICT (id, account, day)%'";
    let (all, with) = (harness.number(recorders).await, harness.number(with).await);
    (all - with, with)
}

#[tokio::test]
async fn rows_are_taken_for_new_and_written_all_the_same_if_they_are_not() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    store.record(sample_history(1)).await.expect("recorded");
    assert_eq!(recorders(&harness).await, (1, 0));

    // It waits, without an attempt; its attempt comes together with something new.
    let mut later = sample_history(2);
    let Some(HistoryRecord::Delivery { delivery, .. }) = later.last() else {
        panic!("the last one is a delivery");
    };
    let (next_attempt_at, waits) = (sample_moment(), Some(WaitReason::RateLimit));
    let waiting = Delivery {
        state: DeliveryState::Pending { next_attempt_at, waits },
        attempts: 0,
        ..(**delivery).clone()
    };
    let id = waiting.id;
    let record =
        HistoryRecord::Delivery { delivery: Arc::new(waiting), attempt: None, first: false };
    store.record(vec![record]).await.expect("recorded");
    assert_eq!(recorders(&harness).await.1, 0, "a delivery without an attempt is told apart");
    later.extend(sample_history(3));
    store.record(later).await.expect("recorded");
    assert_eq!(recorders(&harness).await.1, 1);
    let read = store.delivery(id).await.expect("read").expect("it is there");
    assert_eq!((read.state, read.attempts), (DeliveryState::Delivered, 1));
    assert_eq!(attempts_of(&*store, id).await.len(), 1);
    let events = store.events(&EventQuery::default(), 10, None).await.expect("read");
    assert_eq!(events.items.len(), 3);
}

/// More than one statement should hold.
#[tokio::test]
async fn large_events_are_recorded_in_several_batches() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(1_000_000));
    let variables: ringback_core::Variables = serde_json::from_str(&large).expect("an object");
    let event = |number| match sample_history(number).swap_remove(0) {
        HistoryRecord::Event(event) => {
            let variables = variables.clone();
            HistoryRecord::Event(Arc::new(Event { variables, ..(*event).clone() }))
        }
        HistoryRecord::Delivery { .. } => panic!("the first one is an event"),
    };
    let written = join_all((0..30).map(|number| store.record(vec![event(number)]))).await;
    assert!(written.iter().all(Result::is_ok));
    let events = harness.number("SELECT COUNT(*) FROM event WHERE length(variables) > 1000000");
    assert_eq!(events.await, 30);
    let transactions = harness.number("SELECT COUNT(DISTINCT xmin::TEXT) FROM event").await;
    assert!((3..30).contains(&transactions), "{transactions} batches");
}

#[tokio::test]
async fn what_was_handed_in_before_the_stop_is_written_and_later_is_an_error() {
    let mut harness = PostgresHarness::new().await;
    let open = harness.open.take().expect("open");
    let store = open.store();
    let handed: Vec<_> = (0..20).map(|number| store.record(sample_history(number))).collect();
    let handed = join_all(handed.into_iter().map(|mut record| {
        // Handed in, and the answer not waited for yet.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let first = record.as_mut().poll(&mut context);
        assert!(first.is_pending());
        record
    }));
    open.shutdown.request();
    let (written, ()) = tokio::join!(handed, open.running.drained());
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let late = store.record(sample_history(99)).await.expect_err("nobody writes any more");
    assert!(matches!(late, Error::Unavailable(_)), "{late:?}");
    assert_eq!(
        store.events(&EventQuery::default(), 100, None).await.expect("read").items.len(),
        20
    );
}

#[tokio::test]
async fn change_goes_on_when_its_caller_goes_away() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let callback = callback(1);
    let mut change = store.create_callback(&callback);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(change.as_mut().poll(&mut context).is_pending());
    drop(change);
    until("it is written", || async { store.callback(callback.id).await.expect("read").is_some() })
        .await;
}

#[tokio::test]
async fn facts_say_what_an_operator_should_know() {
    let harness = PostgresHarness::new().await;
    let facts = harness.opened().store.facts().await.expect("read");
    assert_eq!((facts.schema, facts.schema_known, facts.stray_events), (4, 4, 0));
    assert_eq!((&*facts.fsync, &*facts.synchronous_commit), ("on", "on"));
    assert!(facts.connections_max > 0);
    let version = harness.number("SELECT current_setting('server_version_num')::BIGINT / 10000");
    assert!(facts.version.starts_with(&version.await.to_string()), "{facts:?}");
    // The test's clock stands in the past.
    let ahead = Duration::from_millis(facts.clock_ahead_ms.try_into().expect("ahead"));
    assert!(sample_moment() - Duration::from_secs(3 * 86_400) + ahead > sample_moment());
}
