//! What waits for a callback to be resumed.

use std::time::Duration;

use ringback_core::callback::{CallbackState, DisabledReason};
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::{Callback, CallbackId, Event};

use super::Harness;
use super::samples::{at, callback, delivery, delivery_record, event, event_record, pending};
use crate::{Parked, Store};

fn waits_for(reason: WaitReason) -> DeliveryState {
    DeliveryState::Pending { next_attempt_at: at(0), waits: Some(reason) }
}

/// An event, and its delivery kept for a callback.
async fn park(store: &dyn Store, number: u32, to: &Callback) -> (Event, Delivery) {
    let event = event(number, "acme", "COMMENT_CREATED");
    let delivery = delivery(&event, to, waits_for(WaitReason::Paused), number % 3);
    let records = vec![event_record(&event), delivery_record(&delivery, None)];
    store.record(records).await.expect("recorded");
    (event, delivery)
}

async fn parked(store: &dyn Store, callback: CallbackId, limit: usize) -> Vec<Parked> {
    store.parked(callback, limit).await.expect("read")
}

/// Those of one callback that are kept because it is paused, and whatever else it has is left out; in the order in
/// which their events were accepted, however they were recorded.
pub async fn parked_deliveries_are_found_oldest_first_with_their_events(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let paused = callback(1);
    let mut kept = Vec::new();
    for number in [7, 3, 9, 5] {
        kept.push(park(&*store, number, &paused).await);
    }
    park(&*store, 1, &callback(2)).await;
    let others = WaitReason::ALL.into_iter().filter(|reason| *reason != WaitReason::Paused);
    let others = others.map(waits_for).chain([
        DeliveryState::Pending { next_attempt_at: at(0), waits: None },
        DeliveryState::Delivered,
        DeliveryState::Exhausted,
        DeliveryState::Cancelled(CancelReason::CallbackDisabled),
    ]);
    for (state, number) in others.zip(100..) {
        let event = event(number, "acme", "COMMENT_CREATED");
        let delivery = delivery(&event, &paused, state, 1);
        let records = vec![event_record(&event), delivery_record(&delivery, None)];
        store.record(records).await.expect("recorded");
    }
    // Another account's event of the same id is another event.
    let mut namesake = kept[0].0.clone();
    namesake.account = "other".parse().expect("an account");
    store.record(vec![event_record(&namesake)]).await.expect("recorded");

    kept.sort_by_key(|(event, _)| event.accepted_at);
    for limit in [100, 4, 3, 1] {
        let found = parked(&*store, paused.id, limit).await;
        assert_eq!(found.len(), limit.min(kept.len()));
        for (found, (event, delivery)) in found.iter().zip(&kept) {
            assert_eq!(&found.delivery, delivery);
            assert_eq!(format!("{:?}", found.event), format!("{event:?}"));
        }
    }
    assert!(parked(&*store, callback(3).id, 10).await.is_empty());
}

/// Whatever becomes of it: it is put on the queue again, or settled.
pub async fn parked_delivery_that_goes_on_is_found_no_more(harness: &mut impl Harness) {
    let store = harness.store();
    let paused = callback(1);
    for (state, number) in [pending(), DeliveryState::Delivered].into_iter().zip(1..) {
        let (_, delivery) = park(&*store, number, &paused).await;
        assert_eq!(parked(&*store, paused.id, 10).await.len(), 1);
        let after = Delivery { state, ..delivery };
        store.record(vec![delivery_record(&after, None)]).await.expect("recorded");
        assert!(parked(&*store, paused.id, 10).await.is_empty());
    }
}

/// Resumed since, neither paused nor disabled again, and with something that is still kept.
pub async fn resumed_callbacks_with_parked_deliveries_are_those_and_no_others(
    harness: &mut impl Harness,
) {
    let store = harness.store();
    let changes: [fn(&mut Callback); 7] = [
        |_| {},
        |callback| callback.resumed_at = Some(at(500) + Duration::from_millis(1)),
        |callback| callback.state = CallbackState::Paused,
        |callback| callback.state = CallbackState::Disabled(DisabledReason::ByOwner),
        |callback| callback.resumed_at = None,
        |callback| callback.resumed_at = Some(at(499)),
        // It keeps nothing: see below.
        |callback| callback.description = "keeps nothing".to_owned(),
    ];
    let mut callbacks = Vec::new();
    for (change, number) in changes.into_iter().zip(1..) {
        let mut callback = callback(number);
        callback.resumed_at = Some(at(500));
        change(&mut callback);
        store.create_callback(&callback).await.expect("written");
        if number != 7 {
            park(&*store, number.into(), &callback).await;
        }
        callbacks.push(callback);
    }
    let mut found = store.resumed_with_parked(at(500)).await.expect("read");
    found.sort_by_key(|callback| callback.id);
    let expected = &callbacks[..2];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        super::samples::assert_same(found, expected);
    }
    assert!(store.resumed_with_parked(at(502)).await.expect("read").is_empty());
}

/// A callback that is disabled or deleted while it is paused gets nothing of what was kept for it.
pub async fn parked_deliveries_are_cancelled_with_the_rest(harness: &mut impl Harness) {
    let store = harness.store();
    let paused = callback(1);
    let (_, kept) = park(&*store, 1, &paused).await;
    let (_, others) = park(&*store, 2, &callback(2)).await;
    let reason = CancelReason::CallbackDeleted;
    let cancelled = store.cancel_pending(paused.id, reason, at(9), 10).await.expect("written");
    assert_eq!(cancelled, 1);
    let read = store.delivery(kept.id).await.expect("read").expect("it is there");
    assert_eq!(read.state, DeliveryState::Cancelled(reason));
    assert!(parked(&*store, paused.id, 10).await.is_empty());
    assert_eq!(parked(&*store, others.callback, 10).await.len(), 1);
}

/// It is pending as it was, and its next attempt is due now.
pub async fn delivery_that_is_let_go_waits_no_more(harness: &mut impl Harness) {
    let store = harness.store();
    let resumed = callback(1);
    let mut kept = Vec::new();
    for number in 1..=3 {
        kept.push(park(&*store, number, &resumed).await.1);
    }
    store.let_go(&kept[..2], at(9)).await.expect("written");
    for delivery in &kept[..2] {
        let state = DeliveryState::Pending { next_attempt_at: at(9), waits: None };
        let expected = Delivery { state, updated_at: at(9), ..delivery.clone() };
        assert_eq!(store.delivery(delivery.id).await.expect("read"), Some(expected));
    }
    let left = parked(&*store, resumed.id, 10).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].delivery, kept[2]);
    store.let_go(&[], at(9)).await.expect("nothing to do");
}

/// A worker may have been faster: what it wrote tells how things stand. Above all, what it kept once more stays kept.
pub async fn delivery_that_was_written_since_it_was_read_is_not_let_go(harness: &mut impl Harness) {
    let store = harness.store();
    let resumed = callback(1);
    let after = [
        waits_for(WaitReason::Paused),
        waits_for(WaitReason::RateLimit),
        DeliveryState::Delivered,
        DeliveryState::Cancelled(CancelReason::CallbackDisabled),
    ];
    for (state, number) in after.into_iter().zip(1..) {
        let (_, read) = park(&*store, number, &resumed).await;
        // Before or after the time it was read at: clocks of several machines differ.
        for updated_at in [at(8), at(0)] {
            let written = Delivery { state, updated_at, ..read.clone() };
            store.record(vec![delivery_record(&written, None)]).await.expect("recorded");
            store.let_go(std::slice::from_ref(&read), at(9)).await.expect("written");
            assert_eq!(store.delivery(read.id).await.expect("read"), Some(written));
        }
    }
}
