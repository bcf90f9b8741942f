//! Endpoints that fail are left alone for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use ringback_core::callback::{CallbackState, CircuitPolicy};
use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{Callback, CallbackId, Dispatch, Target};
use ringback_runtime::Clock as _;
use ringback_testkit::{Behaviour, builders};
use ringback_worker::{CircuitState, Circuits};

use crate::bench::{Bench, DEADLINE, by_hand, delivery_of, is, no_retries};

fn policy(failures: u32, open_for_s: u64) -> CircuitPolicy {
    CircuitPolicy {
        enabled: true,
        failures: NonZeroU32::new(failures).expect("not zero"),
        open_for: Duration::from_secs(open_for_s),
    }
}

/// Without retries, so that each event is one attempt.
fn circuit(circuit: CircuitPolicy) -> impl Fn(Callback) -> Callback {
    move |callback| Callback { circuit, retry: no_retries(), ..callback }
}

fn state(circuits: &Circuits, id: CallbackId) -> CircuitState {
    let known = circuits.states();
    known.into_iter().find(|(callback, _)| *callback == id).expect("the worker knows it").1
}

/// Events that fail, one after the other.
async fn fail(bench: &Bench, callback: &Callback, times: u32) {
    for _ in 0..times {
        let event = bench.event().await;
        bench.wait_for(delivery_of(&event, callback), is(DeliveryState::Exhausted)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_endpoint_is_left_alone_tried_once_and_then_delivered_to() {
    let bench = Bench::without_worker().await;
    let circuits = bench.start_worker();
    bench.receiver.on("/a", Behaviour::status(503));
    let callback = bench.callback_with("/a", circuit(policy(3, 30))).await;
    fail(&bench, &callback, 3).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Open);

    let waiting = bench.event().await;
    let id = delivery_of(&waiting, &callback);
    let due = bench.wait_for_wait(id, WaitReason::CircuitOpen, 0).await;
    let wait = due.since(bench.clock.now()).as_secs_f64();
    assert!((30.0..=37.6).contains(&wait), "{wait}");
    assert_eq!(bench.receiver.total(), 3, "it is not tried");

    bench.receiver.on("/a", Behaviour::status(204));
    bench.advance_past(due);
    let delivery = bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(delivery.attempts, 1, "to wait was no attempt");
    assert_eq!(state(&circuits, callback.id), CircuitState::Closed);
    let next = bench.event().await;
    bench.wait_for(delivery_of(&next, &callback), is(DeliveryState::Delivered)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_probe_is_under_way_others_stay_away_and_if_it_fails_for_twice_as_long() {
    let bench = Bench::without_worker().await;
    let circuits = bench.start_worker();
    bench.receiver.on("/a", Behaviour::status(503));
    let callback = bench.callback_with("/a", circuit(policy(1, 30))).await;
    fail(&bench, &callback, 1).await;
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(state(&circuits, callback.id), CircuitState::HalfOpen);

    let late = Duration::from_millis(700);
    bench.receiver.on("/a", Behaviour::After(late, Box::new(Behaviour::status(503))));
    let probe = bench.event().await;
    bench.receiver.wait_for(2, DEADLINE).await;
    let other = bench.event().await;
    let id = delivery_of(&other, &callback);
    let due = bench.wait_for_wait(id, WaitReason::CircuitOpen, 0).await;
    let wait = due.since(bench.clock.now()).as_secs_f64();
    assert!((0.75..=1.26).contains(&wait), "it looks again soon: {wait}");

    bench.wait_for(delivery_of(&probe, &callback), is(DeliveryState::Exhausted)).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Open);
    let failed_at = bench.clock.now();
    bench.advance_past(due);
    let later = |delivery: &ringback_core::delivery::Delivery| matches!(delivery.state, DeliveryState::Pending { next_attempt_at, .. } if next_attempt_at > due);
    let delivery = bench.wait_for(id, later).await;
    let DeliveryState::Pending { next_attempt_at, .. } = delivery.state else { panic!("pending") };
    let wait = next_attempt_at.since(failed_at).as_secs_f64();
    assert!((60.0..=67.6).contains(&wait), "{wait}");
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_of_a_circuit_says_when_it_opens_and_for_how_long() {
    let off = CircuitPolicy { enabled: false, ..policy(2, 30) };
    for (circuit_of, fails, opens_for_s) in [
        (policy(2, 30), 2, Some(30)),
        (policy(4, 30), 2, None),
        (policy(4, 30), 4, Some(30)),
        (policy(2, 120), 2, Some(120)),
        (off, 8, None),
    ] {
        let bench = Bench::start().await;
        bench.receiver.on("/a", Behaviour::status(500));
        let callback = bench.callback_with("/a", circuit(circuit_of)).await;
        fail(&bench, &callback, fails).await;
        let next = bench.event().await;
        let id = delivery_of(&next, &callback);
        match opens_for_s {
            None => drop(bench.wait_for(id, is(DeliveryState::Exhausted)).await),
            Some(open_for_s) => {
                let due = bench.wait_for_wait(id, WaitReason::CircuitOpen, 0).await;
                let wait = due.since(bench.clock.now()).as_millis();
                let most = open_for_s * 1_250 + 1;
                assert!((open_for_s * 1_000..=most).contains(&wait), "{circuit_of:?}: {wait}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_single_events_opens_nothing() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(404));
    let callback = bench.callback_with("/a", circuit(policy(2, 30))).await;
    fail(&bench, &callback, 5).await;
    assert_eq!(bench.receiver.total(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_by_hand_passes_an_open_circuit_and_its_success_closes_it() {
    let bench = Bench::without_worker().await;
    let circuits = bench.start_worker();
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback_with("/a", circuit(policy(1, 30))).await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    bench.wait_for(id, is(DeliveryState::Exhausted)).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Open);

    bench.receiver.on("/a", Behaviour::status(204));
    bench.publish_all(vec![by_hand(&event, &callback, 2)]).await;
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_attempt_that_waits_for_the_circuit_passes_it_when_it_is_asked_for() {
    let bench = Bench::without_worker().await;
    bench.start_worker();
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback_with("/a", circuit(policy(1, 30))).await;
    fail(&bench, &callback, 1).await;
    let waiting = bench.event().await;
    let id = delivery_of(&waiting, &callback);
    let due = bench.wait_for_wait(id, WaitReason::CircuitOpen, 0).await;
    let delivery = bench.ports.store.delivery(id).await.expect("read").expect("it is there");

    bench.receiver.on("/a", Behaviour::status(204));
    let asked_for = Target::of(&delivery, delivery.position_by_hand());
    let asked_for = Dispatch::to_target(waiting.clone(), asked_for).in_doubt();
    bench.publish_all(vec![asked_for]).await;
    bench.wait_for(id, is(DeliveryState::Delivered)).await;
    // What was put off finds that when it comes back.
    bench.advance_past(due);
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_that_sends_nothing_leaves_room_for_the_next() {
    let bench = Bench::without_worker().await;
    let circuits = bench.start_worker();
    bench.receiver.on_others(Behaviour::status(500));
    let url = format!("{}/{{+COMMENT}}", bench.receiver.url("/a"));
    let to_comment = |callback| Callback {
        url: url.parse().expect("a template"),
        ..circuit(policy(1, 30))(callback)
    };
    let callback = bench.callback_with("/a", to_comment).await;
    fail(&bench, &callback, 1).await;
    bench.clock.advance(Duration::from_secs(30));

    let mut climbing = builders::event("COMMENT_CREATED");
    climbing.variables = builders::variables(r#"{"COMMENT":".."}"#);
    let climbing = std::sync::Arc::new(climbing);
    bench.publish(&climbing).await;
    bench.wait_for(delivery_of(&climbing, &callback), is(DeliveryState::Exhausted)).await;
    assert_eq!(bench.receiver.total(), 1, "its URL is none that may be used");
    assert_eq!(state(&circuits, callback.id), CircuitState::HalfOpen, "it said nothing");

    bench.receiver.on_others(Behaviour::status(204));
    let probe = bench.event().await;
    bench.wait_for(delivery_of(&probe, &callback), is(DeliveryState::Delivered)).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_url_begins_with_a_closed_circuit_and_other_changes_keep_it() {
    let bench = Bench::start().await;
    bench.receiver.on("/broken", Behaviour::status(500));
    let callback = bench.callback_with("/broken", circuit(policy(1, 30))).await;
    fail(&bench, &callback, 1).await;
    let renamed = |callback| Callback { description: "renamed".to_owned(), ..callback };
    bench.change(&callback, renamed).await;
    let waiting = bench.event().await;
    bench.wait_for_wait(delivery_of(&waiting, &callback), WaitReason::CircuitOpen, 0).await;

    let url = bench.receiver.url("/repaired").parse().expect("a URL");
    bench.change(&callback, |callback| Callback { url, ..callback }).await;
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_that_is_resumed_begins_with_a_closed_circuit() {
    let bench = Bench::without_worker().await;
    let circuits = bench.start_worker();
    bench.receiver.on("/a", Behaviour::status(500));
    let callback = bench.callback_with("/a", circuit(policy(1, 30))).await;
    fail(&bench, &callback, 1).await;
    assert_eq!(state(&circuits, callback.id), CircuitState::Open);

    let to = |state| move |callback| Callback { state, ..callback };
    bench.change(&callback, to(CallbackState::Paused)).await;
    let kept = bench.event().await;
    bench.wait_for_wait(delivery_of(&kept, &callback), WaitReason::Paused, 0).await;
    bench.change(&callback, to(CallbackState::Enabled)).await;
    bench.receiver.on("/a", Behaviour::status(204));
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
}
