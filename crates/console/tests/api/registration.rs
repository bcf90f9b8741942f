//! `PUT /api/callback/register`: what it takes, what it refuses, what becomes of it.

use axum::body::Body;
use axum::http::{Request, header};
use ringback_core::callback::{Authorization, CallbackState, DisabledReason, Format, Method};
use ringback_core::delivery::DeliveryState;
use ringback_core::secret::Secret;
use ringback_core::{Callback, CallbackId};
use ringback_store::Store as _;
use ringback_testkit::builders;
use serde_json::{Value, json};

use crate::harness::{ADMIN, Answer, Api};

const PATH: &str = "/api/callback/register";
const URL: &str = "https://your.domain/your.callback.listener.endpoint";

/// An API, and a key of account `acme`.
async fn start() -> (Api, String) {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    (api, key)
}

async fn put(api: &Api, key: &str, body: &Value) -> Answer {
    api.call_as(key, "PUT", PATH, Some(body.clone())).await
}

async fn shown(api: &Api, key: &str) -> Value {
    let answer = api.call_as(key, "GET", PATH, None).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json
}

/// The one callback of account `acme`.
async fn registered(api: &Api) -> Callback {
    let found = api.store.callbacks(&ringback_store::CallbackQuery::default(), 10, None).await;
    let [callback] = <[Callback; 1]>::try_from(found.expect("read").items).expect("one callback");
    assert_eq!(callback.id, CallbackId::of_registration(&"acme".parse().expect("an account")));
    callback
}

fn basic() -> Value {
    json!({ "callbackUrl": URL, "authType": "Basic", "username": "your.username", "password": "your.password" })
}

#[tokio::test]
async fn each_kind_is_answered_with_what_was_sent_and_shown_with_its_secrets_masked() {
    let (api, key) = start().await;
    let bearer =
        json!({ "callbackUrl": URL, "authType": "Bearer", "bearerToken": "your.bearer.token" });
    let none = json!({ "callbackUrl": URL, "authType": "None" });
    let with_key = json!({ "callbackUrl": URL, "authType": "None", "callbackKey": "your-key==" });
    for (body, masked, sent) in [
        (basic(), Some("password"), Some("Basic eW91ci51c2VybmFtZTp5b3VyLnBhc3N3b3Jk")),
        (bearer, Some("bearerToken"), Some("Bearer your.bearer.token")),
        (none, None, None),
        (with_key, Some("callbackKey"), Some("Basic your-key==")),
    ] {
        let answer = put(&api, &key, &body).await;
        assert_eq!((answer.status, &answer.json), (200, &body));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let callback = registered(&api).await;
        assert_eq!(callback.url.as_str(), URL);
        let header = callback.authorization.header_value();
        assert_eq!(header.as_ref().map(Secret::reveal), sent);
        assert_eq!(callback.format, Format::CongaSign);
        assert_eq!(callback.method, Method::Post);
        assert_eq!(callback.account, Some("acme".parse().expect("an account")));
        assert!(callback.events.matches_all() && callback.state.is_enabled());

        let mut expected = body.clone();
        if let Some(member) = masked {
            expected[member] = json!("***");
        }
        assert_eq!(shown(&api, &key).await, expected);
    }
}

#[tokio::test]
async fn answer_has_its_members_in_the_order_of_the_documentation() {
    let (api, key) = start().await;
    let body = r#"{"events":"PACKAGE_CREATE","password":"p","username":"u","authType":"Basic","callbackUrl":"https://h/"}"#;
    let request = Request::put(PATH)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Body::from(body))
        .expect("a request");
    let response = tower::ServiceExt::oneshot(api.router.clone(), request).await.expect("answers");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a body");
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        r#"{"callbackUrl":"https://h/","authType":"Basic","username":"u","password":"p","events":"PACKAGE_CREATE"}"#
    );
}

type Wrong = Vec<(Value, Vec<&'static str>)>;

fn wrong_credentials() -> Wrong {
    vec![
        (json!({}), vec!["/callbackUrl", "/authType"]),
        (json!({ "callbackUrl": URL }), vec!["/authType"]),
        (json!({ "callbackUrl": "" }), vec!["/authType"]),
        (json!({ "callbackUrl": "", "authType": "none" }), vec!["/authType"]),
        (json!({ "authType": "None" }), vec!["/callbackUrl"]),
        (json!({ "callbackUrl": null, "authType": "None" }), vec!["/callbackUrl"]),
        (json!({ "callbackUrl": URL, "authType": "Basic" }), vec!["/username", "/password"]),
        (json!({ "callbackUrl": URL, "authType": "Basic", "username": "u" }), vec!["/password"]),
        (
            json!({ "callbackUrl": URL, "authType": "Basic", "username": "u", "password": null }),
            vec!["/password"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "Basic", "username": "", "password": "" }),
            vec!["/username", "/password"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "Basic", "username": "a:b", "password": "p" }),
            vec!["/username"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "Basic", "username": 5, "password": "p" }),
            vec!["/username"],
        ),
        (json!({ "callbackUrl": URL, "authType": "Bearer" }), vec!["/bearerToken"]),
        (
            json!({ "callbackUrl": URL, "authType": "Bearer", "bearerToken": "a b" }),
            vec!["/bearerToken"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "basic", "username": "u", "password": "p" }),
            vec!["/authType"],
        ),
        (json!({ "callbackUrl": URL, "authType": "NONE" }), vec!["/authType"]),
        (json!({ "callbackUrl": URL, "authType": "Digest" }), vec!["/authType"]),
        (
            json!({ "callbackUrl": URL, "authType": "None", "callbackKey": "" }),
            vec!["/callbackKey"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "None", "callbackKey": "line\nbreak" }),
            vec!["/callbackKey"],
        ),
        (json!({ "callbackUrl": URL, "authType": "None", "password": "p" }), vec!["/password"]),
        (
            json!({ "callbackUrl": URL, "authType": "Basic", "username": "u", "password": "p", "callbackKey": "k" }),
            vec!["/callbackKey"],
        ),
        (
            json!({ "callbackUrl": URL, "authType": "Bearer", "bearerToken": "t", "username": "u", "callbackKey": "k" }),
            vec!["/username", "/callbackKey"],
        ),
    ]
}

fn wrong_otherwise() -> Wrong {
    vec![
        (
            json!({ "callbackUrl": "ftp://your.domain/", "authType": "Basic" }),
            vec!["/username", "/password", "/callbackUrl"],
        ),
        (
            json!({ "callbackUrl": "your.domain/listener", "authType": "None" }),
            vec!["/callbackUrl"],
        ),
        (json!({ "callbackUrl": "https://{HOST}/", "authType": "None" }), vec!["/callbackUrl"]),
        (json!({ "callbackUrl": "https://h/{X", "authType": "None" }), vec!["/callbackUrl"]),
        (json!({ "callbackUrl": "http://127.0.0.1/", "authType": "None" }), vec!["/callbackUrl"]),
        (
            json!({ "callbackUrl": URL, "authType": "None", "events": "PACKAGE CREATE" }),
            vec!["/events"],
        ),
        (json!({ "callbackUrl": URL, "authType": "None", "events": [] }), vec!["/events"]),
        (
            json!({ "callbackUrl": URL, "authType": "None", "events": ["A", "B C"] }),
            vec!["/events/1"],
        ),
        (json!({ "callbackUrl": URL, "authType": "None", "events": 7 }), vec!["/events"]),
        (
            json!({ "callbackUrl": URL, "authType": "None", "callbackURL": URL }),
            vec!["/callbackURL"],
        ),
    ]
}

#[tokio::test]
async fn what_is_missing_wrong_or_contradictory_is_named_each() {
    let (api, key) = start().await;
    // Both when it is made and when it is changed.
    for _ in 0..2 {
        for (body, pointers) in wrong_credentials().into_iter().chain(wrong_otherwise()) {
            let answer = put(&api, &key, &body).await;
            assert_eq!(answer.status, 422, "{body}: {}", answer.json);
            assert_eq!(answer.pointers(), pointers, "{body}: {}", answer.json);
        }
        let wrong = put(&api, &key, &json!({ "callbackUrl": URL, "authType": "basic" })).await;
        assert_eq!(wrong.detail_at("/authType"), "Basic, Bearer or None, in this spelling");
        assert_eq!(put(&api, &key, &basic()).await.status, 200);
    }
    assert_eq!(registered(&api).await.url.as_str(), URL, "nothing wrong has changed it");
}

#[tokio::test]
async fn registering_again_changes_the_one_there_is_and_leaves_the_rest_of_it() {
    let (api, key) = start().await;
    let first = json!({ "callbackUrl": URL, "authType": "None", "events": ["PACKAGE_CREATE", "DOCUMENT_*"] });
    assert_eq!(put(&api, &key, &first).await.status, 200);
    let before = registered(&api).await;
    let path = format!("/v1/callbacks/{}", before.id);
    let patch = json!({ "timeout_ms": 1_000, "retry": { "max_retries": 9 } });
    assert_eq!(api.call_as(&key, "PATCH", &path, Some(patch)).await.status, 200);

    assert_eq!(put(&api, &key, &basic()).await.status, 200);
    let after = registered(&api).await;
    assert_eq!(after.events.patterns(), ["PACKAGE_CREATE", "DOCUMENT_*"]);
    assert_eq!((after.timeout.as_millis(), after.retry.max_retries), (1_000, 9));
    assert_eq!(after.signing_secret, before.signing_secret);
    assert!(matches!(after.authorization, Authorization::Basic { .. }));
    assert_eq!(shown(&api, &key).await["events"], json!(["PACKAGE_CREATE", "DOCUMENT_*"]));

    // What was shown can be put back: the mask stands for the secret.
    let back = shown(&api, &key).await;
    assert_eq!(put(&api, &key, &back).await.status, 200);
    assert_eq!(registered(&api).await.authorization, after.authorization);
    let one = json!({ "callbackUrl": URL, "authType": "None", "events": "SIGNER_COMPLETE" });
    assert_eq!(put(&api, &key, &one).await.status, 200);
    assert_eq!(registered(&api).await.events.patterns(), ["SIGNER_COMPLETE"]);
}

#[tokio::test]
async fn empty_url_disables_it_and_cancels_what_is_under_way_until_it_is_registered_again() {
    let (api, key) = start().await;
    let off = json!({ "callbackUrl": "", "authType": "None" });
    // Nothing is registered, so nothing is to be disabled.
    assert_eq!(put(&api, &key, &off).await.status, 200);
    assert_eq!(api.call_as(&key, "GET", PATH, None).await.status, 404);

    assert_eq!(put(&api, &key, &basic()).await.status, 200);
    let callback = registered(&api).await;
    let event = builders::event("PACKAGE_CREATE");
    let pending = DeliveryState::Pending { next_attempt_at: builders::MADE_AT, waits: None };
    let delivery = api.delivery(&event, &callback, pending).await;
    for _ in 0..2 {
        let answer = put(&api, &key, &off).await;
        assert_eq!((answer.status, answer.json), (200, off.clone()));
        let expected = json!({ "callbackUrl": "", "authType": "Basic", "username": "your.username", "password": "***" });
        assert_eq!(shown(&api, &key).await, expected, "its settings stay");
        assert_eq!(registered(&api).await.state, CallbackState::Disabled(DisabledReason::ByOwner));
    }
    let delivery = api.get(&format!("/v1/deliveries/{delivery}")).await;
    assert_eq!(delivery["status"], "cancelled", "and so does its history");

    assert_eq!(put(&api, &key, &basic()).await.status, 200);
    assert_eq!(shown(&api, &key).await["callbackUrl"], URL);
    assert!(registered(&api).await.state.is_enabled());
}

#[tokio::test]
async fn two_that_register_at_once_make_one_callback() {
    let (api, key) = start().await;
    let body =
        |number: usize| json!({ "callbackUrl": format!("https://h/{number}"), "authType": "None" });
    for round in 0..10 {
        let (first, second) = (body(2 * round), body(2 * round + 1));
        let (first, second) = tokio::join!(put(&api, &key, &first), put(&api, &key, &second));
        assert_eq!((first.status, second.status), (200, 200), "{} {}", first.json, second.json);
        let url = registered(&api).await.url.as_str().to_owned();
        assert!(
            url == format!("https://h/{}", 2 * round)
                || url == format!("https://h/{}", 2 * round + 1)
        );
        let id = registered(&api).await.id;
        // The next two make it anew, under the same id.
        assert_eq!(
            api.call_as(&key, "DELETE", &format!("/v1/callbacks/{id}"), None).await.status,
            204
        );
        assert_eq!(api.call_as(&key, "GET", PATH, None).await.status, 404);
    }
}

#[tokio::test]
async fn key_says_whose_registration_it_is_behind_bearer_or_basic() {
    let (api, key) = start().await;
    let nameless = put(&api, ADMIN, &basic()).await;
    assert_eq!(nameless.status, 400);
    assert!(nameless.json["detail"].as_str().expect("a text").contains("?account="));
    let named = format!("{PATH}?account=other");
    assert_eq!(api.call("PUT", &named, Some(basic())).await.status, 200);
    assert_eq!(api.call_as(&key, "PUT", &named, Some(basic())).await.status, 403);
    assert_eq!(api.call_as(&key, "GET", &named, None).await.status, 403);
    // What the other account has registered is none of this one's business.
    assert_eq!(api.call_as(&key, "GET", PATH, None).await.status, 404);
    assert_eq!(api.call("GET", &named, None).await.json["callbackUrl"], URL);

    for (authorization, status) in [
        (format!("Basic {key}"), 404),
        (format!("basic {key}"), 404),
        ("Basic rbk_x".to_owned(), 401),
        (format!("Digest {key}"), 401),
    ] {
        let request = Request::get(PATH).header(header::AUTHORIZATION, &authorization);
        let answer = api.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, status, "{authorization}");
        // Elsewhere a key stands behind Bearer alone.
        let request = Request::get("/v1/callbacks").header(header::AUTHORIZATION, authorization);
        assert_eq!(api.send(request.body(Body::empty()).expect("a request")).await.status, 401);
    }
}

#[tokio::test]
async fn authorization_that_is_not_of_this_call_is_not_told_as_another() {
    let (api, key) = start().await;
    assert_eq!(put(&api, &key, &basic()).await.status, 200);
    let path = format!("/v1/callbacks/{}", registered(&api).await.id);
    let patch = json!({ "authorization": { "type": "header", "value": "Custom hush" } });
    assert_eq!(api.call_as(&key, "PATCH", &path, Some(patch)).await.status, 200);
    let answer = api.call_as(&key, "GET", PATH, None).await;
    assert_eq!(answer.status, 409);
    assert!(!answer.json.to_string().contains("hush"));
}
