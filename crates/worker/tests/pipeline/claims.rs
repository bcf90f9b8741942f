//! Claims: what they cost, how long they last, and what happens without them.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::DeliveryState;
use ringback_core::dispatch::Novelty;
use ringback_core::rate::RateLimit;
use ringback_core::retry::AttemptNumber;
use ringback_core::{Callback, Dispatch};
use ringback_idempotency::AttemptKey;
use ringback_testkit::{Behaviour, builders};

use crate::bench::{Bench, DEADLINE, delivery_of, is};

#[tokio::test(flavor = "multi_thread")]
async fn bundle_of_new_events_costs_one_claim_one_forget_and_no_query() {
    const EVENTS: usize = 40;
    let bench = Bench::without_worker().await;
    let callback = bench.callback("/a").await;
    let events: Vec<_> =
        (0..EVENTS).map(|_| Arc::new(builders::event("COMMENT_CREATED"))).collect();
    bench.publish_all(events.iter().cloned().map(Dispatch::of_event).collect()).await;
    bench.start_worker();
    for event in &events {
        bench.wait_for(delivery_of(event, &callback), is(DeliveryState::Delivered)).await;
    }
    bench.claims.calls.wait_for("forget", 1).await;
    bench.wait_until_all_is_acked().await;
    let claims = &bench.claims.calls;
    assert_eq!((claims.of("claim"), claims.of("forget"), claims.of("settle")), (1, 1, 0));
    let store = &bench.store.calls;
    assert_eq!((store.of("recorded"), store.of("callback_changes")), (0, 1));
    assert_eq!(store.of("record"), EVENTS + 1, "an attempt each, and the events together");
    assert_eq!(bench.queue.calls.of("publish_after"), 0);
    assert_eq!(bench.queue.calls.of("ack"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_last_for_the_longest_timeout_among_their_bundle_and_15_s_more() {
    let bench = Bench::start().await;
    let with =
        |seconds| move |callback| Callback { timeout: Duration::from_secs(seconds), ..callback };
    bench.callback_with("/a", with(3)).await;
    let last = bench.callback_with("/b", with(40)).await;
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &last), is(DeliveryState::Delivered)).await;
    assert_eq!(*bench.claims.leases.lock().expect("whole"), [Duration::from_secs(55)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_another_holds_is_looked_at_again_later() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let delivery = delivery_of(&event, &callback);
    let key = AttemptKey { delivery, attempt: AttemptNumber::MIN };
    let lease = Duration::from_secs(8);
    bench.ports.idempotency.claim(&[key], lease).await.expect("claimed");
    bench.publish(&event).await;
    let waits = |depth: ringback_broker::Depth| depth.fresh == 0 && depth.delayed == 1;
    bench.wait_for_depth("put off", waits).await;
    bench.clock.advance(Duration::from_millis(5_020));
    bench.queue.calls.wait_for("publish_after", 2).await;
    assert_eq!(bench.receiver.total(), 0, "it is held for 8 s");
    bench.wait_for_depth("put off once more", waits).await;
    bench.clock.advance(Duration::from_millis(3_020));
    bench.wait_for(delivery, is(DeliveryState::Delivered)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_idempotency_store_deliveries_go_on() {
    let bench = Bench::start().await;
    bench.claims.away.on();
    bench.receiver.on("/a", Behaviour::fail_first(1, 500));
    let callback = bench.callback("/a").await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_retry(id, 1).await;
    bench.advance_past(due);
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_is_not_begun_under_a_claim_that_may_run_out_during_it() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;

    // It is claimed, and can't be looked up for 10 s.
    bench.claims.calls.forget();
    bench.store.calls.forget();
    bench.store.away.on();
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let doubtful =
        Dispatch { novelty: Novelty::PerhapsRepeated, ..Dispatch::of_event(event.clone()) };
    bench.publish_all(vec![doubtful]).await;
    bench.store.calls.wait_for("recorded", 1).await;
    bench.clock.advance(Duration::from_secs(10));
    bench.store.away.off();
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.claims.calls.of("claim"), 2, "it was claimed anew");
    bench.receiver.wait_for_ended(2, DEADLINE).await;
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_is_not_begun_under_a_claim_that_grew_old_while_it_waited_for_a_place() {
    let bench = Bench::without_worker().await;
    bench.receiver.on("/a", Behaviour::slow(Duration::from_millis(50)));
    let one_at_once = |callback| Callback { max_in_flight: std::num::NonZeroU32::MIN, ..callback };
    let callback = bench.callback_with("/a", one_at_once).await;
    let events: Vec<_> = (0..2).map(|_| Arc::new(builders::event("COMMENT_CREATED"))).collect();
    bench.publish_all(events.iter().cloned().map(Dispatch::of_event).collect()).await;
    bench.start_worker();
    bench.receiver.wait_for(1, DEADLINE).await;
    // As if the process had stood still, and the claims run out. One of the two waits for the other's place.
    bench.clock.advance(Duration::from_mins(1));
    // On a busy machine it waits for longer than any does, and is put off for a second.
    let is_over_or_put_off = |depth: ringback_broker::Depth| {
        depth.delayed == 1 || depth.fresh + depth.returned + depth.delayed == 0
    };
    bench.wait_for_depth("over, or put off", is_over_or_put_off).await;
    bench.clock.advance(Duration::from_secs(2));
    for event in &events {
        bench.wait_for(delivery_of(event, &callback), is(DeliveryState::Delivered)).await;
    }
    assert_eq!(bench.claims.calls.of("claim"), 2, "it was claimed anew");
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_off_is_not_kept_away_by_its_own_claim() {
    let bench = Bench::without_worker().await;
    bench.receiver.on("/hanging", Behaviour::Hang);
    bench.callback("/hanging").await;
    let one = |n| std::num::NonZeroU32::new(n).expect("not zero");
    let limit = RateLimit { per_second: one(2), burst: one(1) };
    let limited = |callback| Callback { rate_limit: Some(limit), ..callback };
    let callback = bench.callback_with("/limited", limited).await;
    let events: Vec<_> = (0..2).map(|_| Arc::new(builders::event("COMMENT_CREATED"))).collect();
    bench.publish_all(events.iter().cloned().map(Dispatch::of_event).collect()).await;
    bench.start_worker();
    bench.receiver.wait_for(3, DEADLINE).await;
    bench.wait_for_depth("put off", |depth| depth.delayed == 1).await;
    // Its bundle is not done, and would have the claim last for half a minute.
    bench.clock.advance(Duration::from_millis(520));
    for event in &events {
        bench.wait_for(delivery_of(event, &callback), is(DeliveryState::Delivered)).await;
    }
}
