//! Links that let somebody in without an API key: made by the API, used once in a browser.

use std::time::Duration;

use ringback_api::{Keys, with_fallbacks};
use ringback_console::Console;
use ringback_core::address::AddressPolicy;
use ringback_core::secret::Secret;
use ringback_store::KeyHash;
use serde_json::{Value, json};

use super::harness::Visitor;
use crate::harness::{ADMIN, Api};

/// The path of a link that the administrator makes.
async fn link(api: &Api, wanted: Value) -> String {
    let made = api.call("POST", "/v1/console-links", Some(wanted)).await;
    assert_eq!(made.status, 201, "{}", made.json);
    assert_eq!(made.headers["cache-control"], "no-store");
    made.json["path"].as_str().expect("a path").to_owned()
}

#[tokio::test]
async fn link_opens_its_account_alone_and_once_and_looking_at_it_uses_nothing_up() {
    let api = Api::start().await;
    api.made(
        json!({ "url": "https://example.com/", "account": "other", "description": "Other's" }),
    )
    .await;
    let path = link(&api, json!({ "account": "acme" })).await;
    let mut visitor = Visitor::stranger(&api);
    for _ in 0..2 {
        assert!(visitor.sees(&path).await.contains("account <strong>acme</strong>"));
    }
    let opened = visitor.send(&path, &[]).await;
    assert_eq!(opened.status, 303, "{}", opened.html);
    visitor.keep(&opened);
    assert!(visitor.sees("/console/settings").await.contains("account <strong>acme</strong>"));
    assert!(!visitor.sees("/console/callbacks").await.contains("Other"));

    let again = visitor.get(&path).await.html;
    assert!(again.contains("href=\"/console\">Open the console</a>"), "{again}");
    let stranger = Visitor::stranger(&api).get(&path).await.html;
    assert!(!stranger.contains("Open the console"), "{stranger}");
    for again in [visitor.get(&path).await, Visitor::stranger(&api).send(&path, &[]).await] {
        assert_eq!(again.status, 404, "{}", again.html);
        assert!(again.headers.get("set-cookie").is_none());
    }
}

#[tokio::test]
async fn of_two_who_come_at_once_one_gets_in() {
    let api = Api::start().await;
    let path = link(&api, json!({})).await;
    let (one, other) = (Visitor::stranger(&api), Visitor::stranger(&api));
    let (one, other) = tokio::join!(one.send(&path, &[]), other.send(&path, &[]));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404]);
}

#[tokio::test]
async fn link_is_good_until_its_time() {
    let api = Api::start().await;
    let path = link(&api, json!({ "expires_in_seconds": 60 })).await;
    let visitor = Visitor::stranger(&api);
    api.clock.advance(Duration::from_millis(59_999));
    visitor.sees(&path).await;
    api.clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&path).await.status, 404);
    assert_eq!(visitor.send(&path, &[]).await.status, 404);
}

#[tokio::test]
async fn link_and_who_came_by_it_are_gone_with_the_key_that_made_it() {
    let api = Api::start().await;
    let key = api.call("POST", "/v1/api-keys", Some(json!({ "account": "acme" }))).await.json;
    let made_by = key["key"].as_str().expect("a key");
    let mut paths = Vec::new();
    for _ in 0..2 {
        let made = api.call_as(made_by, "POST", "/v1/console-links", Some(json!({}))).await;
        assert_eq!(made.status, 201, "{}", made.json);
        paths.push(made.json["path"].as_str().expect("a path").to_owned());
    }
    let mut visitor = Visitor::stranger(&api);
    let opened = visitor.send(&paths[0], &[]).await;
    visitor.keep(&opened);
    assert!(visitor.sees("/console/settings").await.contains("acme"));

    let key = format!("/v1/api-keys/{}", key["id"].as_str().expect("an id"));
    assert_eq!(api.call("DELETE", &key, None).await.status, 204);
    assert_eq!(visitor.get("/console/settings").await.status, 303, "signed out");
    let late = Visitor::stranger(&api);
    assert_eq!(late.get(&paths[1]).await.status, 404);
    assert_eq!(late.send(&paths[1], &[]).await.status, 404);
}

#[tokio::test]
async fn account_key_makes_links_for_its_own_account_alone() {
    let api = Api::start().await;
    let acme = api.account_key("acme").await;
    let make = async |wanted| api.call_as(&acme, "POST", "/v1/console-links", Some(wanted)).await;
    assert_eq!(make(json!({ "account": "other" })).await.status, 403);
    for own in [json!({}), json!({ "account": null }), json!({ "account": "acme" })] {
        let made = make(own).await;
        let path = made.json["path"].as_str().expect("a path").to_owned();
        assert!(Visitor::stranger(&api).sees(&path).await.contains("<strong>acme</strong>"));
    }
    let nobody = api.call_as("rbk_nobody", "POST", "/v1/console-links", Some(json!({}))).await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn link_that_is_not_well_asked_for_is_refused() {
    let api = Api::start().await;
    for (wanted, pointer) in [
        (json!({ "account": "a b" }), "/account"),
        (json!({ "account": "_ringback" }), "/account"),
        (json!({ "expires_in_seconds": 59 }), "/expires_in_seconds"),
        (json!({ "expires_in_seconds": 604_801 }), "/expires_in_seconds"),
        (json!({ "expires_in_seconds": -1 }), "/expires_in_seconds"),
        (json!({ "expires": 60 }), "/expires"),
    ] {
        let answer = api.call("POST", "/v1/console-links", Some(wanted)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{}", answer.json);
    }
    for taken in [60, 604_800] {
        link(&api, json!({ "expires_in_seconds": taken })).await;
    }
}

#[tokio::test]
async fn link_is_whole_where_the_instance_knows_its_address() {
    let mut api = Api::start().await;
    let made = api.call("POST", "/v1/console-links", Some(json!({}))).await.json;
    assert_eq!(made["url"], Value::Null);
    assert_eq!(made["expires_at"], "2026-01-02T04:04:05.678Z", "an hour from now");
    let own = "https://hooks.example.com".parse().expect("an address");
    let policy = AddressPolicy::default().reached_at(Some(own));
    let keys = Keys::new(api.store.clone(), Some(KeyHash::of(&Secret::new(ADMIN))));
    let (store, broker, clock) = (api.store.clone(), api.broker.clone(), api.clock.clone());
    let console = Console::new(store, broker, clock, policy, keys);
    api.router = with_fallbacks(ringback_console::router(console));
    let made = api.call("POST", "/v1/console-links", Some(json!({}))).await.json;
    let path = made["path"].as_str().expect("a path");
    assert_eq!(made["url"], format!("https://hooks.example.com{path}"));
}
