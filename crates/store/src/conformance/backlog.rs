//! What is pending though it is due.

use std::time::Duration;

use ringback_core::callback::CallbackState;
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::{Callback, DeliveryId, Event, Timestamp};

use super::Harness;
use super::samples::{at, callback, delivery, delivery_record, event, event_record};
use crate::{Backlog, OVERDUE_MAX, Store};

/// An event that is delivered at once.
fn plain(number: u32) -> Event {
    Event { deliver_at: None, ..event(number, "acme", "A") }
}

fn waits(event: &Event, to: &Callback, waits: Option<WaitReason>, until: Timestamp) -> Delivery {
    delivery(event, to, DeliveryState::Pending { next_attempt_at: until, waits }, 0)
}

async fn record(store: &dyn Store, event: &Event, delivery: &Delivery) {
    let records = vec![event_record(event), delivery_record(delivery, None)];
    store.record(records).await.expect("recorded");
}

async fn backlog(store: &dyn Store, now: Timestamp) -> Backlog {
    store.backlog(now).await.expect("read")
}

fn overdue(backlog: &Backlog, of: WaitReason) -> u64 {
    backlog.overdue.iter().find(|(reason, _)| *reason == of).expect("all reasons are there").1
}

/// Whether it is settled, or its time is to come.
pub async fn what_is_not_due_is_no_backlog(harness: &mut impl Harness) {
    let store = harness.store();
    let (now, later) = (at(100_000), at(100_001));
    let settled = [
        DeliveryState::Delivered,
        DeliveryState::Exhausted,
        DeliveryState::Cancelled(CancelReason::Requested),
    ];
    for (state, number) in settled.into_iter().zip(1..) {
        let event = plain(number);
        record(&*store, &event, &delivery(&event, &callback(1), state, 1)).await;
    }
    for (reason, number) in [WaitReason::Retry, WaitReason::Scheduled].into_iter().zip(10..) {
        let event = plain(number);
        record(&*store, &event, &waits(&event, &callback(1), Some(reason), later)).await;
    }
    let nothing = WaitReason::ALL.map(|reason| (reason, 0)).to_vec();
    let expected = Backlog { oldest_due: None, overdue: nothing };
    assert_eq!(backlog(&*store, now).await, expected);
    assert_eq!(backlog(&*store, later).await.oldest_due, Some(later));
}

/// Each of these is the oldest when it comes: a retry since its time, what was put off since its event was accepted or was
/// to be delivered, what was asked for since its own time.
pub async fn oldest_is_due_since_it_could_have_been_delivered(harness: &mut impl Harness) {
    let store = harness.store();
    let to = callback(1);
    let now = at(900_000);
    let due = async || backlog(&*store, now).await.oldest_due;

    let retried = plain(1);
    record(&*store, &retried, &waits(&retried, &to, Some(WaitReason::Retry), at(800_000))).await;
    assert_eq!(due().await, Some(at(800_000)));
    let under_way = plain(2);
    record(&*store, &under_way, &waits(&under_way, &to, None, at(790_000))).await;
    assert_eq!(due().await, Some(at(790_000)));

    // A replay of an old event, and an attempt that somebody asked for, are not as old as their event.
    let again = plain(3);
    let limited = Some(WaitReason::RateLimit);
    let replayed = Delivery {
        id: DeliveryId::of(&again.account, again.id, to.id, 1),
        generation: 1,
        ..waits(&again, &to, limited, at(780_000))
    };
    record(&*store, &again, &replayed).await;
    assert_eq!(due().await, Some(at(780_000)));

    let scheduled = Event { deliver_at: Some(at(770_000)), ..event(4, "acme", "A") };
    record(&*store, &scheduled, &waits(&scheduled, &to, limited, at(950_000))).await;
    assert_eq!(due().await, Some(at(770_000)));

    let reasons = [
        (WaitReason::Concurrency, 700_000),
        (WaitReason::CircuitOpen, 600_000),
        (WaitReason::RateLimit, 500_000),
        (WaitReason::Paused, 400_000),
    ];
    for (reason, number) in reasons {
        let put_off = plain(number);
        record(&*store, &put_off, &waits(&put_off, &to, Some(reason), at(950_000))).await;
        assert_eq!(due().await, Some(put_off.accepted_at), "{reason:?}");
    }
}

/// By what they wait for, and what is kept for a callback only once that was resumed.
pub async fn overdue_deliveries_are_counted_by_reason(harness: &mut impl Harness) {
    let store = harness.store();
    let now = at(900_000);
    let late = now - Duration::from_secs(61);
    let mut paused = callback(1);
    paused.state = CallbackState::Paused;
    store.create_callback(&paused).await.expect("written");
    for (reason, number) in WaitReason::ALL.into_iter().zip(1..) {
        for copy in 0..number {
            let event = plain(number * 100 + copy);
            record(&*store, &event, &waits(&event, &paused, Some(reason), late)).await;
        }
        let event = plain(number * 100 + 99);
        let in_time = now - Duration::from_secs(59);
        record(&*store, &event, &waits(&event, &paused, Some(reason), in_time)).await;
    }
    let counted = async || {
        let backlog = backlog(&*store, now).await;
        WaitReason::ALL.map(|reason| overdue(&backlog, reason))
    };
    let position = |reason| WaitReason::ALL.iter().position(|known| *known == reason);
    let mut expected = [1, 2, 3, 4, 5, 6];
    let of_paused = position(WaitReason::Paused).expect("it is one of them");
    let kept = std::mem::take(&mut expected[of_paused]);
    assert_eq!(counted().await, expected, "nobody should have sent what is kept");

    let resumed =
        Callback { state: CallbackState::Enabled, resumed_at: Some(late), ..paused.clone() };
    let updated = store.update_callback(&resumed, paused.updated_at).await;
    assert!(updated.expect("written"));
    expected[of_paused] = kept;
    assert_eq!(counted().await, expected);
}

/// A count that nobody reads to the end is not made to the end.
pub async fn overdue_deliveries_are_counted_up_to_a_limit(harness: &mut impl Harness) {
    let store = harness.store();
    let to = callback(1);
    let one_too_many = 1..=OVERDUE_MAX + 1;
    let record = |number| {
        let event = plain(number);
        delivery_record(&waits(&event, &to, Some(WaitReason::Retry), event.accepted_at), None)
    };
    let records: Vec<_> = one_too_many.map(record).collect();
    for records in records.chunks(1_000) {
        store.record(records.to_vec()).await.expect("recorded");
    }
    let backlog = backlog(&*store, at(900_000)).await;
    assert_eq!(overdue(&backlog, WaitReason::Retry), u64::from(OVERDUE_MAX));
    assert_eq!(backlog.oldest_due, Some(at(1)));
}
