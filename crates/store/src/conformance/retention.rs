//! Retention.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::{CancelReason, Delivery, DeliveryState};
use ringback_core::{Event, Timestamp};

use super::samples::{
    at, attempt, callback, delivery, delivery_record, event, event_record, pending, response,
    success,
};
use super::{Harness, attempts_of};
use crate::{DeliveryQuery, EventQuery, Store};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// An event with two deliveries, each with two attempts.
async fn record(store: &dyn Store, number: u32, state: DeliveryState) -> (Event, [Delivery; 2]) {
    let accepted_at = at(number.into());
    record_at(store, number as usize, state, accepted_at).await
}

async fn record_at(
    store: &dyn Store,
    number: usize,
    state: DeliveryState,
    accepted_at: Timestamp,
) -> (Event, [Delivery; 2]) {
    let mut event = event(u32::try_from(number).expect("few"), "acme", "COMMENT_CREATED");
    event.accepted_at = accepted_at;
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

/// Deletes until nothing is left to delete. Returns how often there was something.
async fn delete_all(store: &dyn Store, accepted_before: Timestamp) -> usize {
    for round in 0..100 {
        if store.delete_history(accepted_before, 7).await.expect("deleted") == 0 {
            return round;
        }
    }
    panic!("there is always something left to delete");
}

/// All of days before that of the cut goes, with its deliveries and their attempts, whatever else there is; nothing goes
/// that was accepted later; and of the cut's own day an event goes whole or stays whole.
pub async fn retention_deletes_what_is_old_and_all_that_belongs_together(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let cut = at(5_000);
    let mut recorded = Vec::new();
    for number in 0..20 {
        for time in [at(-2 * DAY_MS), at(-DAY_MS), at(0), cut] {
            let state = DeliveryState::Exhausted;
            let accepted_at = time + Duration::from_millis(number);
            recorded.push(record_at(&*store, recorded.len(), state, accepted_at).await);
        }
    }
    assert!(delete_all(&*store, cut).await >= 1);
    for (event, deliveries) in &recorded {
        let kept = store.event(event.id, None).await.expect("read").is_some();
        assert!(!(kept && event.accepted_at < at(0)), "too old, and still there: {event:?}");
        assert!(kept || event.accepted_at < cut, "not old, and gone: {event:?}");
        for delivery in deliveries {
            let read = store.delivery_with_attempts(delivery.id).await.expect("read");
            let attempts = read.map(|(_, attempts)| attempts.len());
            assert_eq!(attempts, kept.then_some(2), "{event:?}");
            // Nor are attempts left of a delivery that is gone.
            let each = [1, 2].map(|attempts| Delivery { attempts, ..delivery.clone() });
            let outcomes = store.last_outcomes(&each).await.expect("read");
            assert!(outcomes.iter().all(|outcome| outcome.is_some() == kept), "{event:?}");
        }
    }
    assert_eq!(delete_all(&*store, cut).await, 0);
}

/// Who waits for a retry keeps its history, and does not keep others from going.
pub async fn retention_keeps_what_is_pending_and_is_not_stopped_by_it(harness: &mut impl Harness) {
    let store = harness.store();
    let yesterday = at(-DAY_MS);
    let mut waiting = Vec::new();
    for number in 0..20 {
        waiting.push(record_at(&*store, number, pending(), yesterday).await);
    }
    for number in 20..30 {
        record_at(&*store, number, DeliveryState::Delivered, yesterday).await;
    }
    // Another account's event of the same id does not wait, though this one does.
    let mut namesake = waiting[0].0.clone();
    namesake.account = "other".parse().expect("an account");
    store.record(vec![event_record(&namesake)]).await.expect("recorded");

    assert!(delete_all(&*store, at(0)).await >= 1);
    assert_eq!(left(&store).await, (20, 40));
    for (event, deliveries) in &waiting {
        let event = store.event(event.id, Some(&event.account)).await.expect("read");
        assert!(event.is_some());
        for delivery in deliveries {
            assert_eq!(attempts_of(&*store, delivery.id).await.len(), 2);
        }
    }

    let (event, [_, second]) = &waiting[7];
    let settled = Delivery { state: DeliveryState::Delivered, attempts: 3, ..second.clone() };
    store.record(vec![delivery_record(&settled, None)]).await.expect("recorded");
    assert_eq!(delete_all(&*store, at(0)).await, 1);
    assert!(store.event(event.id, None).await.expect("read").is_none());
    assert_eq!(left(&store).await, (19, 38));

    // The last one settles, and the rest goes with it.
    for (_, [_, second]) in &waiting {
        let settled = Delivery { state: DeliveryState::Exhausted, attempts: 3, ..second.clone() };
        store.record(vec![delivery_record(&settled, None)]).await.expect("recorded");
    }
    assert!(delete_all(&*store, at(0)).await >= 1);
    // What was recorded late of an event that is gone already is no event's.
    assert_eq!(left(&store).await.0, 0);
}
