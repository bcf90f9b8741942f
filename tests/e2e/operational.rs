//! What Ringback says of itself, as events.

use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use crate::support::{Ringback, SOON, callback_once, event, eventually, text, with};

fn listener(url: &str, events: &[&str]) -> Value {
    with(callback_once(url), json!({"events": events, "format": "json"}))
}

#[tokio::test]
async fn those_who_ask_for_it_hear_what_becomes_of_a_callback() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/gone", Behaviour::status(410));
    let of_acme = |value| with(value, json!({"account": "acme"}));
    let api = &ringback.api;
    let gone = api.create_callback(&of_acme(callback_once(&receiver.url("/gone")))).await;
    let named = ["ringback.delivery.exhausted", "ringback.callback.disabled"];
    api.create_callback(&of_acme(listener(&receiver.url("/named"), &named))).await;
    api.create_callback(&listener(&receiver.url("/instance"), &["ringback.*"])).await;
    api.create_callback(&listener(&receiver.url("/all"), &["*", "r*"])).await;
    let other = with(listener(&receiver.url("/other"), &["ringback.*"]), json!({"account": "b"}));
    api.create_callback(&other).await;

    let id = api.send(&event("COMMENT_CREATED")).await;
    // The event itself twice, and two happenings to two listeners.
    receiver.wait_for_ended(6, SOON).await;
    let find = async |name: &str| {
        let path = format!("/v1/events?account=acme&name={name}");
        eventually(name, SOON, async || api.list(&path).await.pop()).await
    };
    let exhausted = find("ringback.delivery.exhausted").await;
    assert_eq!(exhausted["variables"]["event"], id);
    assert_eq!(exhausted["variables"]["callback"], gone);
    assert_eq!(exhausted["variables"]["status"], 410);
    let disabled = find("ringback.callback.disabled").await;
    assert_eq!(disabled["variables"]["callback"], gone);
    assert_eq!(disabled["variables"]["reason"], "gone");
    assert_eq!(receiver.requests_to("/named").len(), 2);
    assert_eq!(receiver.requests_to("/instance").len(), 2);
    assert_eq!(receiver.requests_to("/all").len(), 1);
    assert!(receiver.requests_to("/other").is_empty());
}

#[tokio::test]
async fn owner_who_disables_a_callback_is_heard_by_instance_callbacks_alone_if_it_is_one() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let api = &ringback.api;
    let watched = api.create_callback(&callback_once(&receiver.url("/watched"))).await;
    api.create_callback(&listener(&receiver.url("/instance"), &["ringback.callback.*"])).await;
    let path = format!("/v1/callbacks/{watched}");
    // Once, however often it is said.
    for _ in 0..2 {
        api.patch(&path, &json!({"enabled": false})).await.expect(200);
    }
    receiver.wait_for_ended(1, SOON).await;
    let told = eventually("event in the history", SOON, async || {
        let told = api.list("/v1/events?account=_ringback").await;
        (!told.is_empty()).then_some(told)
    });
    let told = told.await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["variables"]["callback"], watched);
    assert_eq!(told[0]["variables"]["reason"], "by_owner");
    api.settled_delivery(&text(&told[0]["id"])).await;
}

#[tokio::test]
async fn names_and_account_of_its_own_are_nobody_elses() {
    let ringback = Ringback::start().await;
    let api = &ringback.api;
    let pointer = |problem: &Value| text(&problem["errors"][0]["pointer"]);
    let named = api.post("/v1/events", &event("ringback.test")).await.expect_problem(422);
    assert_eq!(pointer(&named), "/name");
    let reserved = json!({"account": "_ringback"});
    let accounted = with(event("A"), reserved.clone());
    let accounted = api.post("/v1/events", &accounted).await.expect_problem(422);
    assert_eq!(pointer(&accounted), "/account");
    let callback = with(callback_once("https://example.com/"), reserved.clone());
    let callback = api.post("/v1/callbacks", &callback).await.expect_problem(422);
    assert_eq!(pointer(&callback), "/account");
    let key = with(reserved, json!({"description": "test"}));
    let key = api.post("/v1/api-keys", &key).await.expect_problem(422);
    assert_eq!(pointer(&key), "/account");
}
