//! An attempt that takes long does not hold up the others of its bundle, and is lost at no point.

use std::sync::Arc;
use std::time::Duration;

use ringback_broker::Depth;
use ringback_core::delivery::DeliveryState;
use ringback_core::filter::EventFilter;
use ringback_core::{Callback, Dispatch, Event};
use ringback_testkit::{Behaviour, builders};

use crate::bench::{Bench, DEADLINE, Mortal, delivery_of, is};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The lease of an attempt, and the time when its copy comes, are over after this.
const AFTER_ALL: Duration = Duration::from_secs(30);

/// A bundle of one event for a slow callback and one for a quick one.
struct Bundle {
    slow: (Arc<Event>, Callback),
    quick: (Arc<Event>, Callback),
}

impl Bundle {
    async fn publish(bench: &Bench) -> Self {
        let of = |event: &str| {
            let events = EventFilter::parse(&[event]).expect("a filter");
            move |callback| Callback { events, timeout: TIMEOUT, ..callback }
        };
        let slow = bench.callback_with("/slow", of("SLOW")).await;
        let quick = bench.callback_with("/quick", of("QUICK")).await;
        let slow_event = Arc::new(builders::event("SLOW"));
        let quick_event = Arc::new(builders::event("QUICK"));
        let bundle = [&slow_event, &quick_event];
        bench.publish_all(bundle.map(|event| Dispatch::of_event(event.clone())).to_vec()).await;
        Self { slow: (slow_event, slow), quick: (quick_event, quick) }
    }

    fn slow(&self) -> ringback_core::DeliveryId {
        delivery_of(&self.slow.0, &self.slow.1)
    }

    fn quick(&self) -> ringback_core::DeliveryId {
        delivery_of(&self.quick.0, &self.quick.1)
    }
}

/// The bundle is acked, and the copy lies on the queue.
fn handed_over(depth: Depth) -> bool {
    depth.fresh == 0 && depth.delayed == 1
}

async fn restart(bench: &Bench, worker: Mortal) {
    worker.kill();
    bench
        .receiver
        .wait_until("end of what was under way", DEADLINE, |requests| {
            requests.iter().all(|request| request.ended.is_some())
        })
        .await;
    bench.start_worker();
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_is_acked_while_one_of_its_receivers_still_hangs() {
    let bench = Bench::start().await;
    bench.receiver.on("/slow", Behaviour::Hang);
    let bundle = Bundle::publish(&bench).await;
    bench.wait_for_depth("handed over", handed_over).await;
    bench.wait_for(bundle.quick(), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.open_now(), 1, "and it still hangs");
    let under_way = |delivery: &ringback_core::delivery::Delivery| {
        matches!(delivery.state, DeliveryState::Pending { waits: None, .. })
    };
    bench.wait_for(bundle.slow(), under_way).await;
    let claims = &bench.claims.calls;
    claims.wait_for("forget", 1).await;
    assert_eq!(claims.of("settle"), 0, "it is not over");

    // Should it take longer than it may, its claim keeps the copy away.
    let published = bench.queue.calls.of("publish_after");
    bench.clock.advance(TIMEOUT + Duration::from_millis(5_020));
    bench.queue.calls.wait_for("publish_after", published + 1).await;
    bench.wait_for_depth("put off", handed_over).await;
    assert_eq!(bench.receiver.requests_to("/slow").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_is_alone_in_its_message_is_shown_and_not_handed_over() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::Hang);
    let callback = bench.callback("/a").await;
    let event = bench.event().await;
    let under_way = |delivery: &ringback_core::delivery::Delivery| {
        matches!(delivery.state, DeliveryState::Pending { waits: None, .. })
    };
    bench.wait_for(delivery_of(&event, &callback), under_way).await;
    let depth = bench.ports.broker.depth().await.expect("asked");
    assert_eq!((depth.fresh, depth.delayed), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_succeeds_after_it_was_handed_over_is_made_once() {
    for marks_are_lost in [false, true] {
        let bench = Bench::start().await;
        if marks_are_lost {
            bench.claims.forgets_marks.on();
        }
        bench.receiver.on("/slow", Behaviour::slow(Duration::from_millis(1_500)));
        let bundle = Bundle::publish(&bench).await;
        bench.wait_for_depth("handed over", handed_over).await;
        bench.wait_for(bundle.slow(), is(DeliveryState::Delivered)).await;
        bench.claims.calls.wait_for("settle", 1).await;
        let looked_up = bench.store.calls.of("recorded");
        bench.clock.advance(AFTER_ALL);
        bench.wait_until_all_is_acked().await;
        assert_eq!(bench.receiver.requests_to("/slow").len(), 1);
        let looked_up = bench.store.calls.of("recorded") - looked_up;
        assert_eq!(looked_up, usize::from(marks_are_lost), "the mark saves a query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_fails_after_it_was_handed_over_is_retried_once() {
    let bench = Bench::start().await;
    let failing =
        Behaviour::After(Duration::from_millis(1_500), Box::new(Behaviour::fail_first(1, 500)));
    bench.receiver.on("/slow", failing);
    let bundle = Bundle::publish(&bench).await;
    let due = bench.wait_for_retry(bundle.slow(), 1).await;
    bench.claims.calls.wait_for("settle", 1).await;
    let retry_alone = |depth: Depth| depth.fresh + depth.returned == 0 && depth.delayed == 1;
    bench.clock.advance(AFTER_ALL);
    bench.wait_for_depth("rid of the copy", retry_alone).await;
    assert_eq!(bench.receiver.requests_to("/slow").len(), 1, "the copy made no attempt");
    bench.receiver.on("/slow", Behaviour::status(204));
    bench.advance_past(due);
    let delivery = bench.wait_for(bundle.slow(), is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 2);
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/slow").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_after_the_hand_over_loses_no_attempt() {
    let bench = Bench::without_worker().await;
    let worker = bench.start_mortal_worker();
    bench.receiver.on("/slow", Behaviour::Hang);
    let bundle = Bundle::publish(&bench).await;
    bench.wait_for_depth("handed over", handed_over).await;
    restart(&bench, worker).await;

    bench.receiver.on("/slow", Behaviour::status(204));
    bench.clock.advance(AFTER_ALL);
    let delivery = bench.wait_for(bundle.slow(), is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 1, "it is the same attempt, made again");
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/slow").len(), 2);
    assert_eq!(bench.receiver.requests_to("/quick").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_before_the_hand_over_repeats_only_what_was_not_recorded() {
    let bench = Bench::without_worker().await;
    let worker = bench.start_mortal_worker();
    bench.receiver.on("/slow", Behaviour::Hang);
    let bundle = Bundle::publish(&bench).await;
    bench.wait_for(bundle.quick(), is(DeliveryState::Delivered)).await;
    bench.receiver.wait_for(2, DEADLINE).await;
    restart(&bench, worker).await;

    bench.receiver.on("/slow", Behaviour::status(204));
    // The dead worker's claims run out; until then what they are on is looked at again and again.
    for _ in 0..6 {
        bench.clock.advance(Duration::from_secs(6));
        let at_rest = |depth: Depth| depth.fresh + depth.returned == 0;
        bench.wait_for_depth("at rest", at_rest).await;
    }
    bench.wait_for(bundle.slow(), is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/slow").len(), 2);
    assert_eq!(bench.receiver.requests_to("/quick").len(), 1);
}
