//! API keys, and what belongs to whom.

use ringback_testkit::Receiver;
use serde_json::{Value, json};

use crate::support::{Api, Ringback, callback, event, text, with};

/// The keys of two accounts.
async fn two_accounts(api: &Api) -> (Api, Api) {
    let acme = api.create_key(Some("acme")).await;
    let other = api.create_key(Some("other")).await;
    assert!(acme.starts_with("rbk_"));
    (api.with_key(&acme), api.with_key(&other))
}

#[tokio::test]
async fn account_key_sees_and_touches_its_account_alone() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let admin = &ringback.api;
    let (acme, other) = two_accounts(admin).await;
    let own = acme.create_callback(&callback(&receiver.url("/acme"))).await;
    let instance = admin.create_callback(&callback(&receiver.url("/all"))).await;
    let shown = acme.get(&format!("/v1/callbacks/{own}")).await.expect(200);
    assert_eq!(shown["account"], "acme", "an account's callback is bound to it");

    let event_id = acme.send(&json!({"name": "COMMENT_CREATED"})).await;
    let deliveries = admin.list(&format!("/v1/deliveries?event={event_id}")).await;
    let delivery = deliveries.first().map(|delivery| text(&delivery["id"]));
    let delivery = match delivery {
        Some(id) => id,
        None => text(&admin.settled_delivery(&event_id).await["id"]),
    };

    for path in [
        format!("/v1/callbacks/{own}"),
        format!("/v1/callbacks/{own}/secret"),
        format!("/v1/callbacks/{instance}"),
        format!("/v1/events/{event_id}"),
        format!("/v1/deliveries/{delivery}"),
    ] {
        other.get(&path).await.expect_problem(404);
    }
    let path = format!("/v1/callbacks/{own}");
    other.patch(&path, &json!({"enabled": false})).await.expect_problem(404);
    other.put(&path, &callback(&receiver.url("/stolen"))).await.expect_problem(404);
    other.delete(&path).await.expect_problem(404);
    for call in ["pause", "resume"] {
        other.post(&format!("{path}/{call}"), &json!({})).await.expect_problem(404);
    }
    for list in ["/v1/callbacks", "/v1/events", "/v1/deliveries"] {
        assert_eq!(other.list(list).await, [] as [Value; 0], "{list}");
    }
    assert_eq!(acme.list("/v1/callbacks").await.len(), 1, "its own, and not the instance's");
    acme.get(&format!("/v1/callbacks/{own}")).await.expect(200);
}

#[tokio::test]
async fn account_key_can_neither_send_nor_register_for_another() {
    let ringback = Ringback::start().await;
    let (acme, _) = two_accounts(&ringback.api).await;
    let foreign = with(event("COMMENT_CREATED"), json!({"account": "other"}));
    let answer = acme.post("/v1/events", &foreign).await;
    assert!([403, 422].contains(&answer.status), "{} {}", answer.status, answer.body);
    let foreign = json!({"url": "https://example.com/", "account": "other"});
    let answer = acme.post("/v1/callbacks", &foreign).await;
    assert!([403, 422].contains(&answer.status), "{} {}", answer.status, answer.body);
    for (path, body) in [("/v1/api-keys", json!({"account": null, "description": ""}))] {
        acme.post(path, &body).await.expect_problem(403);
        acme.get(path).await.expect_problem(403);
    }
}

#[tokio::test]
async fn keys_are_shown_once_and_stop_when_removed() {
    let ringback = Ringback::start().await;
    let made =
        ringback.api.post("/v1/api-keys", &json!({"account": "acme", "description": "ci"})).await;
    let made = made.expect(201);
    let (id, key) = (text(&made["id"]), text(&made["key"]));
    let listed = ringback.api.get("/v1/api-keys").await.expect(200);
    let first = &listed["data"][0];
    assert_eq!((&first["id"], &first["description"]), (&json!(id), &json!("ci")));
    assert!(!listed.to_string().contains(&key[4..]));

    let acme = ringback.api.with_key(&key);
    acme.get("/v1/callbacks").await.expect(200);
    ringback.api.delete(&format!("/v1/api-keys/{id}")).await.expect(204);
    acme.get("/v1/callbacks").await.expect_problem(401);
    ringback.api.with_key("rbk_unknown").get("/v1/callbacks").await.expect_problem(401);
}

#[tokio::test]
async fn open_paths_need_no_key_and_describe_the_api() {
    let ringback = Ringback::start().await;
    let nobody = ringback.api.with_key("");
    nobody.get("/healthz").await.expect(200);
    nobody.get("/readyz").await.expect(200);
    let document = nobody.get("/openapi.json").await.expect(200);
    assert!(text(&document["openapi"]).starts_with("3.1"));
    for path in [
        "/v1/events",
        "/v1/events/{id}",
        "/v1/callbacks",
        "/v1/callbacks/{id}",
        "/v1/callbacks/{id}/secret",
        "/v1/callbacks/{id}/pause",
        "/v1/callbacks/{id}/resume",
        "/v1/deliveries",
        "/v1/deliveries/{id}",
        "/v1/api-keys",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    nobody.get("/v1/nothing").await.expect_problem(404);
}
