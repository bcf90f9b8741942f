//! Events, deliveries and attempts as they are shown.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt as _;
use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_store::{HistoryRecord, Store as _};
use ringback_testkit::builders;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{self, ADMIN, Api};

const PENDING: DeliveryState =
    DeliveryState::Pending { next_attempt_at: builders::MADE_AT, waits: Some(WaitReason::Retry) };

#[tokio::test]
async fn event_is_shown_with_its_deliveries() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let event = builders::event("COMMENT_CREATED");
    let delivery = api.delivery(&event, &callback, PENDING).await;
    let shown = api.get(&format!("/v1/events/{}", event.id)).await;
    assert_eq!(shown["name"], "COMMENT_CREATED");
    assert_eq!(shown["account"], "acme");
    assert_eq!(shown["variables"], json!({ "COMMENT_ID": 178, "COMMENT": "Needs more cowbell" }));
    assert_eq!(shown["deliveries"][0]["id"], delivery.to_string());
    assert_eq!(shown["deliveries_next_cursor"], json!(null));
    assert_eq!(
        api.call("GET", &format!("/v1/events/{}", builders::event_id()), None).await.status,
        404
    );
}

#[tokio::test]
async fn pending_delivery_says_what_it_waits_for() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let due = json!(builders::MADE_AT.to_string());
    for (waits, word, next_attempt_at) in [
        (None, json!(null), &due),
        (Some(WaitReason::Retry), json!("retry"), &due),
        (Some(WaitReason::RateLimit), json!("rate_limit"), &due),
        (Some(WaitReason::Concurrency), json!("concurrency"), &due),
        (Some(WaitReason::CircuitOpen), json!("circuit_open"), &due),
        (Some(WaitReason::Scheduled), json!("scheduled"), &due),
        // When it is resumed is not known.
        (Some(WaitReason::Paused), json!("paused"), &json!(null)),
    ] {
        let state = DeliveryState::Pending { next_attempt_at: builders::MADE_AT, waits };
        let id = api.delivery(&builders::event("A"), &callback, state).await;
        let shown = api.get(&format!("/v1/deliveries/{id}")).await;
        assert_eq!((&shown["status"], &shown["waits_for"]), (&json!("pending"), &word));
        assert_eq!(&shown["next_attempt_at"], next_attempt_at, "{word}");
    }
}

#[tokio::test]
async fn equal_ids_of_two_accounts_are_told_apart() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let one = builders::event("ONE");
    let mut other = one.clone();
    other.account = builders::account("other");
    other.name = "OTHER".parse().expect("a name");
    api.delivery(&one, &callback, DeliveryState::Delivered).await;
    api.delivery(&other, &callback, DeliveryState::Delivered).await;
    for (account, name) in [("acme", "ONE"), ("other", "OTHER")] {
        let shown = api.get(&format!("/v1/events/{}?account={account}", one.id)).await;
        assert_eq!(shown["name"], name);
        assert_eq!(shown["deliveries"].as_array().expect("a list").len(), 1);
    }
}

#[tokio::test]
async fn delivery_is_shown_with_every_attempt() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let event = builders::event("A");
    let id = api.delivery(&event, &callback, PENDING).await;
    let shown = api.get(&format!("/v1/deliveries/{id}")).await;
    assert_eq!(shown["status"], "pending");
    assert_eq!(shown["waits_for"], "retry");
    assert_eq!(shown["next_attempt_at"], builders::MADE_AT.to_string());
    assert_eq!(shown["attempts_made"], 1);
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["duration_ms"], 42);
    assert_eq!(attempt["outcome"], "http_error");
    assert_eq!(attempt["error"], json!(null));
    assert_eq!(attempt["request"]["headers"], json!([{ "name": "authorization", "value": "***" }]));
    let body: Value =
        serde_json::from_str(attempt["request"]["body"].as_str().expect("a body")).expect("JSON");
    assert!(body.to_string().contains("Needs more cowbell"), "{body}");
    assert_eq!(attempt["response"]["body"], "no\u{fffd}");
    assert_eq!(attempt["response"]["truncated"], true);
    assert_eq!(attempt["response"]["headers"].as_array().expect("a list").len(), 2);
}

#[tokio::test]
async fn cancelled_delivery_says_why() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    let id = api.delivery(&builders::event("A"), &callback, cancelled).await;
    let shown = api.get(&format!("/v1/deliveries/{id}")).await;
    assert_eq!(
        (&shown["status"], &shown["cancel_reason"]),
        (&json!("cancelled"), &json!("callback_disabled"))
    );
}

#[tokio::test]
async fn each_filter_of_a_list_filters() {
    let api = Api::start().await;
    let one = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let two = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let mut early = builders::event("EARLY");
    early.accepted_at = builders::MADE_AT - Duration::from_secs(60);
    let mut late = builders::event("LATE");
    late.account = builders::account("other");
    api.delivery(&early, &one, DeliveryState::Delivered).await;
    api.delivery(&late, &two, DeliveryState::Exhausted).await;
    let moment = builders::MADE_AT;
    let count = async |path: String| api.get(&path).await["data"].as_array().expect("a list").len();
    assert_eq!(count("/v1/events".into()).await, 2);
    assert_eq!(count("/v1/deliveries".into()).await, 2);
    for list in ["events", "deliveries"] {
        assert_eq!(count(format!("/v1/{list}?account=acme")).await, 1);
        assert_eq!(count(format!("/v1/{list}?since={moment}")).await, 1);
        assert_eq!(count(format!("/v1/{list}?until={moment}")).await, 1);
        assert_eq!(api.call("GET", &format!("/v1/{list}?since=yesterday"), None).await.status, 400);
        assert_eq!(api.call("GET", &format!("/v1/{list}?order=asc"), None).await.status, 400);
    }
    assert_eq!(count("/v1/events?name=LATE".into()).await, 1);
    assert_eq!(count(format!("/v1/deliveries?callback={}", one.id)).await, 1);
    assert_eq!(count(format!("/v1/deliveries?event={}", late.id)).await, 1);
    assert_eq!(count("/v1/deliveries?status=exhausted".into()).await, 1);
    assert_eq!(count("/v1/deliveries?status=cancelled".into()).await, 0);
    assert_eq!(api.call("GET", "/v1/deliveries?status=lost", None).await.status, 400);
}

#[tokio::test]
async fn attempts_are_told_as_they_happen_to_those_who_may_see_them() {
    let api = Api::start().await;
    let own = json!({ "url": "https://example.com/", "account": "acme" });
    let own = api.stored(&api.made(own).await).await;
    let everybodys = api.stored(&api.made(json!({ "url": "https://example.com/" })).await).await;
    let key = api.account_key("acme").await;
    let mut admin = watch(&api, ADMIN).await;
    let mut account = watch(&api, &key).await;
    let mut foreign = builders::event("FOREIGN");
    foreign.account = builders::account("other");
    let event = builders::event("OWN");
    api.delivery(&foreign, &everybodys, DeliveryState::Delivered).await;
    api.delivery(&event, &own, DeliveryState::Delivered).await;
    api.delivery(&event, &everybodys, DeliveryState::Delivered).await;
    assert_eq!(message(&mut admin).await["delivery"]["event_name"], "FOREIGN");
    let first = message(&mut account).await;
    assert_eq!(first["delivery"]["event_name"], "OWN");
    assert_eq!(first["attempt"]["request"]["url"], "https://example.com/178");
    let second = message(&mut account).await;
    assert_eq!(second["delivery"]["callback"], everybodys.id.to_string());
    assert_eq!(
        second["attempt"]["request"],
        json!(null),
        "where an instance callback goes is not the account's to see"
    );
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_how_much_was_missed() {
    const RECORDED: usize = 5_000;
    let api = Api::start().await;
    let mut stream = watch(&api, ADMIN).await;
    let callback = builders::callback("https://example.com/");
    let records = (0..RECORDED).map(|_| {
        let event = builders::event("A");
        harness::record(&event, &callback, DeliveryState::Delivered)
    });
    api.store.record(records.collect()).await.expect("recorded");
    let first = stream.next().await.expect("an open stream").expect("no error");
    let text = std::str::from_utf8(&first).expect("text");
    let data = text.trim().strip_prefix("event: lagged\ndata: ").expect("a message of its own");
    let missed =
        serde_json::from_str::<Value>(data).expect("JSON")["missed"].as_u64().expect("a number");
    assert!((1..5_000).contains(&missed), "{missed}");
    assert_eq!(message(&mut stream).await["attempt"]["number"], 1, "it goes on");
}

#[tokio::test]
async fn event_with_many_deliveries_says_where_the_rest_is() {
    let api = Api::start().await;
    let event = builders::event("A");
    let mut records = vec![HistoryRecord::Event(event.clone().into())];
    records.extend((0..201).map(|_| {
        let callback = builders::callback("https://example.com/");
        harness::record(&event, &callback, DeliveryState::Delivered)
    }));
    api.store.record(records).await.expect("recorded");
    let shown = api.get(&format!("/v1/events/{}", event.id)).await;
    assert_eq!(shown["deliveries"].as_array().expect("a list").len(), 200);
    let cursor = shown["deliveries_next_cursor"].as_str().expect("a cursor");
    let path = format!("/v1/deliveries?event={}&account=acme&cursor={cursor}", event.id);
    let rest = api.get(&path).await;
    assert_eq!(rest["data"].as_array().expect("a list").len(), 1);
    assert_eq!(rest["next_cursor"], json!(null));
}

async fn watch(api: &Api, key: &str) -> BodyDataStream {
    let request = Request::builder()
        .uri("/v1/attempts/live")
        .header("authorization", format!("Bearer {key}"));
    let request = request.body(Body::empty()).expect("valid");
    let response = api.router.clone().oneshot(request).await.expect("a router never fails");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

async fn message(stream: &mut BodyDataStream) -> Value {
    let next = tokio::time::timeout(Duration::from_secs(10), stream.next());
    let chunk = next.await.expect("a message in time").expect("an open stream").expect("no error");
    let text = std::str::from_utf8(&chunk).expect("text");
    serde_json::from_str(text.trim().strip_prefix("data:").expect("data")).expect("JSON")
}
