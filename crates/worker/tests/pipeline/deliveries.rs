//! What becomes of deliveries, on a clock that stands still until it is moved: a retry in 300 s takes no time.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::{CallbackState, DisabledReason};
use ringback_core::delivery::{CancelReason, DeliveryState};
use ringback_core::dispatch::Novelty;
use ringback_core::retry::{AttemptNumber, Position};
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_core::{Callback, Dispatch, Target};
use ringback_runtime::Clock as _;
use ringback_store::DeliveryKey;
use ringback_testkit::{Answer, Behaviour, Received, builders};

use crate::bench::{Bench, DEADLINE, by_hand, delivery_of, is};

#[tokio::test(flavor = "multi_thread")]
async fn retry_comes_after_300_s_and_not_a_millisecond_before() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::fail_first(1, 500));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let began = bench.clock.now();
    bench.publish(&event).await;

    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_retry(id, 1).await;
    assert_eq!(due, began + Duration::from_secs(300));
    bench.clock.advance(Duration::from_millis(299_999));
    bench.clock.wait_for_sleeper(DEADLINE).await;
    assert_eq!(bench.receiver.total(), 1, "not yet");
    bench.clock.advance(Duration::from_millis(20));
    bench.wait_for(id, is(DeliveryState::Delivered)).await;

    let requests = bench.receiver.requests();
    let attempts: Vec<_> = requests.iter().map(|r| r.header("ringback-attempt")).collect();
    assert_eq!(attempts, ["1", "2"]);
    assert_eq!(requests[0].webhook_id(), requests[1].webhook_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn default_policy_ends_after_four_requests_and_a_retry_by_hand_begins_anew() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    let id = delivery_of(&event, &callback);
    for attempts in 1..=3 {
        let due = bench.wait_for_retry(id, attempts).await;
        bench.clock.advance_to(due + Duration::from_millis(20));
    }
    let spent = bench.wait_for(id, is(DeliveryState::Exhausted)).await;
    assert_eq!(spent.attempts, 4);
    assert_eq!(bench.receiver.total(), 4);

    let fifth = AttemptNumber::new(5).expect("not zero");
    let position = Position { attempt: fifth, series_start: fifth };
    let target = Target { position, ..Target::first(callback.id) };
    let by_hand = Dispatch::to_target(event.clone(), target);
    bench.ports.broker.publish(vec![by_hand]).await.expect("published");
    bench.wait_for_retry(id, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_endpoint_is_disabled_and_the_delivery_given_up_on() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(410));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
    let callback = bench.ports.store.callback(callback.id).await.expect("read").expect("there");
    assert_eq!(callback.state, CallbackState::Disabled(DisabledReason::Gone));

    let later = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&later).await;
    let other = bench.callback("/b").await;
    let last = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&last).await;
    bench.wait_for(delivery_of(&last, &other), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.requests_to("/a").len(), 1, "nothing more after 410");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_of_the_receiver_takes_the_place_of_the_delay() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Answer::new(429).retry_after_seconds(7));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let began = bench.clock.now();
    bench.publish(&event).await;
    let due = bench.wait_for_retry(delivery_of(&event, &callback), 1).await;
    assert_eq!(due, began + Duration::from_secs(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_before_signs_too_until_it_ends() {
    let bench = Bench::start().await;
    let [new, old] = [7, 8].map(|byte| SigningSecret::from_random([byte; 32]));
    let until = bench.clock.now() + Duration::from_secs(60);
    let previous = PreviousSecret { secret: old.clone(), until };
    let rotated = |callback| Callback {
        signing_secret: new.clone(),
        previous_secret: Some(previous.clone()),
        ..callback
    };
    let callback = bench.callback_with("/a", rotated).await;
    let last = until - Duration::from_millis(1);
    for (at, old_signs) in [(bench.clock.now(), true), (last, true), (until, false)] {
        bench.clock.advance_to(at);
        let event = bench.event().await;
        bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
        let requests = bench.receiver.requests();
        let request = requests.last().expect("it came");
        let header = request.header("webhook-signature");
        let signed =
            |by: &SigningSecret| by.signed(request.webhook_id(), at, &request.body, header);
        assert_eq!((signed(&new), signed(&old)), (true, old_signs), "{at}: {header}");
        assert_eq!(header.split(' ').count(), 1 + usize::from(old_signs), "{at}: {header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_under_way_is_cancelled_when_its_callback_is_disabled_or_deleted() {
    let bench = Bench::start().await;
    bench.receiver.on_others(Behaviour::status(500));
    let (disabled, deleted) = (bench.callback("/a").await, bench.callback("/b").await);
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    let of_disabled = delivery_of(&event, &disabled);
    let of_deleted = delivery_of(&event, &deleted);
    let due =
        bench.wait_for_retry(of_disabled, 1).await.max(bench.wait_for_retry(of_deleted, 1).await);

    let state = CallbackState::Disabled(DisabledReason::ByOwner);
    let changed = Callback {
        state,
        updated_at: disabled.updated_at + Duration::from_millis(1),
        ..disabled.clone()
    };
    let store = &bench.ports.store;
    assert!(store.update_callback(&changed, disabled.updated_at).await.expect("written"));
    assert!(store.delete_callback(deleted.id, bench.clock.now()).await.expect("written"));
    bench.clock.advance_to(due + Duration::from_millis(20));
    let cancelled = |reason| is(DeliveryState::Cancelled(reason));
    bench.wait_for(of_disabled, cancelled(CancelReason::CallbackDisabled)).await;
    bench.wait_for(of_deleted, cancelled(CancelReason::CallbackDeleted)).await;
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_that_may_be_a_repeat_is_not_sent_where_it_was_delivered() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;

    let repeat =
        Dispatch { novelty: Novelty::PerhapsRepeated, ..Dispatch::of_event(event.clone()) };
    bench.ports.broker.publish(vec![repeat]).await.expect("published");
    let marker = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&marker).await;
    bench.wait_for(delivery_of(&marker, &callback), is(DeliveryState::Delivered)).await;
    let depth_is_zero = async {
        while bench.ports.broker.depth().await.expect("asked").fresh > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, depth_is_zero).await.expect("all is acked");
    assert_eq!(bench.receiver.total(), 2, "the event and the marker, once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_fan_out_reaches_every_callback_once() {
    const CALLBACKS: u64 = 100;
    let bench = Bench::start().await;
    for number in 0..CALLBACKS {
        bench.callback(&format!("/{number}")).await;
    }
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    bench.receiver.wait_for_ended(CALLBACKS, DEADLINE).await;
    let mut paths: Vec<_> =
        bench.receiver.requests().into_iter().map(|r| r.uri.to_string()).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len() as u64, CALLBACKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_endpoint_holds_its_own_places_and_nobody_elses() {
    let bench = Bench::start().await;
    bench.receiver.on("/hanging", Behaviour::Hang);
    bench.callback("/hanging").await;
    let healthy = bench.callback("/healthy").await;
    for _ in 0..200 {
        bench.publish(&Arc::new(builders::event("COMMENT_CREATED"))).await;
    }
    let all_of_it = |requests: &[Received]| {
        requests.iter().filter(|request| request.uri.path() == "/healthy").count() >= 200
    };
    bench.receiver.wait_until("delivery of all to the healthy one", DEADLINE, all_of_it).await;
    let limit = healthy.max_in_flight.get() as usize;
    assert!(bench.receiver.requests_to("/hanging").len() <= limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_waits_for_the_attempt_before_it_to_be_recorded() {
    let bench = Bench::start().await;
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    // As a process leaves it that died after it published the retry, and before it recorded the attempt.
    let retry = Target::first(callback.id).next_attempt();
    bench.publish_all(vec![Dispatch::to_target(event.clone(), retry)]).await;
    let is_put_off = async {
        while bench.ports.broker.depth().await.expect("asked").delayed == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, is_put_off).await.expect("it waits");
    assert_eq!(bench.receiver.total(), 0, "nothing is sent");

    bench.publish(&event).await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
    bench.clock.advance(Duration::from_secs(2));
    let is_gone = async {
        loop {
            let depth = bench.ports.broker.depth().await.expect("asked");
            if depth.delayed + depth.returned + depth.fresh == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, is_gone).await.expect("all is acked");
    assert_eq!(bench.receiver.total(), 1, "the retry finds it delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_on_request_is_sent_only_if_somebody_asks_for_it_since() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&event).await;
    let id = delivery_of(&event, &callback);
    let due = bench.wait_for_retry(id, 1).await;
    let key = DeliveryKey { id, created_at: event.accepted_at };
    let reason = CancelReason::Requested;
    let cancelled = bench.ports.store.cancel_delivery(key, reason, bench.clock.now()).await;
    assert!(cancelled.expect("written"));

    bench.receiver.on("/a", Behaviour::status(204));
    // The retry that waits, and an attempt that was asked for before: it waited for something.
    bench.clock.advance_to(due + Duration::from_millis(20));
    let before = by_hand(&event, &callback, 2);
    bench.ports.broker.publish(vec![before]).await.expect("published");
    // Another event that goes the same way after them.
    let other = Arc::new(builders::event("COMMENT_CREATED"));
    bench.publish(&other).await;
    bench.wait_for(delivery_of(&other, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(bench.receiver.total(), 2);
    bench.wait_for(id, is(DeliveryState::Cancelled(reason))).await;

    let since = by_hand(&event, &callback, 3);
    bench.ports.broker.publish(vec![since]).await.expect("published");
    let delivered = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!((delivered.attempts, bench.receiver.total()), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn trial_is_tried_once_whatever_the_policy() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback("/a").await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let target = Target { generation: Target::TRIAL, ..Target::first(callback.id) };
    let trial = Dispatch::to_target(event.clone(), target);
    bench.ports.broker.publish(vec![trial]).await.expect("published");
    let spent = bench.wait_for(target.delivery(&event), is(DeliveryState::Exhausted)).await;
    assert_eq!((spent.attempts, bench.receiver.total()), (1, 1));
    assert_eq!(bench.ports.broker.depth().await.expect("asked").delayed, 0, "no retry waits");
}
