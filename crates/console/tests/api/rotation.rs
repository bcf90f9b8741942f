//! A callback's signing secret, replaced.

use std::time::Duration;

use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_testkit::builders::MADE_AT;
use serde_json::{Value, json};

use crate::harness::{Answer, Api};

async fn made(api: &Api) -> String {
    let made = api.made(json!({ "url": "https://example.com/" })).await;
    format!("/v1/callbacks/{}", made["id"].as_str().expect("an id"))
}

async fn rotate(api: &Api, path: &str, body: Option<Value>) -> Answer {
    api.call("POST", &format!("{path}/secret/rotate"), body).await
}

async fn rotated(api: &Api, path: &str, body: Option<Value>) -> (SigningSecret, Value) {
    let answer = rotate(api, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let secret = answer.json["secret"].as_str().expect("a secret");
    assert_eq!(api.get(&format!("{path}/secret")).await["secret"], secret, "it is the one now");
    (secret.parse().expect("a signing secret"), answer.json["previous_until"].clone())
}

#[tokio::test]
async fn secret_before_counts_for_a_day_and_the_one_before_that_ends() {
    let api = Api::start().await;
    let path = made(&api).await;
    let stored = async || api.stored(&api.get(&path).await).await;
    let first = stored().await.signing_secret;
    api.clock.advance(Duration::from_secs(60));
    let (second, until) = rotated(&api, &path, None).await;
    assert_ne!(first, second);
    let a_day_later = MADE_AT + Duration::from_secs(60 + 86_400);
    assert_eq!(until, a_day_later.to_string());
    let previous = Some(PreviousSecret { secret: first, until: a_day_later });
    assert_eq!(stored().await.previous_secret, previous);

    // Changes of other things keep both.
    for (method, body) in
        [("PUT", json!({ "url": "https://example.org/" })), ("PATCH", json!({ "events": ["A"] }))]
    {
        assert_eq!(api.call(method, &path, Some(body)).await.status, 200, "{method}");
    }
    assert_eq!(api.call("POST", &format!("{path}/pause"), None).await.status, 200);
    let kept = stored().await;
    assert_eq!((&kept.signing_secret, &kept.previous_secret), (&second, &previous));

    api.clock.advance(Duration::from_secs(60));
    let (third, until) = rotated(&api, &path, Some(json!({ "grace_seconds": 604_800 }))).await;
    let a_week_later = MADE_AT + Duration::from_secs(120 + 604_800);
    assert_eq!(until, a_week_later.to_string());
    let previous = Some(PreviousSecret { secret: second, until: a_week_later });
    assert_eq!(stored().await.previous_secret, previous);

    let (fourth, until) = rotated(&api, &path, Some(json!({ "grace_seconds": 0 }))).await;
    assert_ne!(third, fourth);
    assert_eq!((until, stored().await.previous_secret), (Value::Null, None));
}

#[tokio::test]
async fn rotation_that_is_refused_changes_nothing() {
    let api = Api::start().await;
    let path = made(&api).await;
    let before = api.get(&format!("{path}/secret")).await;
    for (body, pointer) in [
        (json!({ "grace_seconds": -1 }), "/grace_seconds"),
        (json!({ "grace_seconds": 604_801 }), "/grace_seconds"),
        (json!({ "grace_seconds": 1.5 }), "/grace_seconds"),
        (json!({ "grace_seconds": "60" }), "/grace_seconds"),
        (json!({ "grace": 60 }), "/grace"),
        (json!([60]), ""),
    ] {
        let answer = rotate(&api, &path, Some(body.clone())).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{body}");
    }
    assert_eq!(api.get(&format!("{path}/secret")).await, before);
    let nobody = "/v1/callbacks/0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
    assert_eq!(rotate(&api, nobody, None).await.status, 404);
}
