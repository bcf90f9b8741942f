//! Not now: paused callbacks and rate limits. None of it is an attempt.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::CallbackState;
use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::rate::RateLimit;
use ringback_core::{Callback, Dispatch};
use ringback_runtime::Clock as _;
use ringback_testkit::{Behaviour, builders};

use crate::bench::{Bench, DEADLINE, by_hand, delivery_of, is, no_retries};

fn paused(callback: Callback) -> Callback {
    Callback { state: CallbackState::Paused, ..callback }
}

fn rate(per_second: u32, burst: u32) -> impl Fn(Callback) -> Callback {
    let number = |n| NonZeroU32::new(n).expect("not zero");
    let limit = RateLimit { per_second: number(per_second), burst: number(burst) };
    move |callback| Callback { rate_limit: Some(limit), ..callback }
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_callback_keeps_its_deliveries_in_the_history_and_sends_nothing() {
    let bench = Bench::start().await;
    let callback = bench.callback_with("/a", paused).await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    let since = bench.wait_for_wait(id, WaitReason::Paused, 0).await;
    assert_eq!(since, bench.clock.now());
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 0);

    let parked = bench.ports.store.parked(callback.id, 10).await.expect("read");
    assert_eq!(parked.iter().map(|parked| parked.delivery.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_that_falls_due_during_a_pause_is_kept_with_the_attempts_it_had() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback("/a").await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_retry(id, 1).await;
    bench.change(&callback, paused).await;
    bench.advance_past(due);
    bench.wait_for_wait(id, WaitReason::Paused, 1).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_by_hand_of_a_spent_delivery_survives_a_pause() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::fail_first(1, 500));
    let callback =
        bench.callback_with("/a", |callback| Callback { retry: no_retries(), ..callback }).await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    bench.wait_for(id, is(DeliveryState::Exhausted)).await;

    bench.change(&callback, paused).await;
    bench.publish_all(vec![by_hand(&event, &callback, 2)]).await;
    let waits = |depth: ringback_broker::Depth| depth.fresh == 0 && depth.delayed == 1;
    bench.wait_for_depth("put off", waits).await;
    let enabled = |callback| Callback { state: CallbackState::Enabled, ..callback };
    bench.change(&callback, enabled).await;
    bench.clock.advance(Duration::from_secs(61));
    let delivery = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_over_the_rate_waits_in_the_worker_if_that_is_short() {
    let bench = Bench::start().await;
    let callback = bench.callback_with("/a", rate(10, 1)).await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;
    let second = bench.event().await;
    let asks_again = bench.clock.wait_for_sleeper(DEADLINE).await;
    assert_eq!(asks_again, bench.clock.now() + Duration::from_millis(100));
    assert_eq!(bench.receiver.total(), 1, "not yet");
    bench.clock.advance(Duration::from_millis(100));
    let id = delivery_of(&second, &callback);
    let delivery = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 1);
    assert_eq!(bench.queue.calls.of("publish_after"), 0, "it never left the worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn moment_that_was_missed_is_not_made_up_for() {
    let bench = Bench::start().await;
    let callback = bench.callback_with("/a", rate(10, 1)).await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;
    let late = bench.event().await;
    bench.clock.wait_for_sleeper(DEADLINE).await;
    assert_eq!(bench.claims.calls.of("admit"), 2);
    bench.clock.advance(Duration::from_secs(1));
    bench.wait_for(delivery_of(&late, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.claims.calls.of("admit"), 3, "it is counted where it goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_over_the_rate_is_put_off_if_it_would_wait_long_and_that_is_no_attempt() {
    let bench = Bench::start().await;
    let callback = bench.callback_with("/a", rate(2, 1)).await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;
    let second = bench.event().await;
    let id = delivery_of(&second, &callback);
    let due = bench.wait_for_wait(id, WaitReason::RateLimit, 0).await;
    assert_eq!(due, bench.clock.now() + Duration::from_millis(469), "a sixteenth before its time");
    assert_eq!(bench.receiver.total(), 1, "not yet");
    bench.advance_past(due);
    let moment = bench.clock.wait_for_sleeper(DEADLINE).await;
    assert_eq!(moment, due + Duration::from_millis(31), "who comes early waits");
    bench.clock.advance_to(moment);
    let delivery = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 1);
    assert_eq!(bench.receiver.requests()[1].header("ringback-attempt"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_and_burst_say_how_many_go_at_once_and_when_the_next_may() {
    // Waits of more than 250 ms come back a sixteenth earlier.
    for (per_second, burst, wait_ms) in [(1, 1, 938), (1, 3, 938), (3, 2, 313), (4, 2, 250)] {
        let bench = Bench::without_worker().await;
        let callback = bench.callback_with("/a", rate(per_second, burst)).await;
        let events: Vec<_> =
            (0..=burst).map(|_| Arc::new(builders::event("COMMENT_CREATED"))).collect();
        let dispatches = events.iter().cloned().map(Dispatch::of_event).collect();
        bench.publish_all(dispatches).await;
        bench.start_worker();
        bench.receiver.wait_for(burst.into(), DEADLINE).await;
        let next = bench.clock.wait_for_sleeper(DEADLINE).await;
        // Who is put off lies on the queue, where due times are rounded up to 20 ms.
        let late_ms = next.since(bench.clock.now()).as_millis() - wait_ms;
        assert!(late_ms < 20, "{per_second} a second, {burst} at once: {late_ms} ms late");
        assert_eq!(bench.receiver.total(), u64::from(burst));
        bench.clock.advance(Duration::from_secs(1));
        for event in &events {
            bench.wait_for(delivery_of(event, &callback), is(DeliveryState::Delivered)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_is_kept_by_each_worker_alone_while_nobody_counts_for_all() {
    let bench = Bench::start().await;
    bench.claims.away.on();
    let callback = bench.callback_with("/a", rate(2, 1)).await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;
    let second = bench.event().await;
    let id = delivery_of(&second, &callback);
    let due = bench.wait_for_wait(id, WaitReason::RateLimit, 0).await;
    assert_eq!(due, bench.clock.now() + Duration::from_millis(469), "a sixteenth before its time");
    bench.clock.advance(Duration::from_secs(1));
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert!(bench.claims.calls.of("admit") >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_without_a_rate_limit_is_never_counted() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.claims.calls.of("admit"), 0);
}
