//! The log and echo callbacks, and who may read what was logged.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use ringback_core::{Callback, CallbackId, Timestamp};
use ringback_runtime::Clock as _;
use ringback_store::Store as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::Api;

const LOG: &str = "/system.ashx?f=lp";

/// A callback of this account, or of the instance.
pub(crate) async fn callback(api: &Api, account: Option<&str>) -> Callback {
    let made = api.made(json!({ "url": "https://example.com/", "account": account })).await;
    api.stored(&made).await
}

/// A request signed at this time as a worker signs it.
pub(crate) fn signed(by: &Callback, at: Timestamp, body: &str) -> Request<Body> {
    Request::post(LOG)
        .header("ringback-callback", by.id.to_string())
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", at.seconds().to_string())
        .header("webhook-signature", by.signing_secret.sign("msg_1", at, body.as_bytes()))
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

/// Status, headers and body of an answer that need not be JSON.
async fn send(api: &Api, request: Request<Body>) -> (u16, HeaderMap, String) {
    let response = api.router.clone().oneshot(request).await.expect("answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = to_bytes(response.into_body(), 10_000_000).await.expect("a whole body");
    (status, headers, String::from_utf8_lossy(&bytes).into_owned())
}

async fn log(api: &Api, key: &str) -> Vec<Value> {
    let answer = api.call_as(key, "GET", "/v1/sink/log", None).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn echo_answers_with_what_it_was_sent_and_never_as_a_page() {
    let api = Api::start().await;
    let form = "EVENT_GUID=1&COMMENT=%3Cscript%3E";
    for (method, uri, content_type, body, expected) in [
        (
            "POST",
            "/system.ashx?f=ep",
            "application/x-www-form-urlencoded",
            form,
            "EVENT_GUID => 1\nCOMMENT    => <script>\n",
        ),
        ("POST", "/system.ashx?f=ep", "application/json", "{\"a\":1}", "{\"a\":1}"),
        ("POST", "/system.ashx?f=ep", "text/html", "<script>", "<script>"),
        ("GET", "/system.ashx?f=ep&id=178", "text/plain", "", "id => 178\n"),
    ] {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header(header::CONTENT_TYPE, content_type).body(Body::from(body));
        let (status, headers, echoed) = send(&api, request.expect("a request")).await;
        assert_eq!((status, echoed.as_str()), (200, expected));
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let admin = api.get("/v1/sink/log").await;
    assert_eq!(admin["data"], json!([]), "what is echoed is not kept");
}

#[tokio::test]
async fn signed_request_belongs_to_the_account_of_its_callback_and_any_other_to_nobody() {
    let api = Api::start().await;
    let (acme, other) = (api.account_key("acme").await, api.account_key("other").await);
    let of_acme = callback(&api, Some("acme")).await;
    let of_all = callback(&api, None).await;
    let now = api.clock.now();
    let (status, ..) = send(&api, signed(&of_acme, now, "EVENT_GUID=1")).await;
    assert_eq!(status, 200);

    let forged = |change: fn(&mut HeaderMap)| {
        let mut request = signed(&of_acme, now, "forged");
        change(request.headers_mut());
        request
    };
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    let mut other_body = signed(&of_acme, now, "signed");
    *other_body.body_mut() = Body::from("forged");
    for request in [
        forged(|headers| drop(headers.remove("webhook-signature"))),
        forged(|headers| {
            drop(headers.insert("webhook-signature", "v1,AAAA".parse().expect("a value")))
        }),
        forged(|headers| drop(headers.insert("webhook-id", "msg_2".parse().expect("a value")))),
        forged(|headers| {
            drop(headers.insert("ringback-callback", "nonsense".parse().expect("a value")))
        }),
        other_body,
        signed(&Callback { id: of_acme.id, ..of_all.clone() }, now, "forged"),
        signed(&of_acme, now - minutes(6), "forged"),
        signed(&of_acme, now + minutes(6), "forged"),
        signed(&of_all, now, "of an instance callback"),
    ] {
        assert_eq!(send(&api, request).await.0, 200);
    }
    let logged = log(&api, &acme).await;
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["account"], "acme");
    assert_eq!(logged[0]["callback"], of_acme.id.to_string());
    assert_eq!(logged[0]["body"], "EVENT_GUID=1");
    assert_eq!(log(&api, &other).await, Vec::<Value>::new());
    let all = api.get("/v1/sink/log").await["data"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 10);
    let known = all.iter().filter(|request| !request["callback"].is_null()).count();
    assert_eq!(known, 2, "one of the account, one of the instance");
    assert!(all.iter().all(|request| request["body"] != "forged" || request["account"].is_null()));
    // An account can't ask for another's.
    assert_eq!(api.call_as(&other, "GET", "/v1/sink/log?account=acme", None).await.status, 403);
    assert_eq!(
        api.get("/v1/sink/log?account=acme").await["data"].as_array().map(Vec::len),
        Some(1)
    );
    // A callback that is gone vouches for nobody.
    api.store.delete_callback(of_acme.id, now).await.expect("deleted");
    assert_eq!(send(&api, signed(&of_acme, now, "late")).await.0, 200);
    assert_eq!(log(&api, &acme).await.len(), 1);
}

#[tokio::test]
async fn log_keeps_method_query_and_headers_without_secrets_and_the_beginning_of_the_body() {
    let api = Api::start().await;
    let body = "x".repeat(64 * 1024 + 1);
    let request = Request::post("/system.ashx?f=lp&id=%20178")
        .header("authorization", "Basic hush")
        .header("cookie", "session=hush")
        .header("x-api-key", "hush")
        .header("x-auth-token", "hush")
        .header("x-plain", "seen")
        .body(Body::from(body.clone()));
    assert_eq!(send(&api, request.expect("a request")).await.0, 200);
    api.clock.advance(std::time::Duration::from_millis(1));
    let request = Request::get("/system.ashx?f=lp").body(Body::empty()).expect("a request");
    assert_eq!(send(&api, request).await.0, 200);
    let page = api.get("/v1/sink/log?limit=1").await;
    assert_eq!(page["data"][0]["method"], "GET");
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let page = api.get(&format!("/v1/sink/log?limit=1&cursor={cursor}")).await;
    assert_eq!(page["next_cursor"], Value::Null);
    let logged = &page["data"][0];
    assert_eq!((&logged["method"], &logged["query"]), (&json!("POST"), &json!("f=lp&id=%20178")));
    assert_eq!(logged["body"], body[1..]);
    assert_eq!(logged["truncated"], true);
    assert_eq!(logged["received_at"], "2026-01-02T03:04:05.678Z");
    assert!(!logged.to_string().contains("hush"), "{logged}");
    let headers = logged["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!({ "name": "authorization", "value": "***" })));
    assert!(headers.contains(&json!({ "name": "x-plain", "value": "seen" })));
}

#[tokio::test]
async fn what_is_neither_log_nor_echo_is_a_problem() {
    let api = Api::start().await;
    for (method, uri, body, expected) in [
        ("GET", "/system.ashx", 0, 404),
        ("GET", "/system.ashx?f=", 0, 404),
        ("POST", "/system.ashx?f=LP", 0, 404),
        ("POST", "/system.ashx?f=xx&f=lp", 0, 404),
        ("GET", "/system.ashx/?f=lp", 0, 404),
        ("PUT", LOG, 0, 405),
        ("DELETE", LOG, 0, 405),
        ("POST", LOG, 1024 * 1024 + 1, 413),
        ("POST", "/system.ashx?f=ep", 1024 * 1024 + 1, 413),
    ] {
        let request = Request::builder().method(method).uri(uri).body(Body::from(vec![b'x'; body]));
        assert_eq!(api.send(request.expect("a request")).await.status, expected, "{method} {uri}");
    }
    assert_eq!(api.get("/v1/sink/log").await["data"], json!([]));
}

#[tokio::test]
async fn flood_of_nobody_known_is_bounded_and_keeps_no_callback_out() {
    let api = Api::start().await;
    let of_acme = callback(&api, Some("acme")).await;
    let mut statuses = Vec::new();
    for _ in 0..50 {
        let request = Request::post(LOG).body(Body::from("flood")).expect("a request");
        statuses.push(send(&api, request).await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20, "within one second");
    assert_eq!(statuses.last(), Some(&429));
    let signed = signed(&of_acme, api.clock.now(), "EVENT_GUID=1");
    assert_eq!(send(&api, signed).await.0, 200);
    api.clock.advance(std::time::Duration::from_secs(1));
    let request = Request::post(LOG).body(Body::from("later")).expect("a request");
    assert_eq!(send(&api, request).await.0, 200);
    assert_eq!(api.get("/v1/sink/log?limit=200").await["data"].as_array().map(Vec::len), Some(22));
}

#[tokio::test]
async fn flood_that_names_callbacks_is_not_looked_up_and_keeps_none_out_that_is_known() {
    let api = Api::start().await;
    let acme = api.account_key("acme").await;
    let (known, new) = (callback(&api, Some("acme")).await, callback(&api, Some("acme")).await);
    let status = async |request| send(&api, request).await.0;
    let now = api.clock.now();
    assert_eq!(status(signed(&known, now, "known")).await, 200);
    api.clock.advance(std::time::Duration::from_secs(1));

    let now = api.clock.now();
    for number in 0..25_u8 {
        let nobody = Callback { id: CallbackId::from_parts(now, [number; 10]), ..new.clone() };
        let expected = if number < 20 { 200 } else { 429 };
        assert_eq!(status(signed(&nobody, now, "flood")).await, expected, "{number}");
    }
    assert_eq!(status(signed(&new, now, "new")).await, 429, "it would have to be looked up");
    // However often: it is in memory, or looked up once after a change.
    for _ in 0..25 {
        assert_eq!(status(signed(&known, now, "known")).await, 200);
    }
    let other = callback(&api, None).await;
    assert_eq!(status(signed(&known, now, "known")).await, 200);

    api.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(status(signed(&new, now, "new")).await, 200);
    assert_eq!(status(signed(&other, now, "of an instance callback")).await, 200);
    assert_eq!(log(&api, &acme).await.len(), 28);
    // What is remembered is as it is now: with another secret its signature is another.
    let rotated = Callback { signing_secret: other.signing_secret.clone(), ..new.clone() };
    assert!(api.store.update_callback(&rotated, new.updated_at).await.expect("written"));
    assert_eq!(status(signed(&new, now, "forged")).await, 200);
    assert_eq!(status(signed(&rotated, now, "rotated")).await, 200);
    assert_eq!(log(&api, &acme).await.len(), 29);
}

#[tokio::test]
async fn secret_before_vouches_for_its_callback_until_it_ends() {
    let api = Api::start().await;
    let acme = api.account_key("acme").await;
    let before = callback(&api, Some("acme")).await;
    let rotate = format!("/v1/callbacks/{}/secret/rotate", before.id);
    let answer = api.call("POST", &rotate, Some(json!({ "grace_seconds": 60 }))).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let until = answer.json["previous_until"].as_str().expect("a time");
    let until: Timestamp = until.parse().expect("a time");
    let last = until - std::time::Duration::from_millis(1);
    for (at, logged) in [(api.clock.now(), 1), (last, 2), (until, 2)] {
        api.clock.advance_to(at);
        assert_eq!(send(&api, signed(&before, at, "by the secret before")).await.0, 200);
        assert_eq!(log(&api, &acme).await.len(), logged, "{at}");
    }
    let now = api.stored(&api.get(&format!("/v1/callbacks/{}", before.id)).await).await;
    assert_eq!(send(&api, signed(&now, until, "by the new one")).await.0, 200);
    assert_eq!(log(&api, &acme).await.len(), 3);
}
