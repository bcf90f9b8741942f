//! What the worker tells of itself, as events.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::{CallbackState, CircuitPolicy, DisabledReason, Format};
use ringback_core::delivery::DeliveryState;
use ringback_core::filter::EventFilter;
use ringback_core::operational::INSTANCE_ACCOUNT;
use ringback_core::{Account, Callback, DeliveryId, Event};
use ringback_store::EventQuery;
use ringback_testkit::{Behaviour, builders};
use serde_json::Value;

use crate::bench::{Bench, DEADLINE, by_hand, delivery_of, is, no_retries};

/// Listens to these, and fails for good at the first failure.
fn listens(patterns: &[&str]) -> impl FnOnce(Callback) -> Callback {
    let events = EventFilter::parse(patterns).expect("valid");
    move |callback| Callback { events, format: Format::Json, retry: no_retries(), ..callback }
}

/// Of these events alone, and without retries.
fn watched(callback: Callback) -> Callback {
    let events = EventFilter::parse(&["COMMENT_CREATED"]).expect("valid");
    Callback { events, retry: no_retries(), ..callback }
}

fn circuit(failures: u32) -> CircuitPolicy {
    CircuitPolicy {
        enabled: true,
        failures: NonZeroU32::new(failures).expect("not zero"),
        open_for: Duration::from_secs(30),
    }
}

fn account(name: &str) -> Account {
    builders::account(name)
}

/// Ringback's own events, as they are in the history, the oldest first.
async fn own_events(bench: &Bench) -> Vec<Event> {
    let page = bench.ports.store.events(&EventQuery::default(), 200, None).await.expect("read");
    let mut events: Vec<_> = page.items.into_iter().collect();
    events.retain(|event| event.name.as_str().starts_with("ringback."));
    events.reverse();
    events
}

fn variables(event: &Event) -> Value {
    serde_json::from_str(&event.variables.to_json()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_delivery_is_told_once_for_each_series() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(503));
    let callback = bench.callback_with("/a", watched).await;
    bench.callback_with("/listener", listens(&["ringback.delivery.exhausted"])).await;
    let event = bench.event().await;
    let id = delivery_of(&event, &callback);
    bench.wait_for(id, is(DeliveryState::Exhausted)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/listener").len(), 1);

    bench.clock.advance(Duration::from_millis(1));
    bench.publish_all(vec![by_hand(&event, &callback, 2)]).await;
    bench.wait_for(id, |delivery| delivery.attempts == 2 && delivery.state.is_settled()).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(bench.receiver.requests_to("/listener").len(), 2);

    let told = own_events(&bench).await;
    let [first, second] = &told[..] else { panic!("two: {told:?}") };
    assert_ne!(first.id, second.id);
    assert_eq!(first.account, event.account);
    let said = variables(first);
    assert_eq!(said["delivery"], id.to_string());
    assert_eq!(said["callback"], callback.id.to_string());
    assert_eq!(said["event"], event.id.to_string());
    assert_eq!((&said["outcome"], &said["status"]), (&"http_error".into(), &503.into()));
    assert_eq!(variables(second)["attempts"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_listens_to_is_not_published() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(410));
    let callback = bench.callback_with("/a", watched).await;
    // Everything of the producers, and what another account's callback hears.
    bench.callback_with("/all", listens(&["*", "r*"])).await;
    let other = |callback| Callback { account: Some(account("other")), ..callback };
    bench.callback_with("/other", |callback| other(listens(&["ringback.*"])(callback))).await;
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
    bench.wait_until_all_is_acked().await;
    assert!(own_events(&bench).await.is_empty());
    assert_eq!(bench.receiver.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_that_is_gone_is_told_of_to_instance_callbacks_and_its_own_account() {
    for (of, listener, hears) in [
        (None, None, true),
        (None, Some("acme"), false),
        (Some("acme"), None, true),
        (Some("acme"), Some("acme"), true),
    ] {
        let bench = Bench::start().await;
        bench.receiver.on("/a", Behaviour::status(410));
        let of_account = |of: Option<&str>| of.map(account);
        let callback = bench
            .callback_with("/a", |callback| Callback {
                account: of_account(of),
                ..watched(callback)
            })
            .await;
        let patterns = listens(&["ringback.callback.disabled"]);
        bench
            .callback_with("/listener", |callback| Callback {
                account: of_account(listener),
                ..patterns(callback)
            })
            .await;
        let event = bench.event().await;
        bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
        bench.wait_until_all_is_acked().await;
        let told = own_events(&bench).await;
        let heard = bench.receiver.requests_to("/listener").len();
        assert_eq!((told.len(), heard), if hears { (1, 1) } else { (0, 0) }, "{of:?} {listener:?}");
        if let [told] = &told[..] {
            assert_eq!(told.account.as_str(), of.unwrap_or(INSTANCE_ACCOUNT));
            let said = variables(told);
            assert_eq!(said["callback"], callback.id.to_string());
            assert_eq!(said["reason"], "gone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_before_the_record_tells_the_same_again_and_the_listener_hears_it_once() {
    let bench = Bench::without_worker().await;
    bench.receiver.on("/a", Behaviour::status(503));
    let callback = bench.callback_with("/a", watched).await;
    let listener = bench.callback_with("/listener", listens(&["ringback.*"])).await;
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let id = delivery_of(&event, &callback);
    *bench.store.refuses.lock().expect("whole") = Some(id);
    let worker = bench.start_mortal_worker();
    bench.publish(&event).await;
    // The attempt is told of, and not recorded.
    bench.receiver.wait_for(2, DEADLINE).await;
    let told = bench.receiver.requests_to("/listener")[0].header("webhook-id").parse();
    let heard = DeliveryId::of(&event.account, told.expect("a UUID"), listener.id, 0);
    bench.wait_for(heard, is(DeliveryState::Delivered)).await;
    worker.kill();
    // Its claims run out.
    bench.clock.advance(Duration::from_secs(60));
    *bench.store.refuses.lock().expect("whole") = None;
    bench.start_worker();
    bench.wait_for(id, is(DeliveryState::Exhausted)).await;
    assert_eq!(bench.receiver.requests_to("/a").len(), 2, "it was made again");
    // What the dead one had not acked may keep the second telling away for a moment.
    bench.wait_for_depth("idle", |depth| depth.fresh + depth.returned == 0).await;
    bench.clock.advance(Duration::from_secs(6));
    bench.wait_until_all_is_acked().await;
    assert_eq!(own_events(&bench).await.len(), 1);
    assert_eq!(bench.receiver.requests_to("/listener").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_listener_makes_nothing_more_to_tell() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(503));
    bench.receiver.on("/listener", Behaviour::status(503));
    let callback = bench.callback_with("/a", watched).await;
    let listener =
        |callback| Callback { circuit: circuit(1), ..listens(&["ringback.*"])(callback) };
    bench.callback_with("/listener", listener).await;
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
    bench.wait_until_all_is_acked().await;
    let names: Vec<_> =
        own_events(&bench).await.iter().map(|event| event.name.to_string()).collect();
    assert_eq!(names, ["ringback.delivery.exhausted"], "its own failure opened its circuit");

    bench.receiver.on("/listener", Behaviour::status(410));
    bench.clock.advance(Duration::from_secs(31));
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
    bench.wait_until_all_is_acked().await;
    assert_eq!(own_events(&bench).await.len(), 2, "nor is it told that it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn circuit_that_opens_and_closes_says_so_with_the_worker_it_is_of() {
    let bench = Bench::start().await;
    bench.receiver.on("/a", Behaviour::status(503));
    let callback = bench
        .callback_with("/a", |callback| Callback { circuit: circuit(2), ..watched(callback) })
        .await;
    bench.callback_with("/listener", listens(&["ringback.circuit.*"])).await;
    for _ in 0..2 {
        let event = bench.event().await;
        bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Exhausted)).await;
    }
    // It is told after it is recorded, and with the time of then.
    bench.wait_until_all_is_acked().await;
    bench.receiver.on("/a", Behaviour::status(204));
    bench.clock.advance(Duration::from_secs(31));
    let event = bench.event().await;
    bench.wait_for(delivery_of(&event, &callback), is(DeliveryState::Delivered)).await;
    bench.wait_until_all_is_acked().await;

    let told = own_events(&bench).await;
    let [opened, closed] = &told[..] else { panic!("two: {told:?}") };
    assert_eq!(opened.name.as_str(), "ringback.circuit.opened");
    assert_eq!(closed.name.as_str(), "ringback.circuit.closed");
    assert_eq!(opened.account.as_str(), INSTANCE_ACCOUNT);
    let (said, then) = (variables(opened), variables(closed));
    assert_eq!(said["failures"], 2);
    assert_eq!(said["open_for_seconds"], 30);
    assert_eq!(said["worker"], then["worker"]);
    assert_eq!(said["since"], then["open_since"]);
    assert_eq!(bench.receiver.requests_to("/listener").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_found_gone_after_a_crash_is_told_of() {
    let bench = Bench::without_worker().await;
    let gone = CallbackState::Disabled(DisabledReason::Gone);
    let callback = bench.callback_with("/a", watched).await;
    bench.callback_with("/listener", listens(&["ringback.*"])).await;
    // As a process leaves it that died after it disabled the callback, and before it told so and recorded the attempt.
    let event = Arc::new(builders::event("COMMENT_CREATED"));
    let mut attempt = by_hand(&event, &callback, 1);
    attempt.novelty = ringback_core::dispatch::Novelty::PerhapsRepeated;
    bench.change(&callback, |callback| Callback { state: gone, ..callback }).await;
    bench.publish_all(vec![attempt]).await;
    bench.start_worker();
    bench.receiver.wait_for(1, DEADLINE).await;
    bench.wait_until_all_is_acked().await;
    let told = own_events(&bench).await;
    assert_eq!(told.len(), 1);
    assert_eq!(variables(&told[0])["reason"], "gone");
}
