//! What slows deliveries down without losing one: pausing, rate limits, circuits.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Received, Receiver};
use serde_json::{Value, json};

use crate::support::{
    Api, Ringback, SOON, callback, callback_once, event, eventually, outcomes, text, with,
};

/// Pauses or resumes a callback.
async fn call(api: &Api, callback: &str, call: &str) -> Value {
    let path = format!("/v1/callbacks/{callback}/{call}");
    let answer = api.request(Method::POST, &path, None, &[]).await;
    answer.expect("an answer").expect(200)
}

/// Has these many events accepted, and gives their ids.
async fn send_many(api: &Api, count: usize) -> HashSet<String> {
    let ids: Vec<_> = (0..count).map(|_| event_id().to_string()).collect();
    let events: Vec<_> =
        ids.iter().map(|id| with(event("COMMENT_CREATED"), json!({"id": id}))).collect();
    api.post("/v1/events", &json!(events)).await.expect(202);
    ids.into_iter().collect()
}

/// Waits until the history shows these many deliveries that stand so.
async fn until_shown(api: &Api, count: usize, member: &str, value: &str) {
    eventually(&format!("{count} deliveries with {member} {value}"), SOON, async || {
        let all = api.list("/v1/deliveries").await;
        let found = all.iter().filter(|delivery| delivery[member] == value).count();
        (found == count).then_some(())
    })
    .await;
}

fn ids(requests: &[Received]) -> HashSet<String> {
    requests.iter().map(|request| request.webhook_id().to_owned()).collect()
}

#[tokio::test]
async fn paused_callback_gets_nothing_and_after_a_kill_all_of_it_once_it_is_resumed() {
    const EVENTS: usize = 50;
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let id = ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    assert_eq!(call(&ringback.api, &id, "pause").await["paused"], true);
    let sent = send_many(&ringback.api, EVENTS).await;
    until_shown(&ringback.api, EVENTS, "waits_for", "paused").await;
    assert_eq!(receiver.total(), 0);

    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    let shown = ringback.api.get(&format!("/v1/callbacks/{id}")).await.expect(200);
    assert_eq!((&shown["enabled"], &shown["paused"]), (&json!(true), &json!(true)));
    until_shown(&ringback.api, EVENTS, "waits_for", "paused").await;
    assert_eq!(receiver.total(), 0);

    assert_eq!(call(&ringback.api, &id, "resume").await["paused"], false);
    until_shown(&ringback.api, EVENTS, "status", "delivered").await;
    assert_eq!(ids(&receiver.requests()), sent);
    assert_eq!(receiver.total(), u64::try_from(EVENTS).expect("few"), "and none of it twice");
}

#[tokio::test]
async fn kill_while_what_was_kept_is_let_go_loses_nothing() {
    const EVENTS: usize = 60;
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let limit = json!({"rate_limit": {"per_second": 10, "burst": 10}});
    let id = ringback.api.create_callback(&with(callback(&receiver.url("/hook")), limit)).await;
    call(&ringback.api, &id, "pause").await;
    let sent = send_many(&ringback.api, EVENTS).await;
    until_shown(&ringback.api, EVENTS, "waits_for", "paused").await;
    call(&ringback.api, &id, "resume").await;
    for came in [5, 25] {
        receiver.wait_for(came, SOON).await;
        ringback.process.kill9().await.expect("it runs");
        ringback.restart().await;
    }
    until_shown(&ringback.api, EVENTS, "status", "delivered").await;
    assert_eq!(ids(&receiver.requests()), sent);
}

#[tokio::test]
async fn attempt_under_way_ends_and_what_follows_is_kept() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let slowly =
        |status| Behaviour::After(Duration::from_millis(500), Box::new(Behaviour::status(status)));
    receiver.on("/works", slowly(204));
    receiver.on("/fails", slowly(500));
    let mut callbacks = Vec::new();
    for path in ["/works", "/fails"] {
        callbacks.push(ringback.api.create_callback(&callback(&receiver.url(path))).await);
    }
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for(2, SOON).await;
    for callback in &callbacks {
        call(&ringback.api, callback, "pause").await;
    }
    receiver.wait_for_ended(2, SOON).await;
    until_shown(&ringback.api, 1, "status", "delivered").await;
    until_shown(&ringback.api, 1, "waits_for", "paused").await;
    assert_eq!(receiver.total(), 2);

    receiver.on("/fails", Behaviour::status(204));
    call(&ringback.api, &callbacks[1], "resume").await;
    until_shown(&ringback.api, 2, "status", "delivered").await;
    let numbers: Vec<_> = receiver.requests_to("/fails");
    let numbers: Vec<_> = numbers.iter().map(|it| it.header("ringback-attempt")).collect();
    assert_eq!(numbers, ["1", "2"]);
}

#[tokio::test]
async fn retry_by_hand_of_what_is_kept_is_made_once_it_is_resumed() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let id = ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    call(&ringback.api, &id, "pause").await;
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    let kept = ringback.api.delivery_when(&sent, |it| it["waits_for"] == "paused").await;
    assert_eq!(kept["next_attempt_at"], Value::Null, "nobody knows when");
    let retry = format!("/v1/deliveries/{}/retry", text(&kept["id"]));
    ringback.api.post(&retry, &json!({})).await.expect(202);
    call(&ringback.api, &id, "resume").await;
    let delivery = ringback.api.settled_delivery(&sent).await;
    assert_eq!((&delivery["status"], outcomes(&delivery)), (&json!("delivered"), vec!["success"]));
    assert_eq!(receiver.total(), 1);
}

#[tokio::test]
async fn disabling_a_paused_callback_cancels_what_is_kept() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let id = ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    call(&ringback.api, &id, "pause").await;
    send_many(&ringback.api, 3).await;
    until_shown(&ringback.api, 3, "waits_for", "paused").await;
    let path = format!("/v1/callbacks/{id}");
    let off = ringback.api.patch(&path, &json!({"enabled": false})).await.expect(200);
    assert_eq!((&off["enabled"], &off["paused"]), (&json!(false), &json!(false)));
    until_shown(&ringback.api, 3, "cancel_reason", "callback_disabled").await;
    let answer = ringback.api.post(&format!("{path}/pause"), &json!({})).await;
    assert!(text(&answer.expect_problem(409)["detail"]).contains("disabled"));
    assert_eq!(receiver.total(), 0);
}

#[tokio::test]
async fn no_second_has_more_requests_than_the_rate_limit_and_its_burst() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let limit = json!({"rate_limit": {"per_second": 20, "burst": 5}});
    ringback.api.create_callback(&with(callback(&receiver.url("/hook")), limit)).await;
    let sent = send_many(&ringback.api, 60).await;
    until_shown(&ringback.api, 60, "status", "delivered").await;
    let requests = receiver.requests();
    assert_eq!((requests.len(), ids(&requests)), (60, sent));
    for first in &requests {
        let second = first.arrived..first.arrived + Duration::from_secs(1);
        let within = requests.iter().filter(|it| second.contains(&it.arrived)).count();
        // One more than is allowed: a request takes a moment to arrive, and not each the same.
        assert!(within <= 26, "{within} requests within a second");
    }
    let all = requests[59].arrived - requests[0].arrived;
    assert!(all < Duration::from_secs(6), "{all:?}: the rate is to be used");
}

#[tokio::test]
async fn endpoint_that_keeps_failing_is_left_alone_and_gets_what_waited_when_it_is_back() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    for (path, circuit) in [
        ("/with", json!({"failures": 3, "open_seconds": 2})),
        ("/without", json!({"enabled": false})),
    ] {
        receiver.on(path, Behaviour::status(503));
        let callback = with(callback_once(&receiver.url(path)), json!({"circuit": circuit}));
        ringback.api.create_callback(&callback).await;
    }
    let failed =
        |path| receiver.requests_to(path).iter().filter(|it| it.status == Some(503)).count();
    send_many(&ringback.api, 3).await;
    until_shown(&ringback.api, 6, "status", "exhausted").await;
    send_many(&ringback.api, 20).await;
    eventually("deliveries that wait for the circuit", SOON, async || {
        let pending = ringback.api.list("/v1/deliveries?status=pending").await;
        let waiting = pending.iter().filter(|it| it["waits_for"] == "circuit_open").count();
        (waiting > 0 && failed("/without") == 23).then_some(())
    })
    .await;
    receiver.on("/with", Behaviour::status(204));
    eventually("end of all deliveries", SOON, async || {
        ringback.api.list("/v1/deliveries?status=pending").await.is_empty().then_some(())
    })
    .await;
    let failed = failed("/with");
    assert!((3..10).contains(&failed), "{failed} requests while it failed");
    assert_eq!(receiver.requests_to("/with").len(), 23, "and those that waited after it");
}
