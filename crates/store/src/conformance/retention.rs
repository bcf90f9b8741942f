//! Retention.

use std::sync::Arc;

use ringback_core::Event;
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState};

use super::Harness;
use super::samples::{
    at, attempt, callback, delivery, delivery_record, event, event_record, pending, response,
    success,
};
use crate::{DeliveryQuery, EventQuery, Store};

/// An event with two deliveries, each with two attempts.
async fn record(store: &dyn Store, number: u32, state: DeliveryState) -> (Event, [Delivery; 2]) {
    let event = event(number, "acme", "COMMENT_CREATED");
    let first = delivery(&event, &callback(1), DeliveryState::Delivered, 2);
    let second = delivery(&event, &callback(2), state, 2);
    let mut records = vec![event_record(&event)];
    for delivery in [&first, &second] {
        for attempts in 1..=2 {
            let attempt = attempt(delivery, attempts, success(), Some(response(200, b"ok")));
            records.push(delivery_record(delivery, Some(attempt)));
        }
    }
    store.record(records).await.expect("recorded");
    (event, [first, second])
}

async fn left(store: &Arc<dyn Store>) -> (usize, usize) {
    let events = store.events(&EventQuery::default(), 1_000, None).await.expect("read");
    let deliveries = store.deliveries(&DeliveryQuery::default(), 1_000, None).await.expect("read");
    (events.items.len(), deliveries.items.len())
}

/// Those of other callbacks, and settled ones, are left alone; and what is written of them afterwards by who did not
/// know changes nothing.
pub async fn pending_deliveries_of_one_callback_are_cancelled_and_stay_so(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let (_, [delivered, to_cancel]) = record(&*store, 1, pending()).await;
    let (_, [_, second]) = record(&*store, 2, pending()).await;
    let event = event(3, "acme", "COMMENT_CREATED");
    let other = delivery(&event, &callback(3), pending(), 2);
    store.record(vec![delivery_record(&other, None)]).await.expect("recorded");

    let reason = CancelReason::CallbackDisabled;
    let cancel = || store.cancel_pending(to_cancel.callback, reason, at(9), 1);
    let counts = [cancel().await, cancel().await, cancel().await];
    assert_eq!(counts.map(|count| count.expect("written")), [1, 1, 0]);
    let state = async |id| store.delivery(id).await.expect("read").expect("there").state;
    let cancelled = DeliveryState::Cancelled(reason);
    assert_eq!(state(to_cancel.id).await, cancelled);
    assert_eq!(state(second.id).await, cancelled);
    assert_eq!(state(other.id).await, other.state);
    assert_eq!(state(delivered.id).await, DeliveryState::Delivered);

    store.record(vec![delivery_record(&to_cancel, None)]).await.expect("recorded");
    assert_eq!(state(to_cancel.id).await, cancelled);
}

/// At most as many events as asked, the oldest first; with each, its deliveries and their attempts; and none too young.
pub async fn retention_deletes_in_steps_and_all_that_belongs_together(harness: &mut impl Harness) {
    let store = harness.store();
    let mut recorded = Vec::new();
    for number in 0..250 {
        recorded.push(record(&*store, number, DeliveryState::Exhausted).await);
    }
    // 240 are old enough.
    for (step, deleted) in [100, 100, 40, 0].into_iter().enumerate() {
        assert_eq!(store.delete_history(at(240), 100).await.expect("deleted"), deleted);
        let events = 250 - (100 * (step + 1)).min(240);
        assert_eq!(left(&store).await, (events, 2 * events));
    }
    for (number, (event, deliveries)) in recorded.iter().enumerate() {
        let kept = number >= 240;
        assert_eq!(store.event(event.id, None).await.expect("read").is_some(), kept, "{number}");
        for delivery in deliveries {
            let attempts = store.attempts(delivery.id).await.expect("read").len();
            assert_eq!(attempts, if kept { 2 } else { 0 }, "{number}");
        }
    }
}

/// Who waits for a retry keeps its history, and does not keep others from going.
pub async fn retention_keeps_what_is_pending_and_is_not_stopped_by_it(harness: &mut impl Harness) {
    let store = harness.store();
    let mut waiting = Vec::new();
    for number in 0..20 {
        waiting.push(record(&*store, number, pending()).await);
    }
    for number in 20..30 {
        record(&*store, number, DeliveryState::Delivered).await;
    }
    // Another account's event of the same id does not wait, though this one does.
    let mut namesake = waiting[0].0.clone();
    namesake.account = "other".parse().expect("an account");
    store.record(vec![event_record(&namesake)]).await.expect("recorded");

    let mut deleted = 0;
    for _ in 0..3 {
        deleted += store.delete_history(at(1_000), 5).await.expect("deleted");
    }
    assert_eq!(deleted, 11);
    assert_eq!(left(&store).await, (20, 40));

    let (event, [_, second]) = &waiting[7];
    let settled = Delivery { state: DeliveryState::Delivered, attempts: 3, ..second.clone() };
    store.record(vec![delivery_record(&settled, None)]).await.expect("recorded");
    assert_eq!(store.delete_history(at(1_000), 5).await.expect("deleted"), 1);
    assert!(store.event(event.id, None).await.expect("read").is_none());
}
