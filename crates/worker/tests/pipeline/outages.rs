//! What a worker does while something it needs is away, or broken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringback_broker::Depth;
use ringback_core::delivery::DeliveryState;
use ringback_core::rate::RateLimit;
use ringback_core::{Callback, Dispatch};
use ringback_testkit::{Behaviour, builders};

use crate::bench::{Bench, DEADLINE, delivery_of, is};

#[tokio::test(flavor = "multi_thread")]
async fn while_history_is_away_nothing_is_taken_or_begun_and_then_all_is_done_once() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::slow(Duration::from_millis(300)));
    let callback = bench.callback("/a").await;
    let under_way = bench.event().await;
    bench.receiver.wait_for(1, DEADLINE).await;
    bench.store.away.on();
    bench.store.calls.wait_for("ready", 2).await;

    bench.claims.calls.forget();
    bench.receiver.on("/a", Behaviour::status(204));
    let mut later = Vec::new();
    for _ in 0..20 {
        later.push(bench.event().await);
    }
    // It asks, with pauses, whether the store is back: had it taken anything else, there was time.
    bench.store.calls.forget();
    bench.store.calls.wait_for("ready", 2).await;
    assert_eq!(bench.receiver.total(), 1);
    let claims = bench.claims.calls.of("claim");
    assert!(claims <= 1, "what was being handed out just then, and no more: {claims}");
    assert!(bench.store.calls.of("ready") <= 3, "it asks with pauses");

    let back = Instant::now();
    bench.store.away.off();
    for event in later.iter().chain([&under_way]) {
        bench.wait_for(delivery_of(event, &callback), is(DeliveryState::Delivered)).await;
    }
    bench.wait_until_all_is_acked().await;
    let requests = bench.receiver.requests();
    assert_eq!(requests.len(), 21);
    let first_after = requests[1].arrived.duration_since(back);
    assert!(
        first_after >= Duration::from_secs(2),
        "others write first what they owe: {first_after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_is_refused_alone_holds_up_nobody_else() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let refused = Arc::new(builders::event("COMMENT_CREATED"));
    *bench.store.refuses.lock().expect("whole") = Some(delivery_of(&refused, &callback));
    bench.publish(&refused).await;
    bench.store.calls.wait_for("ready", 1).await;
    let other = bench.event().await;
    bench.wait_for(delivery_of(&other, &callback), is(DeliveryState::Delivered)).await;

    *bench.store.refuses.lock().expect("whole") = None;
    bench.wait_for(delivery_of(&refused, &callback), is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_callbacks_cannot_be_read_nothing_is_sent() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let first = bench.event().await;
    bench.wait_for(delivery_of(&first, &callback), is(DeliveryState::Delivered)).await;

    bench.store.away.on();
    // A change that can't be read, so what is known of callbacks is out of date.
    let deleted = &bench.ports.store;
    assert!(deleted.delete_callback(callback.id, callback.updated_at).await.expect("written"));
    let event = bench.event().await;
    bench.store.calls.wait_for("ready", 3).await;
    assert_eq!(bench.receiver.total(), 1);
    bench.store.away.off();
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 1, "nobody matches any more");
    let delivery = bench.ports.store.delivery(delivery_of(&event, &callback)).await.expect("read");
    assert_eq!(delivery, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_that_makes_the_worker_panic_takes_nobody_along_and_comes_again_later() {
    let bench = Bench::without_worker().await;
    let number = |n| std::num::NonZeroU32::new(n).expect("not zero");
    let limit = RateLimit { per_second: number(100), burst: number(100) };
    let limited = |callback| Callback { rate_limit: Some(limit), ..callback };
    let bad = bench.callback_with("/bad", limited).await;
    let good = bench.callback_with("/good", limited).await;
    *bench.claims.panics_for.lock().expect("whole") = Some(bad.id);
    let events: Vec<_> = (0..3).map(|_| Arc::new(builders::event("COMMENT_CREATED"))).collect();
    bench.publish_all(events.iter().cloned().map(Dispatch::of_event).collect()).await;
    bench.start_worker();
    for event in &events {
        bench.wait_for(delivery_of(event, &good), is(DeliveryState::Delivered)).await;
    }
    let put_off = |depth: Depth| depth.fresh + depth.returned == 0 && depth.delayed > 0;
    bench.wait_for_depth("put off", put_off).await;
    assert_eq!(bench.receiver.requests_to("/good").len(), 3);
    assert_eq!(bench.receiver.requests_to("/bad").len(), 0);

    *bench.claims.panics_for.lock().expect("whole") = None;
    bench.clock.advance(Duration::from_millis(60_020));
    for event in &events {
        bench.wait_for(delivery_of(event, &bad), is(DeliveryState::Delivered)).await;
    }
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/good").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn fan_out_whose_publish_is_not_confirmed_reaches_every_callback_once() {
    const CALLBACKS: usize = 40;
    let bench = Bench::without_worker().await;
    let mut callbacks = Vec::new();
    for number in 0..CALLBACKS {
        callbacks.push(bench.callback(&format!("/{number}")).await);
    }
    let event = bench.event().await;
    bench.queue.loses_one_confirm.on();
    bench.start_worker();
    for callback in &callbacks {
        bench.wait_for(delivery_of(&event, callback), is(DeliveryState::Delivered)).await;
    }
    // Those that found theirs claimed look again.
    let at_rest = |depth: Depth| depth.fresh + depth.returned == 0;
    bench.wait_for_depth("at rest", at_rest).await;
    bench.clock.advance(Duration::from_secs(10));
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), CALLBACKS as u64);
}
