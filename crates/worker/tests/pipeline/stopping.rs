//! How a worker stops.

use std::time::Duration;

use ringback_core::delivery::DeliveryState;
use ringback_runtime::Shutdown;
use ringback_testkit::Behaviour;

use crate::bench::{Bench, DEADLINE, delivery_of, is};

#[tokio::test(flavor = "multi_thread")]
async fn worker_takes_no_more_at_once_finishes_what_is_under_way_and_then_lets_go() {
    let bench = Bench::without_worker().await;
    bench.receiver.on("/a", Behaviour::slow(Duration::from_millis(500)));
    let callback = bench.callback("/a").await;
    let stopping = Shutdown::new();
    let worker = tokio::spawn(bench.worker().run(stopping.clone()));
    let event = bench.event().await;
    bench.receiver.wait_for(1, DEADLINE).await;
    stopping.request();
    worker.await.expect("no panic").expect("it stops");
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(*bench.queue.log.lock().expect("whole"), ["stop", "ack", "finish"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_that_does_not_take_the_last_acks_holds_a_stop_up_for_seconds_only() {
    let bench = Bench::without_worker().await;
    bench.queue.finish_hangs.on();
    let stopping = Shutdown::new();
    let worker = tokio::spawn(bench.worker().run(stopping.clone()));
    stopping.request();
    let stopped = tokio::time::timeout(Duration::from_secs(6), worker).await;
    stopped.expect("in time").expect("no panic").expect("it stops");
}
