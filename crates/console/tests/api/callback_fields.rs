//! Every field of a callback: what it takes, what it refuses, what it becomes.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::harness::{ADMIN, Api};

const URL: &str = "https://example.com/{PROJECT_ID}";

/// Settings with one member, named by a pointer, set to a value.
fn with(pointer: &str, value: Value) -> Value {
    let mut settings = json!({ "url": URL });
    let mut place = &mut settings;
    for part in pointer.trim_start_matches('/').split('/') {
        if place.is_null() {
            *place = json!({});
        }
        place = &mut place[part];
    }
    *place = value;
    settings
}

#[tokio::test]
async fn callback_that_says_only_its_url_has_the_defaults_of_the_contract() {
    let api = Api::start().await;
    let mut made = api.made(json!({ "url": URL })).await;
    let members = made.as_object_mut().expect("an object");
    let id = members.remove("id").expect("an id");
    assert!(members.remove("created_at").is_some_and(|at| at == "2026-01-02T03:04:05.678Z"));
    assert!(members.remove("updated_at").is_some_and(|at| at == "2026-01-02T03:04:05.678Z"));
    let warnings = members.remove("warnings").expect("warnings");
    assert!(warnings[0].as_str().expect("a text").contains("may overwhelm"), "{warnings}");
    let expected = json!({
        "description": "", "url": URL, "method": "POST", "format": "form",
        "authorization": { "type": "none" }, "headers": {}, "enabled": true, "paused": false,
        "account": null, "events": ["*"],
        "retry": { "enabled": true, "delay_seconds": 300, "max_retries": 3, "backoff": "fixed" },
        "timeout_ms": 15000, "rate_limit": null, "max_in_flight": 32,
        "circuit": { "enabled": true, "failures": 20, "open_seconds": 30 }, "disabled_reason": null,
    });
    assert_eq!(made, expected);
    let shown = api.get(&format!("/v1/callbacks/{}", id.as_str().expect("a text"))).await;
    assert!(shown.get("warnings").is_none());
    assert_eq!(shown["retry"], expected["retry"]);
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_set() {
    let api = Api::start().await;
    let exponential = json!({
        "enabled": false, "delay_seconds": 0.5, "max_retries": 100, "backoff": "exponential", "factor": 1.5,
        "max_delay_seconds": 604_800,
    });
    for (pointer, value) in [
        ("/description", json!("Ä description, ".repeat(60))),
        ("/url", json!("http://example.com:8080/a?b={B}")),
        ("/method", json!("GET")),
        ("/format", json!("json")),
        ("/authorization", json!({ "type": "none" })),
        ("/headers", json!({ "X-A": "1", "X-B": "two words" })),
        ("/enabled", json!(false)),
        ("/account", json!("acme")),
        ("/events", json!(["COMMENT_CREATED", "PACKAGE_*"])),
        ("/retry", exponential),
        ("/retry/delay_seconds", json!(0)),
        ("/retry/delay_seconds", json!(0.001)),
        ("/retry/delay_seconds", json!(604_800)),
        ("/retry/max_retries", json!(0)),
        ("/timeout_ms", json!(100)),
        ("/timeout_ms", json!(120_000)),
        ("/rate_limit", json!(null)),
        ("/rate_limit", json!({ "per_second": 1, "burst": 1 })),
        ("/rate_limit", json!({ "per_second": 10_000, "burst": 10_000 })),
        ("/circuit", json!({ "enabled": false, "failures": 1, "open_seconds": 1 })),
        ("/circuit", json!({ "enabled": true, "failures": 1_000, "open_seconds": 3_600 })),
        ("/circuit/open_seconds", json!(1.5)),
        ("/paused", json!(false)),
        ("/max_in_flight", json!(1)),
        ("/max_in_flight", json!(1_000)),
    ] {
        let made = api.made(with(pointer, value.clone())).await;
        assert_eq!(made.pointer(pointer), Some(&value), "{pointer}");
        let id = made["id"].as_str().expect("an id");
        let shown = api.get(&format!("/v1/callbacks/{id}")).await;
        assert_eq!(shown.pointer(pointer), Some(&value), "{pointer}");
    }
}

#[tokio::test]
async fn exponential_backoff_doubles_up_to_a_week_unless_said() {
    let api = Api::start().await;
    let made = api.made(with("/retry/backoff", json!("exponential"))).await;
    assert_eq!(made["retry"]["factor"], 2.0);
    assert_eq!(made["retry"]["max_delay_seconds"], 604_800);
}

#[tokio::test]
async fn burst_is_a_tenth_of_the_rate_unless_said() {
    let api = Api::start().await;
    for (per_second, burst) in [(1, 1), (10, 1), (11, 2), (50, 5), (10_000, 1_000)] {
        let made = api.made(with("/rate_limit", json!({ "per_second": per_second }))).await;
        assert_eq!(made["rate_limit"], json!({ "per_second": per_second, "burst": burst }));
        let stored = api.stored(&made).await.rate_limit.expect("a limit");
        assert_eq!((stored.per_second.get(), stored.burst.get()), (per_second, burst));
    }
}

#[tokio::test]
async fn rate_limit_refuses_what_is_no_rate() {
    let api = Api::start().await;
    for (limit, pointers) in [
        (json!({}), vec!["/rate_limit/per_second"]),
        (json!({ "burst": 1 }), vec!["/rate_limit/per_second"]),
        (json!({ "per_second": 1, "burst": 0 }), vec!["/rate_limit/burst"]),
        (json!({ "per_second": 1, "burst": 10_001 }), vec!["/rate_limit/burst"]),
        (
            json!({ "per_second": 0, "burst": 0 }),
            vec!["/rate_limit/per_second", "/rate_limit/burst"],
        ),
    ] {
        let answer = api.call("POST", "/v1/callbacks", Some(with("/rate_limit", limit))).await;
        assert_eq!((answer.status, answer.pointers()), (422, pointers), "{}", answer.json);
    }
}

#[tokio::test]
async fn circuit_is_kept_as_it_was_set() {
    let api = Api::start().await;
    let settings = json!({ "failures": 5, "open_seconds": 1.5 });
    let made = api.made(with("/circuit", settings)).await;
    let stored = api.stored(&made).await.circuit;
    assert_eq!((stored.enabled, stored.failures.get()), (true, 5));
    assert_eq!(stored.open_for, std::time::Duration::from_millis(1_500));
}

#[tokio::test]
async fn secrets_are_kept_and_never_shown() {
    let api = Api::start().await;
    for (given, sent) in [
        (
            json!({ "type": "basic", "username": "Aladdin", "password": "open sesame" }),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (json!({ "type": "bearer", "token": "hush-hush" }), "Bearer hush-hush"),
        (json!({ "type": "header", "value": "Custom hush-hush" }), "Custom hush-hush"),
        (json!({ "type": "callback_key", "key": "hush-hush" }), "Basic hush-hush"),
    ] {
        let made = api.made(with("/authorization", given.clone())).await;
        let stored = api.stored(&made).await;
        let header = stored.authorization.header_value().expect("a header");
        assert_eq!(header.reveal(), sent);
        assert_eq!(made["authorization"]["type"], given["type"]);
        let shown = made.to_string();
        assert!(!shown.contains("sesame") && !shown.contains("hush"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
}

#[tokio::test]
async fn every_field_refuses_what_it_should_and_says_where() {
    let api = Api::start().await;
    let bad = [
        ("/description", json!("x".repeat(1_001))),
        ("/description", json!(1)),
        ("/url", json!("")),
        ("/url", json!("ftp://example.com/")),
        ("/url", json!("https://{HOST}/")),
        ("/url", json!("http://[::ffff:127.0.0.1]/")),
        ("/url", json!("http://127.0.0.1:8080/{A}")),
        ("/url", json!("http://2130706433/")),
        ("/url", json!(null)),
        ("/method", json!("PUT")),
        ("/format", json!("xml")),
        ("/authorization/type", json!("digest")),
        ("/headers/X-A", json!("1\r\nHost: evil")),
        ("/headers/Host", json!("example.com")),
        ("/headers/X-A", json!(1)),
        ("/enabled", json!("yes")),
        ("/account", json!("a b")),
        ("/account", json!("a".repeat(65))),
        ("/events", json!([])),
        ("/events", json!("*")),
        ("/events/1", json!(null)),
        ("/retry/enabled", json!(1)),
        ("/retry/delay_seconds", json!(-1)),
        ("/retry/delay_seconds", json!(604_801)),
        ("/retry/delay_seconds", json!(0.0004)),
        ("/retry/delay_seconds", json!("300")),
        ("/retry/max_retries", json!(-1)),
        ("/retry/max_retries", json!(101)),
        ("/retry/max_retries", json!(1.5)),
        ("/retry/backoff", json!("linear")),
        ("/retry/factor", json!(2)),
        ("/retry/max_delay_seconds", json!(600)),
        ("/retry/jitter", json!(1)),
        ("/timeout_ms", json!(99)),
        ("/timeout_ms", json!(120_001)),
        ("/max_in_flight", json!(0)),
        ("/max_in_flight", json!(1_001)),
        ("/rate_limit", json!(50)),
        ("/rate_limit/per_second", json!(null)),
        ("/rate_limit/per_second", json!(0)),
        ("/rate_limit/per_second", json!(10_001)),
        ("/rate_limit/per_second", json!(0.5)),
        ("/rate_limit/per_minute", json!(60)),
        ("/circuit", json!(null)),
        ("/circuit/enabled", json!("no")),
        ("/circuit/failures", json!(0)),
        ("/circuit/failures", json!(1_001)),
        ("/circuit/open_seconds", json!(0.999)),
        ("/circuit/open_seconds", json!(3_601)),
        ("/circuit/window", json!(1)),
        ("/paused", json!(true)),
        ("/paused", json!(null)),
        ("/unknown", json!(1)),
    ];
    for (pointer, value) in bad {
        let settings = match pointer {
            "/events/1" => with("/events", json!(["GOOD", "not good"])),
            _ => with(pointer, value.clone()),
        };
        let answer = api.call("POST", "/v1/callbacks", Some(settings)).await;
        assert_eq!(answer.status, 422, "{pointer} {value}: {}", answer.json);
        assert_eq!(answer.pointers(), [pointer], "{value}: {}", answer.json);
        assert!(!answer.detail_at(pointer).is_empty(), "{}", answer.json);
    }
    assert_eq!(api.get("/v1/callbacks").await["data"], json!([]), "nothing was saved");
}

#[tokio::test]
async fn exponential_backoff_refuses_what_can_not_grow() {
    let api = Api::start().await;
    for (member, value) in
        [("factor", json!(0.9)), ("factor", json!(11)), ("max_delay_seconds", json!(299))]
    {
        let mut settings = with("/retry/backoff", json!("exponential"));
        settings["retry"][member] = value;
        let answer = api.call("POST", "/v1/callbacks", Some(settings)).await;
        assert_eq!(answer.pointers(), [format!("/retry/{member}")], "{}", answer.json);
    }
}

#[tokio::test]
async fn authorization_takes_the_members_of_its_type_and_no_others() {
    let api = Api::start().await;
    let hush = "hush-hush\u{7f}";
    for (authorization, pointers) in [
        (json!({}), vec!["/authorization/type"]),
        (json!({ "type": "basic" }), vec!["/authorization/username", "/authorization/password"]),
        (
            json!({ "type": "basic", "username": "a:b", "password": hush }),
            vec!["/authorization/username", "/authorization/password"],
        ),
        (json!({ "type": "bearer", "token": hush }), vec!["/authorization/token"]),
        (json!({ "type": "bearer", "token": "two words" }), vec!["/authorization/token"]),
        (json!({ "type": "bearer", "token": ["hush-hush"] }), vec!["/authorization/token"]),
        (json!({ "type": "header", "value": "a\nb" }), vec!["/authorization/value"]),
        (json!({ "type": "callback_key", "key": "" }), vec!["/authorization/key"]),
        (json!({ "type": "none", "token": "t" }), vec!["/authorization/token"]),
        (
            json!({ "type": "bearer", "token": "t", "username": "u" }),
            vec!["/authorization/username"],
        ),
        (json!({ "type": "bearer", "token": "***" }), vec!["/authorization/token"]),
        (json!("hush-hush"), vec!["/authorization"]),
    ] {
        let settings = with("/authorization", authorization.clone());
        let answer = api.call("POST", "/v1/callbacks", Some(settings)).await;
        assert_eq!(answer.status, 422, "{authorization}: {}", answer.json);
        assert_eq!(answer.pointers(), pointers, "{authorization}: {}", answer.json);
        assert!(
            !answer.json.to_string().contains("hush-hush"),
            "a secret in an error: {}",
            answer.json
        );
    }
}

#[tokio::test]
async fn what_is_yet_to_come_is_refused_and_said_so() {
    let api = Api::start().await;
    for (pointer, value) in [("/authorization/type", json!("oauth2"))] {
        let answer = api.call("POST", "/v1/callbacks", Some(with(pointer, value))).await;
        assert_eq!(answer.status, 422);
        assert!(answer.detail_at(pointer).contains("not available yet"), "{}", answer.json);
    }
}

#[tokio::test]
async fn get_has_no_body_and_so_no_json() {
    let api = Api::start().await;
    let get = |format: &str| json!({ "url": URL, "method": "GET", "format": format });
    for format in ["json", "cloudevents", "conga-sign"] {
        let refused = api.call("POST", "/v1/callbacks", Some(get(format))).await;
        assert_eq!(refused.pointers(), ["/format"], "{}", refused.json);
    }
    api.made(get("form")).await;
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let api = Api::start().await;
    let settings = json!({
        "url": "https://{HOST}/", "method": "PUT", "headers": { "X A": "1", "X-B": "\n" }, "timeout_ms": 1,
        "events": ["a b", "GOOD", "c d"], "retry": { "max_retries": -1, "delay_seconds": -1 },
    });
    let answer = api.call("POST", "/v1/callbacks", Some(settings)).await;
    let expected = [
        "/url",
        "/method",
        "/headers/X A",
        "/headers/X-B",
        "/events/0",
        "/events/2",
        "/retry/delay_seconds",
        "/retry/max_retries",
        "/timeout_ms",
    ];
    assert_eq!(answer.pointers(), expected, "{}", answer.json);
}

#[tokio::test]
async fn body_that_can_not_be_read_is_told_apart_from_one_that_is_not_taken() {
    let api = Api::start().await;
    let post = async |media_type: &str, body: String| {
        let request = Request::builder()
            .method("POST")
            .uri("/v1/callbacks")
            .header(header::AUTHORIZATION, format!("bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, media_type);
        api.send(request.body(Body::from(body)).expect("a valid request")).await
    };
    let malformed = post("application/json", "{\"url\":".to_owned()).await;
    assert_eq!(malformed.status, 400);
    assert!(
        malformed.json["detail"].as_str().expect("a text").contains("line 1 column 7"),
        "{}",
        malformed.json
    );
    assert_eq!(post("text/plain", "{}".to_owned()).await.status, 415);
    assert_eq!(post("application/json", " ".repeat(300 * 1024)).await.status, 413);
    assert_eq!(
        post("application/json", r#"["", "https://example.com/"]"#.to_owned()).await.status,
        422
    );
    let missing = post("application/json", "{}".to_owned()).await;
    assert_eq!((missing.status, missing.detail_at("/url")), (422, "is required"));
}
