//! API keys: made, used, removed.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn key_is_shown_once_and_opens_until_it_is_removed() {
    let api = Api::start().await;
    let made = api.call("POST", "/v1/api-keys", Some(json!({ "description": "ci" }))).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers["cache-control"], "no-store");
    let key = made.json["key"].as_str().expect("a key");
    assert!(key.starts_with("rbk_") && key.len() == 47, "{key}");
    assert_eq!(api.call_as(key, "GET", "/v1/callbacks", None).await.status, 200);
    let list = api.get("/v1/api-keys").await;
    assert_eq!(list["data"][0]["description"], "ci");
    assert_eq!(list["data"][0]["account"], json!(null));
    assert!(!list.to_string().contains(key));
    let path = format!("/v1/api-keys/{}", made.json["id"].as_str().expect("an id"));
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
    assert_eq!(api.call_as(key, "GET", "/v1/callbacks", None).await.status, 401);
    assert_eq!(api.call("DELETE", &path, None).await.status, 404);
}

#[tokio::test]
async fn key_that_is_not_well_described_is_refused() {
    let api = Api::start().await;
    for (body, pointer) in [
        (json!({ "account": "a b" }), "/account"),
        (json!({ "description": "x".repeat(1_001) }), "/description"),
        (json!({ "scope": "all" }), "/scope"),
    ] {
        let answer = api.call("POST", "/v1/api-keys", Some(body)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{}", answer.json);
    }
}

#[tokio::test]
async fn call_without_a_valid_key_is_401_and_says_what_to_send() {
    let api = Api::start().await;
    for value in [None, Some("Bearer rbk_wrong"), Some("Bearer"), Some("Basic cmJrXw==")] {
        let mut request = Request::builder().uri("/v1/callbacks");
        if let Some(value) = value {
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = api.send(request.body(Body::empty()).expect("valid")).await;
        assert_eq!(answer.status, 401, "{value:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(!answer.json.to_string().contains("wrong"));
    }
}

#[tokio::test]
async fn keys_come_in_pages() {
    let api = Api::start().await;
    for number in 0..5 {
        let new = json!({ "description": number.to_string() });
        assert_eq!(api.call("POST", "/v1/api-keys", Some(new)).await.status, 201);
    }
    let all = api.get("/v1/api-keys").await;
    let all: Vec<_> =
        all["data"].as_array().expect("a list").iter().map(|key| &key["id"]).cloned().collect();
    let mut seen = Vec::new();
    let mut path = "/v1/api-keys?limit=2".to_owned();
    loop {
        let page = api.get(&path).await;
        seen.extend(page["data"].as_array().expect("a list").iter().map(|key| key["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/api-keys?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, all);
    assert!(seen.len() >= 5);
}
