//! Callbacks, paused and resumed.

use std::time::Duration;

use ringback_core::callback::CallbackState;
use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{CallbackId, Targets};
use ringback_store::Store as _;
use ringback_testkit::builders;
use serde_json::{Value, json};

use crate::harness::Api;

const PARKED: DeliveryState =
    DeliveryState::Pending { next_attempt_at: builders::MADE_AT, waits: Some(WaitReason::Paused) };

async fn made(api: &Api) -> (CallbackId, String) {
    let made = api.made(json!({ "url": "https://example.com/" })).await;
    let id = made["id"].as_str().expect("an id");
    (id.parse().expect("a UUID"), format!("/v1/callbacks/{id}"))
}

async fn post(api: &Api, path: &str) -> Value {
    let answer = api.call("POST", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

async fn refused(api: &Api, path: &str) -> String {
    let answer = api.call("POST", path, None).await;
    assert_eq!(answer.status, 409, "{path}: {}", answer.json);
    answer.json["detail"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn callback_is_paused_and_resumed_and_says_so() {
    let api = Api::start().await;
    let (id, path) = made(&api).await;
    let paused = post(&api, &format!("{path}/pause")).await;
    assert_eq!((&paused["paused"], &paused["enabled"]), (&json!(true), &json!(true)));
    assert_eq!(paused, api.get(&path).await, "the answer is the callback");
    let stored = api.store.callback(id).await.expect("read").expect("there");
    assert_eq!((stored.state, stored.resumed_at), (CallbackState::Paused, None));

    api.clock.advance(Duration::from_secs(60));
    let resumed = post(&api, &format!("{path}/resume")).await;
    assert_eq!((&resumed["paused"], &resumed["enabled"]), (&json!(false), &json!(true)));
    assert_ne!(resumed["updated_at"], paused["updated_at"]);
    let stored = api.store.callback(id).await.expect("read").expect("there");
    let now = builders::MADE_AT + Duration::from_secs(60);
    assert_eq!((stored.state, stored.resumed_at), (CallbackState::Enabled, Some(now)));
}

#[tokio::test]
async fn pausing_twice_and_resuming_what_is_not_paused_change_nothing() {
    let api = Api::start().await;
    let (id, path) = made(&api).await;
    let before = api.get(&path).await;
    assert_eq!(post(&api, &format!("{path}/resume")).await, before);
    assert_eq!(api.store.callback(id).await.expect("read").expect("there").resumed_at, None);
    let paused = post(&api, &format!("{path}/pause")).await;
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(post(&api, &format!("{path}/pause")).await, paused);
    assert_eq!(api.call("POST", "/v1/callbacks/x/pause", None).await.status, 404);
    assert_eq!(api.call("GET", &format!("{path}/pause"), None).await.status, 405);
}

#[tokio::test]
async fn disabled_callback_is_neither_paused_nor_resumed() {
    let api = Api::start().await;
    let (_, path) = made(&api).await;
    api.call("PATCH", &path, Some(json!({ "enabled": false }))).await;
    assert!(refused(&api, &format!("{path}/pause")).await.contains("disabled"));
    assert!(refused(&api, &format!("{path}/resume")).await.contains("enable it instead"));
}

#[tokio::test]
async fn paused_callback_stays_so_whatever_else_is_changed() {
    let api = Api::start().await;
    let (_, path) = made(&api).await;
    post(&api, &format!("{path}/pause")).await;
    for patch in
        [json!({ "timeout_ms": 200 }), json!({ "enabled": true }), json!({ "paused": true })]
    {
        let patched = api.call("PATCH", &path, Some(patch.clone())).await;
        assert_eq!((patched.status, &patched.json["paused"]), (200, &json!(true)), "{patch}");
    }
    for put in [
        json!({ "url": "https://example.org/" }),
        json!({ "url": "https://example.org/", "enabled": true, "paused": true }),
    ] {
        let put = api.call("PUT", &path, Some(put)).await;
        assert_eq!((put.status, &put.json["paused"]), (200, &json!(true)));
    }
}

#[tokio::test]
async fn pausing_by_a_change_of_settings_is_refused_and_says_how_it_is_done() {
    let api = Api::start().await;
    let (_, path) = made(&api).await;
    for (is_paused, call) in [(false, "resume"), (true, "pause")] {
        post(&api, &format!("{path}/{call}")).await;
        let other = json!(!is_paused);
        let put = json!({ "url": "https://example.com/", "paused": other });
        for (method, body) in [("PUT", put), ("PATCH", json!({ "paused": other }))] {
            let answer = api.call(method, &path, Some(body)).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec!["/paused"]));
            let detail = answer.detail_at("/paused");
            assert!(detail.contains("/pause") && detail.contains("/resume"), "{detail}");
        }
        assert_eq!(api.get(&path).await["paused"], is_paused);
    }
}

#[tokio::test]
async fn disabling_a_paused_callback_cancels_what_is_kept_for_it() {
    let api = Api::start().await;
    let (id, path) = made(&api).await;
    post(&api, &format!("{path}/pause")).await;
    let callback = api.store.callback(id).await.expect("read").expect("there");
    let delivery = api.delivery(&builders::event("A"), &callback, PARKED).await;
    let off = api.call("PATCH", &path, Some(json!({ "enabled": false }))).await.json;
    assert_eq!((&off["enabled"], &off["paused"]), (&json!(false), &json!(false)));
    let shown = api.get(&format!("/v1/deliveries/{delivery}")).await;
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(shown["cancel_reason"], "callback_disabled");
    let on = api.call("PATCH", &path, Some(json!({ "enabled": true }))).await.json;
    assert_eq!((&on["enabled"], &on["paused"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn retry_of_what_is_kept_begins_a_series_of_its_own() {
    let api = Api::start().await;
    let (id, path) = made(&api).await;
    post(&api, &format!("{path}/pause")).await;
    let callback = api.store.callback(id).await.expect("read").expect("there");
    let delivery = api.delivery(&builders::event("A"), &callback, PARKED).await;
    let retry = format!("/v1/deliveries/{delivery}/retry");
    let answer = api.call("POST", &retry, None).await;
    assert_eq!((answer.status, &answer.json["attempt"]), (202, &json!(2)), "{}", answer.json);
    let dispatch = api.dispatched().await;
    let Targets::These(targets) = &dispatch.targets else { panic!("it has a target") };
    assert_eq!(targets[0].position.attempt.get(), 2);
    assert_eq!(targets[0].position.series_start.get(), 2, "a series of its own");
}
