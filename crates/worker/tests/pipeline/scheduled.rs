//! Events that are to be delivered later.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::CallbackState;
use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_core::{Callback, Dispatch, Event, Target, Targets};
use ringback_runtime::Clock as _;
use ringback_testkit::{Behaviour, builders};

use crate::bench::{Bench, delivery_of, is};

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// An event that is to be delivered so long after now, published.
async fn scheduled(bench: &Bench, ahead: Duration) -> Arc<Event> {
    let deliver_at = Some(bench.clock.now() + ahead);
    let event = Arc::new(Event { deliver_at, ..builders::event("COMMENT_CREATED") });
    bench.publish(&event).await;
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_next_year_waits_on_the_queue_and_comes_to_the_millisecond() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = scheduled(&bench, YEAR).await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_wait(id, WaitReason::Scheduled, 0).await;
    assert_eq!(Some(due), event.deliver_at, "nothing is added to it");

    bench.clock.advance_to(due - Duration::from_millis(1));
    let next = bench.event().await;
    bench.wait_for(delivery_of(&next, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.total(), 1, "not yet");

    bench.advance_past(due);
    let delivery = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 1, "to wait was no attempt");
    let request = &bench.receiver.requests()[1];
    assert_eq!(request.header("webhook-id"), event.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_event_keeps_its_time_through_a_kill_of_the_worker() {
    let bench = Bench::without_worker().await;
    let worker = bench.start_mortal_worker();
    let callback = bench.callback("/a").await;
    let event = scheduled(&bench, YEAR).await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_wait(id, WaitReason::Scheduled, 0).await;
    worker.kill();
    bench.start_worker();
    bench.advance_past(due);
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_it_is_decided_when_it_is_accepted_and_the_disabled_are_cancelled() {
    let bench = Bench::start().await;
    let [kept, disabled] = [bench.callback("/a").await, bench.callback("/b").await];
    let event = scheduled(&bench, YEAR).await;
    let due = bench.wait_for_wait(delivery_of(&event, &kept), WaitReason::Scheduled, 0).await;
    bench.wait_for_wait(delivery_of(&event, &disabled), WaitReason::Scheduled, 0).await;

    bench.callback("/late").await;
    let off = CallbackState::Disabled(ringback_core::callback::DisabledReason::ByOwner);
    bench.change(&disabled, |callback| Callback { state: off, ..callback }).await;
    bench.advance_past(due);
    bench.wait_for(delivery_of(&event, &kept), is(DeliveryState::Delivered)).await;
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    bench.wait_for(delivery_of(&event, &disabled), is(cancelled)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/a").len(), 1);
    assert_eq!(bench.receiver.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_meanwhile_is_not_sent_when_its_time_comes() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = scheduled(&bench, YEAR).await;
    let due = bench.wait_for_wait(delivery_of(&event, &callback), WaitReason::Scheduled, 0).await;
    let (reason, now) = (CancelReason::CallbackDisabled, bench.clock.now());
    let cancelled = bench.ports.store.cancel_pending(callback.id, reason, now, 10).await;
    assert_eq!(cancelled.expect("written"), 1);
    bench.advance_past(due);
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_replays_of_a_scheduled_event_do_not_wait_for_its_time() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::fail_first(1, 500));
    let callback = bench.callback("/a").await;
    let event = scheduled(&bench, YEAR).await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_wait(id, WaitReason::Scheduled, 0).await;

    let replay = Target { generation: 1, ..Target::first(callback.id) };
    bench.publish_all(vec![Dispatch::to_target(event.clone(), replay)]).await;
    let replayed = replay.delivery(&event);
    bench.wait_for_retry(replayed, 1).await;

    // As a retry by hand goes: it asks for now.
    let at_once = Arc::new(Event { deliver_at: None, ..(*event).clone() });
    let by_hand = Dispatch {
        targets: Targets::These(vec![Target::first(callback.id)]),
        ..Dispatch::of_event(at_once)
    };
    bench.publish_all(vec![by_hand]).await;
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.total(), 2);

    // The replay's retry comes after 300 s, and what waited for the time finds it delivered.
    bench.advance_past(due);
    bench.wait_for(replayed, is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_that_is_paused_when_the_time_comes_keeps_the_delivery() {
    let bench = Bench::start().await;
    let paused = |callback| Callback { state: CallbackState::Paused, ..callback };
    let callback = bench.callback_with("/a", paused).await;
    let event = scheduled(&bench, YEAR).await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_wait(id, WaitReason::Scheduled, 0).await;
    bench.advance_past(due);
    bench.wait_for_wait(id, WaitReason::Paused, 0).await;
    let parked = bench.ports.store.parked(callback.id, 10).await.expect("read");
    assert_eq!(parked[0].event.deliver_at, event.deliver_at);
    assert_eq!(bench.receiver.total(), 0);
}
