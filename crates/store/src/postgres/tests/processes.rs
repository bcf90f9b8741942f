//! Several processes over one database.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::DeliveryState;
use ringback_core::{DeliveryId, Timestamp};
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout};

use super::{PATIENCE, PostgresHarness, until};
use crate::conformance::{Harness as _, sample_callback as callback, sample_history};
use crate::{HistoryRecord, LiveAttempt, Revision, Step, Store as _, TrafficOf};

/// What the port promises.
const WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn change_by_one_process_reaches_another_within_a_second() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    let mut revision = other.store.revision();
    for number in 0..5 {
        revision.mark_unchanged();
        harness.store().create_callback(&callback(number)).await.expect("written");
        timeout(WITHIN, revision.changed()).await.expect("in time").expect("it runs");
        assert_eq!(*revision.borrow(), *harness.store().revision().borrow());
        let (changes, _) = other.store.callback_changes(Revision::ZERO).await.expect("read");
        assert_eq!(changes.len(), usize::from(number) + 1);
    }
}

#[tokio::test]
async fn change_reaches_another_process_whose_listening_connection_was_killed() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    let mut revision = other.store.revision();
    for number in 0..3 {
        revision.mark_unchanged();
        until("both listen", || async { listeners(&harness).await == 2 }).await;
        let killed = harness.number(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN%' AND datname = current_database()",
        );
        assert_eq!(killed.await, 2);
        harness.store().create_callback(&callback(number)).await.expect("written");
        timeout(WITHIN, revision.changed()).await.expect("in time").expect("it runs");
        assert_eq!(*revision.borrow(), *harness.store().revision().borrow());
    }
}

async fn listeners(harness: &PostgresHarness) -> i64 {
    harness
        .number(
            "SELECT COUNT(*) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN%' AND state = 'idle' AND datname = current_database()",
        )
        .await
}

#[tokio::test]
async fn what_was_missed_without_a_connection_is_looked_up_when_there_is_one() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    // As a database of a process that no notification comes from.
    harness.sql("UPDATE meta SET revision = revision + 7").await;
    let revision = other.store.revision();
    until("it is looked up", || async { revision.borrow().0 == 7 }).await;
}

#[tokio::test]
async fn attempts_of_one_process_are_shown_in_another_while_somebody_watches() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    let mut here = harness.store().live_attempts();
    let mut there = other.store.live_attempts();
    // Who records has to hear of it first.
    let began = Instant::now();
    let mut recorded = Vec::new();
    let told = loop {
        assert!(began.elapsed() < PATIENCE, "nothing is shown");
        let records = sample_history(u32::try_from(recorded.len()).expect("few"));
        harness.store().record(records.clone()).await.expect("recorded");
        recorded.push(records);
        if let Ok(told) = timeout(Duration::from_millis(200), there.recv()).await {
            break told.expect("not fallen behind");
        }
    };
    let expected = recorded.iter().flatten().find_map(|record| match record {
        HistoryRecord::Delivery { delivery, attempt: Some(attempt), .. }
            if delivery.id == told.delivery.id =>
        {
            Some((delivery, attempt))
        }
        HistoryRecord::Delivery { .. } | HistoryRecord::Event(_) => None,
    });
    assert_eq!(expected, Some((&told.delivery, &told.attempt)));
    assert_eq!(told.delivery.state, DeliveryState::Delivered);

    // Each is shown once, in both.
    let last = sample_history(1_000_000);
    other.store.record(last.clone()).await.expect("recorded");
    recorded.push(last);
    let recorded: Vec<DeliveryId> = recorded.iter().flatten().filter_map(delivery_of).collect();
    assert_eq!(heard_to_the_end(&mut here, &recorded).await, recorded);
    let there = heard_to_the_end(&mut there, &recorded).await;
    // But for those that were recorded before who recorded them heard of it, and the one that is read already.
    assert!(recorded.ends_with(&there), "{there:?}");
    assert!(!there.contains(&told.delivery.id));
}

fn delivery_of(record: &HistoryRecord) -> Option<DeliveryId> {
    match record {
        HistoryRecord::Delivery { delivery, .. } => Some(delivery.id),
        HistoryRecord::Event(_) => None,
    }
}

/// Whose attempts are shown until that of the last one is, and at once after it.
async fn heard_to_the_end(
    live: &mut Receiver<Arc<LiveAttempt>>,
    recorded: &[DeliveryId],
) -> Vec<DeliveryId> {
    let mut heard = Vec::new();
    while heard.last() != recorded.last() {
        let attempt = timeout(PATIENCE, live.recv()).await.expect("in time");
        heard.push(attempt.expect("not fallen behind").delivery.id);
    }
    while let Ok(attempt) = live.try_recv() {
        heard.push(attempt.delivery.id);
    }
    heard
}

#[tokio::test]
async fn nothing_is_told_while_nobody_watches() {
    let harness = PostgresHarness::new().await;
    let other = harness.another().await;
    until("both listen", || async { listeners(&harness).await == 2 }).await;
    let mut spy = sqlx::postgres::PgListener::connect_with(harness.database().pool())
        .await
        .expect("connected");
    spy.listen(super::super::listener::LIVE_CHANNEL).await.expect("it listens");
    harness.store().record(sample_history(1)).await.expect("recorded");
    other.store.record(sample_history(2)).await.expect("recorded");
    // Comes after whatever there is.
    harness.sql("SELECT pg_notify('ringback_live', 'end')").await;
    loop {
        let told = timeout(PATIENCE, spy.recv()).await.expect("in time").expect("connected");
        match told.payload() {
            "end" => break,
            // Whether anybody watches.
            payload => assert!(payload.starts_with("ask "), "{payload}"),
        }
    }
}

#[tokio::test]
async fn traffic_of_two_processes_adds_up() {
    let mut harness = PostgresHarness::new().await;
    let another = harness.another().await;
    for number in 0..10 {
        harness.store().record(sample_history(number)).await.expect("recorded");
        another.store().record(sample_history(100 + number)).await.expect("recorded");
    }
    another.close().await;
    harness.reopen().await;
    let store = harness.store();
    for step in Step::ALL {
        let all = store.traffic(&TrafficOf::All, step, Timestamp::EPOCH).await.expect("read");
        let delivered: u64 = all.iter().map(|(_, traffic)| traffic.delivered).sum();
        assert_eq!(delivered, 20, "{step:?}");
    }
}

#[tokio::test]
async fn short_steps_of_traffic_go_after_two_days() {
    let mut harness = PostgresHarness::new().await;
    harness.store().record(sample_history(1)).await.expect("recorded");
    harness.reopen().await;
    // It stands three days before the samples.
    harness.clock.advance(Duration::from_secs((3 + 2) * 24 * 60 * 60 + 5 * 60));
    harness.store().record(sample_history(2)).await.expect("recorded");
    harness.reopen().await;
    let store = harness.store();
    let [short, long] =
        Step::ALL.map(|step| store.traffic(&TrafficOf::All, step, Timestamp::EPOCH));
    assert!(short.await.expect("read").is_empty());
    let long = long.await.expect("read");
    assert_eq!(long.iter().map(|(_, traffic)| traffic.delivered).sum::<u64>(), 2);
}
