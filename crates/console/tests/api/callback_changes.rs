//! Callbacks after they were made: listed, replaced, patched, removed.

use serde_json::{Value, json};

use crate::harness::Api;

async fn path_of(api: &Api, settings: Value) -> String {
    let made = api.made(settings).await;
    format!("/v1/callbacks/{}", made["id"].as_str().expect("an id"))
}

fn basic() -> Value {
    json!({ "type": "basic", "username": "u", "password": "open sesame" })
}

async fn sent(api: &Api, path: &str) -> Option<String> {
    let stored = api.stored(&api.get(path).await).await;
    stored.authorization.header_value().map(|value| value.reveal().to_owned())
}

#[tokio::test]
async fn put_replaces_everything_and_patch_only_what_it_names() {
    let api = Api::start().await;
    let settings = json!({ "url": "https://example.com/", "description": "one", "timeout_ms": 200, "retry": { "max_retries": 7 } });
    let path = path_of(&api, settings).await;
    let patch = json!({ "timeout_ms": null, "retry": { "delay_seconds": 1.5 }, "events": ["A"] });
    let patched = api.call("PATCH", &path, Some(patch)).await;
    assert_eq!(patched.status, 200, "{}", patched.json);
    assert_eq!(patched.json["description"], "one");
    assert_eq!(patched.json["timeout_ms"], 15_000);
    assert_eq!(patched.json["retry"]["max_retries"], 7);
    assert_eq!(patched.json["retry"]["delay_seconds"], 1.5);
    assert_eq!(patched.json["warnings"], json!([]));
    let replaced = api.call("PUT", &path, Some(json!({ "url": "https://example.org/" }))).await;
    assert_eq!(replaced.status, 200, "{}", replaced.json);
    assert_eq!(replaced.json["url"], "https://example.org/");
    assert_eq!(replaced.json["description"], "");
    assert_eq!(replaced.json["retry"]["max_retries"], 3);
    assert_ne!(replaced.json["updated_at"], patched.json["updated_at"]);
    assert_eq!(replaced.json["created_at"], patched.json["created_at"]);
}

#[tokio::test]
async fn secret_that_is_not_touched_or_masked_stays() {
    let api = Api::start().await;
    let path =
        path_of(&api, json!({ "url": "https://example.com/", "authorization": basic() })).await;
    let before = sent(&api, &path).await;
    assert!(before.is_some());
    let untouched = api.call("PATCH", &path, Some(json!({ "description": "x" }))).await;
    assert_eq!(untouched.status, 200, "{}", untouched.json);
    assert_eq!(sent(&api, &path).await, before);
    let masked = json!({ "url": "https://example.com/", "authorization": { "type": "basic", "username": "u", "password": "***" } });
    assert_eq!(api.call("PUT", &path, Some(masked)).await.status, 200);
    assert_eq!(sent(&api, &path).await, before);
    let other_type = json!({ "url": "https://example.com/", "authorization": { "type": "bearer", "token": "***" } });
    let refused = api.call("PUT", &path, Some(other_type)).await;
    assert_eq!(refused.pointers(), ["/authorization/token"], "{}", refused.json);
    let left_out = api.call("PUT", &path, Some(json!({ "url": "https://example.com/" }))).await;
    assert_eq!(left_out.json["authorization"], json!({ "type": "none" }));
    assert_eq!(sent(&api, &path).await, None);
}

#[tokio::test]
async fn patch_to_another_type_begins_without_what_belongs_to_the_one_before() {
    let api = Api::start().await;
    let path =
        path_of(&api, json!({ "url": "https://example.com/", "authorization": basic() })).await;
    let patch = json!({ "authorization": { "type": "bearer", "token": "t" } });
    let patched = api.call("PATCH", &path, Some(patch)).await;
    assert_eq!(patched.json["authorization"], json!({ "type": "bearer", "token": "***" }));
    assert_eq!(sent(&api, &path).await.as_deref(), Some("Bearer t"));
    let exponential = json!({ "retry": { "backoff": "exponential", "factor": 3 } });
    assert_eq!(api.call("PATCH", &path, Some(exponential)).await.json["retry"]["factor"], 3.0);
    let fixed = api.call("PATCH", &path, Some(json!({ "retry": { "backoff": "fixed" } }))).await;
    assert_eq!(fixed.status, 200, "{}", fixed.json);
    assert!(fixed.json["retry"].get("factor").is_none());
}

#[tokio::test]
async fn patch_changes_members_of_the_rate_limit_and_the_circuit() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    let limit = async |patch: Value| {
        let answer = api.call("PATCH", &path, Some(json!({ "rate_limit": patch }))).await;
        (answer.status, answer.json["rate_limit"].clone())
    };
    assert_eq!(limit(json!({ "burst": 2 })).await.0, 422, "there is no rate yet");
    let per_second = limit(json!({ "per_second": 50 })).await;
    assert_eq!(per_second, (200, json!({ "per_second": 50, "burst": 5 })));
    let burst = limit(json!({ "burst": 7 })).await;
    assert_eq!(burst, (200, json!({ "per_second": 50, "burst": 7 })));
    let default = limit(json!({ "per_second": 100, "burst": null })).await;
    assert_eq!(default, (200, json!({ "per_second": 100, "burst": 10 })));
    assert_eq!(limit(json!(null)).await, (200, json!(null)));

    let circuit = async |patch: Value| {
        let answer = api.call("PATCH", &path, Some(json!({ "circuit": patch }))).await;
        (answer.status, answer.json["circuit"].clone())
    };
    let failures = circuit(json!({ "failures": 3 })).await;
    let expected = json!({ "enabled": true, "failures": 3, "open_seconds": 30 });
    assert_eq!(failures, (200, expected));
    let off = circuit(json!({ "enabled": false, "failures": null })).await;
    let expected = json!({ "enabled": false, "failures": 20, "open_seconds": 30 });
    assert_eq!(off, (200, expected));
    assert_eq!(circuit(json!(null)).await.1["enabled"], true);
}

#[tokio::test]
async fn patch_is_checked_like_all_settings() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    for (patch, pointer) in [
        (json!({ "url": null }), "/url"),
        (json!({ "url": "http://10.0.0.1/" }), "/url"),
        (json!({ "retry": { "max_retries": -1 } }), "/retry/max_retries"),
        (json!({ "rate_limit": { "per_second": 0 } }), "/rate_limit/per_second"),
        (json!({ "circuit": { "failures": 0 } }), "/circuit/failures"),
        (json!({ "paused": true }), "/paused"),
        (json!({ "paused": null }), "/paused"),
        (json!({ "id": "8b21" }), "/id"),
        (json!({ "account": "acme" }), "/account"),
    ] {
        let answer = api.call("PATCH", &path, Some(patch.clone())).await;
        assert_eq!(
            (answer.status, answer.pointers()),
            (422, vec![pointer]),
            "{patch} {}",
            answer.json
        );
    }
    assert_eq!(api.call("PATCH", &path, Some(json!([]))).await.status, 422);
}

#[tokio::test]
async fn account_of_a_callback_never_changes() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/", "account": "acme" })).await;
    for account in [json!(null), json!("other")] {
        let put = json!({ "url": "https://example.com/", "account": account });
        assert_eq!(api.call("PUT", &path, Some(put)).await.pointers(), ["/account"]);
        let patch = json!({ "account": account });
        assert_eq!(api.call("PATCH", &path, Some(patch)).await.pointers(), ["/account"]);
    }
    let put = json!({ "url": "https://example.org/" });
    assert_eq!(api.call("PUT", &path, Some(put)).await.json["account"], "acme");
}

#[tokio::test]
async fn disabled_callback_says_why() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    let off = api.call("PATCH", &path, Some(json!({ "enabled": false }))).await.json;
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("by_owner")));
    let on = api.call("PATCH", &path, Some(json!({ "enabled": true }))).await.json;
    assert_eq!((&on["enabled"], &on["disabled_reason"]), (&json!(true), &json!(null)));
    gone(&api, &path).await;
    let gone = api.call("PATCH", &path, Some(json!({ "description": "still gone" }))).await.json;
    assert_eq!((&gone["enabled"], &gone["disabled_reason"]), (&json!(false), &json!("gone")));
}

async fn gone(api: &Api, path: &str) {
    use ringback_store::Store as _;
    let stored = api.stored(&api.get(path).await).await;
    let now = stored.updated_at + std::time::Duration::from_secs(1);
    api.store.disable_gone_callback(stored.id, stored.updated_at, now).await.expect("written");
}

#[tokio::test]
async fn changes_made_at_the_same_time_are_all_kept() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    let description = api.call("PATCH", &path, Some(json!({ "description": "x" })));
    let timeout = api.call("PATCH", &path, Some(json!({ "timeout_ms": 100 })));
    let headers = api.call("PATCH", &path, Some(json!({ "headers": { "X-A": "1" } })));
    let (one, two, three) = tokio::join!(description, timeout, headers);
    assert_eq!((one.status, two.status, three.status), (200, 200, 200));
    let shown = api.get(&path).await;
    assert_eq!(shown["description"], "x");
    assert_eq!(shown["timeout_ms"], 100);
    assert_eq!(shown["headers"]["X-A"], "1");
}

#[tokio::test]
async fn removed_callback_is_gone() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(api.call(method, &path, None).await.status, 404, "{method}");
    }
    assert_eq!(api.call("PATCH", &path, Some(json!({}))).await.status, 404);
    assert_eq!(api.call("GET", "/v1/callbacks/not-a-uuid", None).await.status, 404);
}

#[tokio::test]
async fn signing_secret_is_shown_by_its_own_call_alone() {
    let api = Api::start().await;
    let path = path_of(&api, json!({ "url": "https://example.com/" })).await;
    let answer = api.call("GET", &format!("{path}/secret"), None).await;
    let secret = answer.json["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!api.get(&path).await.to_string().contains("whsec_"));
    let replaced = api.call("PUT", &path, Some(json!({ "url": "https://example.org/" }))).await;
    assert_eq!(replaced.status, 200);
    assert_eq!(api.get(&format!("{path}/secret")).await["secret"], secret, "a change keeps it");
}

#[tokio::test]
async fn list_comes_in_pages_newest_first() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(api.made(json!({ "url": "https://example.com/" })).await["id"].clone());
    }
    let mut seen = Vec::new();
    let mut path = "/v1/callbacks?limit=2".to_owned();
    loop {
        let page = api.get(&path).await;
        seen.extend(page["data"].as_array().expect("a list").iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/callbacks?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(ids.iter().all(|id| seen.contains(id)));
    for bad in ["limit=0", "limit=x", "cursor=x", "acount=a", "limit=1&limit=2"] {
        assert_eq!(
            api.call("GET", &format!("/v1/callbacks?{bad}"), None).await.status,
            400,
            "{bad}"
        );
    }
}
