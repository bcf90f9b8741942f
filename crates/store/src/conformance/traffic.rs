//! What was recorded, added up by steps of time.

use std::time::Duration;

use ringback_core::delivery::{CancelReason, DeliveryState};
use ringback_core::{CallbackId, Outcome, Timestamp};

use super::Harness;
use super::samples::{
    account, attempt, callback, delivery, delivery_record, event, event_record, pending, success,
};
use crate::{HistoryRecord, Step, Traffic, TrafficOf};

const MINUTE: Duration = Duration::from_secs(60);

/// The beginning of the hour that the samples are in.
fn hour() -> Timestamp {
    let hour = 60 * 60 * 1_000;
    Timestamp::from_ms(super::sample_moment().ms() / hour * hour)
}

/// An attempt that took so long and led there, recorded then.
fn tried(
    number: u32,
    (of, to): (&str, u8),
    at: Timestamp,
    (state, took_ms): (DeliveryState, u64),
) -> Vec<HistoryRecord> {
    let event = event(number, of, "COMMENT_CREATED");
    let mut delivery = delivery(&event, &callback(to), state, 1);
    delivery.updated_at = at;
    let outcome = match state {
        DeliveryState::Delivered => success(),
        _ => Outcome::Timeout { reason: "too slow".to_owned() },
    };
    let mut attempt = attempt(&delivery, 1, outcome, None);
    attempt.duration = Duration::from_millis(took_ms);
    vec![event_record(&event), delivery_record(&delivery, Some(attempt))]
}

fn sums(of: [u64; 4], duration_ms: u64, duration_max_ms: u64) -> Traffic {
    let [delivered, exhausted, succeeded, failed] = of;
    let (duration, duration_max) =
        (Duration::from_millis(duration_ms), Duration::from_millis(duration_max_ms));
    Traffic { delivered, exhausted, succeeded, failed, duration, duration_max }
}

async fn read(
    harness: &impl Harness,
    of: TrafficOf,
    step: Step,
    since: Timestamp,
) -> Vec<(Timestamp, Traffic)> {
    harness.store().traffic(&of, step, since).await.expect("read")
}

fn of_account(name: &str) -> TrafficOf {
    TrafficOf::Account(account(name))
}

/// Each delivery and attempt counts for its callback, its account and for all, in its five minutes and in its hour. What is
/// written later adds to what is there, and a clean stop loses nothing.
pub async fn traffic_adds_up_by_callback_account_and_step(harness: &mut impl Harness) {
    let (first, second) = (hour() + MINUTE, hour() + 6 * MINUTE);
    let records = [
        tried(1, ("acme", 1), first, (DeliveryState::Delivered, 10)),
        tried(2, ("acme", 2), first, (DeliveryState::Exhausted, 30)),
        tried(3, ("other", 1), second, (pending(), 5)),
    ];
    harness.store().record(records.concat()).await.expect("recorded");
    harness.reopen().await;
    let more = tried(4, ("acme", 1), first, (DeliveryState::Delivered, 20));
    harness.store().record(more).await.expect("recorded");
    harness.reopen().await;

    let start = hour();
    let [short, long] = Step::ALL;
    let first_step = |sums| (start, sums);
    let second_step = |sums| (start + short.length(), sums);
    let all = read(harness, TrafficOf::All, short, start).await;
    let waited = sums([0, 0, 0, 1], 5, 5);
    assert_eq!(all, [first_step(sums([2, 1, 2, 1], 60, 30)), second_step(waited)]);
    let all = read(harness, TrafficOf::All, long, start).await;
    assert_eq!(all, [first_step(sums([2, 1, 2, 2], 65, 30))]);
    let acme = read(harness, of_account("acme"), long, start).await;
    assert_eq!(acme, [first_step(sums([2, 1, 2, 1], 60, 30))]);
    let one = read(harness, TrafficOf::Callback(callback(1).id), short, start).await;
    assert_eq!(one, [first_step(sums([2, 0, 2, 0], 30, 20)), second_step(waited)]);
    let late = read(harness, TrafficOf::All, short, start + Duration::from_millis(1)).await;
    assert_eq!(late, [second_step(waited)], "a step that began before is left out");
    assert!(read(harness, of_account("nobody"), long, start).await.is_empty());

    let mut found = harness.store().traffic_of_callbacks(long, start).await.expect("read");
    found.sort_by_key(|(callback, ..)| *callback);
    let expected: [(CallbackId, Timestamp, Traffic); 2] = [
        (callback(1).id, start, sums([2, 0, 2, 1], 35, 20)),
        (callback(2).id, start, sums([0, 1, 0, 1], 30, 30)),
    ];
    assert_eq!(found, expected);
}

/// What waits, or was cancelled, is no traffic.
pub async fn what_was_not_tried_is_no_traffic(harness: &mut impl Harness) {
    let event = event(1, "acme", "COMMENT_CREATED");
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    let records = [(1, pending()), (2, cancelled)]
        .map(|(to, state)| delivery_record(&delivery(&event, &callback(to), state, 0), None));
    harness.store().record(records.into()).await.expect("recorded");
    harness.reopen().await;
    for step in Step::ALL {
        assert!(read(harness, TrafficOf::All, step, Timestamp::EPOCH).await.is_empty());
    }
}

/// A step goes with the history of its time, not before it is over.
pub async fn retention_deletes_old_traffic(harness: &mut impl Harness) {
    let hours = |number: u32| hour() + 60 * MINUTE * number;
    for number in 0..3 {
        let records = tried(number, ("acme", 1), hours(number), (DeliveryState::Delivered, 1));
        harness.store().record(records).await.expect("recorded");
    }
    harness.reopen().await;
    let store = harness.store();
    while store.delete_history(hours(2) - MINUTE, 1_000).await.expect("deleted") > 0 {}
    for step in Step::ALL {
        let kept = read(harness, TrafficOf::All, step, Timestamp::EPOCH).await;
        let kept: Vec<_> = kept.into_iter().map(|(at, _)| at).collect();
        assert_eq!(kept, [hours(1), hours(2)], "{step:?}");
    }
}
