//! An account key sees and touches its account alone.

use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_store::Store as _;
use ringback_testkit::builders;
use serde_json::{Value, json};

use crate::harness::Api;

const URL: &str = "https://example.com/";

#[tokio::test]
async fn foreign_callbacks_and_those_of_the_instance_do_not_exist_for_an_account() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    for settings in [json!({ "url": URL }), json!({ "url": URL, "account": "other" })] {
        let made = api.made(settings).await;
        let path = format!("/v1/callbacks/{}", made["id"].as_str().expect("an id"));
        let body = Some(json!({ "url": "https://example.org/" }));
        for (method, path, body) in [
            ("GET", path.clone(), None),
            ("PUT", path.clone(), body.clone()),
            ("PATCH", path.clone(), body),
            ("DELETE", path.clone(), None),
            ("GET", format!("{path}/secret"), None),
            ("POST", format!("{path}/secret/rotate"), None),
            ("POST", format!("{path}/pause"), None),
            ("POST", format!("{path}/resume"), None),
        ] {
            let answer = api.call_as(&key, method, &path, body).await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
        let shown = api.get(&path).await;
        assert_eq!((&shown["url"], &shown["paused"]), (&json!(URL), &json!(false)), "untouched");
    }
    let list = api.call_as(&key, "GET", "/v1/callbacks", None).await;
    assert_eq!(list.json["data"], json!([]));
}

#[tokio::test]
async fn account_makes_and_changes_callbacks_of_its_own_only() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let post = async |body: Value| api.call_as(&key, "POST", "/v1/callbacks", Some(body)).await;
    for account in [json!(null), json!("other")] {
        assert_eq!(post(json!({ "url": URL, "account": account })).await.status, 403, "{account}");
    }
    assert_eq!(post(json!({ "url": URL, "account": "acme" })).await.json["account"], "acme");
    let made = post(json!({ "url": URL })).await;
    assert_eq!(made.json["account"], "acme");
    let path = format!("/v1/callbacks/{}", made.json["id"].as_str().expect("an id"));
    for method in ["GET", "DELETE"] {
        assert!(api.call_as(&key, method, &path, None).await.status < 300, "{method}");
    }
}

#[tokio::test]
async fn lists_of_another_account_are_refused() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    for list in ["callbacks", "events", "deliveries"] {
        let foreign = api.call_as(&key, "GET", &format!("/v1/{list}?account=other"), None).await;
        assert_eq!(foreign.status, 403, "{list}");
        let own = api.call_as(&key, "GET", &format!("/v1/{list}?account=acme"), None).await;
        assert_eq!(own.status, 200, "{list}");
    }
}

#[tokio::test]
async fn history_of_another_account_does_not_exist() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let callback = api.stored(&api.made(json!({ "url": URL })).await).await;
    let mut event = builders::event("A");
    event.account = builders::account("other");
    let delivery = api.delivery(&event, &callback, DeliveryState::Exhausted).await;
    for (method, path) in [
        ("GET", format!("/v1/events/{}", event.id)),
        ("GET", format!("/v1/deliveries/{delivery}")),
        ("POST", format!("/v1/deliveries/{delivery}/retry")),
        ("POST", format!("/v1/deliveries/{delivery}/cancel")),
    ] {
        assert_eq!(api.call_as(&key, method, &path, None).await.status, 404, "{method} {path}");
    }
    for list in ["events", "deliveries"] {
        let answer = api.call_as(&key, "GET", &format!("/v1/{list}"), None).await;
        assert_eq!(answer.json["data"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn account_sees_how_an_instance_callback_did_with_its_event_and_not_where() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let callback = api.stored(&api.made(json!({ "url": URL })).await).await;
    let id = api.delivery(&builders::event("A"), &callback, DeliveryState::Exhausted).await;
    let path = format!("/v1/deliveries/{id}");
    let shown = api.call_as(&key, "GET", &path, None).await;
    assert_eq!(shown.status, 200);
    let attempt = &shown.json["attempts"][0];
    assert_eq!(attempt["outcome"], "http_error");
    for member in ["request", "response", "error"] {
        assert_eq!(attempt[member], json!(null), "{member}");
    }
    assert_eq!(api.call_as(&key, "POST", &format!("{path}/retry"), None).await.status, 403);

    // One delivery is the callback's owner's to cancel, all of the event its own.
    let waits = DeliveryState::Pending {
        next_attempt_at: builders::MADE_AT,
        waits: Some(WaitReason::Scheduled),
    };
    let (event, mine) = (builders::event("B"), json!({ "url": URL, "account": "acme" }));
    let mine = api.stored(&api.made(mine).await).await;
    let cancel = async |what: String| {
        api.call_as(&key, "POST", &format!("/v1/{what}/cancel"), None).await.status
    };
    let id = api.delivery(&event, &callback, waits).await;
    assert_eq!(cancel(format!("deliveries/{id}")).await, 403);
    assert_eq!(api.store.delivery(id).await.expect("read").expect("there").state, waits);
    assert_eq!(cancel(format!("events/{}", event.id)).await, 200);
    assert_ne!(api.store.delivery(id).await.expect("read").expect("there").state, waits);
    let own = api.delivery(&builders::event("C"), &mine, waits).await;
    assert_eq!(cancel(format!("deliveries/{own}")).await, 200);
    let of_deleted = api.delivery(&builders::event("D"), &mine, waits).await;
    api.store.delete_callback(mine.id, builders::MADE_AT).await.expect("deleted");
    assert_eq!(cancel(format!("deliveries/{of_deleted}")).await, 200);
}

#[tokio::test]
async fn keys_are_for_the_instance_to_manage() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let keys = api.get("/v1/api-keys").await;
    let path = format!("/v1/api-keys/{}", keys["data"][0]["id"].as_str().expect("an id"));
    for (method, path, body) in [
        ("GET", "/v1/api-keys", None),
        ("POST", "/v1/api-keys", Some(json!({ "account": "acme" }))),
        ("DELETE", path.as_str(), None),
    ] {
        assert_eq!(api.call_as(&key, method, path, body).await.status, 403, "{method}");
    }
}
