//! The page of one callback.

use std::time::Duration;

use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_core::{Callback, Outcome};
use ringback_store::Store as _;
use ringback_testkit::builders;
use serde_json::json;

use super::harness::{FAILS, Visitor, WORKS, between, traffic_is_written, tried};
use crate::harness::Api;

fn pending(in_seconds: u64, waits: WaitReason) -> DeliveryState {
    let next_attempt_at = builders::MADE_AT + Duration::from_secs(in_seconds);
    DeliveryState::Pending { next_attempt_at, waits: Some(waits) }
}

async fn callback(api: &Api, account: Option<&str>) -> Callback {
    let settings = json!({
        "description": "The shop",
        "url": "https://example.com/hook/{PROJECT_ID}",
        "format": "json",
        "authorization": { "type": "basic", "username": "shop", "password": "hush-hush" },
        "headers": { "X-Team": "blue" },
        "account": account,
        "events": ["COMMENT_CREATED", "PACKAGE_*"],
        "retry": { "delay_seconds": 90.5, "max_retries": 7, "backoff": "exponential", "factor": 3, "max_delay_seconds": 3700 },
        "timeout_ms": 2_500,
        "rate_limit": { "per_second": 11, "burst": 4 },
        "max_in_flight": 9,
        "circuit": { "failures": 13, "open_seconds": 45 },
    });
    let made = api.made(settings).await;
    api.stored(&made).await
}

async fn attempt(api: &Api, name: &str, to: &Callback, state: DeliveryState, outcome: Outcome) {
    let records = tried(&builders::event(name), to, state, outcome);
    api.store.record(records.to_vec()).await.expect("recorded");
}

#[tokio::test]
async fn callback_shows_its_health_and_what_is_ahead() {
    let api = Api::start().await;
    let callback = callback(&api, Some("acme")).await;
    let path = format!("/console/callbacks/{}", callback.id);
    attempt(&api, "DELIVERED_ONE", &callback, DeliveryState::Delivered, WORKS).await;
    attempt(&api, "SPENT", &callback, DeliveryState::Exhausted, FAILS).await;
    attempt(&api, "LATER", &callback, pending(600, WaitReason::Retry), FAILS).await;
    attempt(&api, "SOONER", &callback, pending(300, WaitReason::RateLimit), FAILS).await;
    traffic_is_written(&api, 4).await;

    let visitor = Visitor::of_account(&api, "acme").await;
    let page = visitor.sees(&path).await;
    assert!(page.contains("<h1>The shop</h1>"), "{page}");
    assert!(page.contains("25.0 %<small>3 of 4 failed"), "{page}");
    assert!(page.contains("42 ms<small>on average; the longest 42 ms"), "{page}");
    assert!(page.contains("Attempts, last 24 hours: 1 succeeded, 3 failed."), "{page}");
    assert!(page.contains("Response time, last 24 hours: 42 ms on the whole."), "{page}");
    let waiting =
        format!("/console/deliveries?callback={}&amp;status=pending\">2</a>", callback.id);
    assert!(page.contains(&waiting), "{page}");
    let exhausted = waiting.replace("pending\">2", "exhausted\">1");
    assert!(page.contains(&exhausted), "by no time that is another one: {page}");

    let ahead = between(&page, "id=\"ahead\"", "</section>");
    let (sooner, later) = (ahead.find("SOONER"), ahead.find("LATER"));
    assert!(sooner.is_some() && sooner < later, "the next attempt first: {ahead}");
    assert!(
        ahead.contains("rate limited") && ahead.contains("2026-01-02T03:09:05.678Z"),
        "{ahead}"
    );
    assert!(ahead.contains("data-label=\"Attempt\">2<"), "{ahead}");
    assert!(!ahead.contains("SPENT"), "{ahead}");
    let last = between(&page, "id=\"last\"", "</section>");
    for name in ["DELIVERED_ONE", "SPENT", "LATER", "SOONER"] {
        assert!(last.contains(name), "{name}: {last}");
    }
    let page = visitor.sees(&format!("{path}?span=1h")).await;
    assert!(page.contains("Attempts, last hour: 1 succeeded, 3 failed."), "{page}");
    assert_eq!(visitor.get(&format!("{path}?span=x")).await.status, 400);
}

#[tokio::test]
async fn callback_shows_every_setting_and_no_secret() {
    let api = Api::start().await;
    let callback = callback(&api, None).await;
    let rotated = format!("/v1/callbacks/{}/secret/rotate", callback.id);
    assert_eq!(api.call("POST", &rotated, None).await.status, 200);
    let page = Visitor::administrator(&api).await;
    let page = page.sees(&format!("/console/callbacks/{}", callback.id)).await;
    let settings = between(&page, "id=\"settings-title\"", "</section>");
    let id = callback.id.to_string();
    for shown in [
        "The shop",
        &id,
        "https://example.com/hook/{PROJECT_ID}",
        "<code>json</code>",
        "<code>shop</code>, password <code>***</code>",
        "X-Team: blue",
        "all accounts",
        "COMMENT_CREATED",
        "PACKAGE_*",
        "at most 7, within 90.5 s",
        "each time 3 times as long, up to 3700 s (61 min)",
        "2.5 s for an attempt",
        "11 requests a second, 4 at once",
        "at most 9 at once",
        "after 13 failures in a row, for 45 s",
        "signs as well until",
        "2026-01-02T03:04:05.678Z",
    ] {
        assert!(settings.contains(shown), "{shown}: {settings}");
    }
    assert!(!page.contains("hush-hush") && !page.contains("whsec_"), "{page}");
    assert!(!page.contains(callback.signing_secret.reveal().reveal()), "{page}");
}

#[tokio::test]
async fn callback_that_takes_nothing_says_why_and_what_to_do() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let [gone, paused, open] = [(); 3].map(|()| callback(&api, Some("acme")));
    let (gone, paused, open) = (gone.await, paused.await, open.await);
    let state = async |callback: &Callback| {
        let page = visitor.sees(&format!("/console/callbacks/{}", callback.id)).await;
        between(&page, "id=\"state\"", "id=\"tiles\"").to_owned()
    };
    assert!(!state(&open).await.contains("banner"), "all is well");

    let store = &api.store;
    store.disable_gone_callback(gone.id, gone.updated_at, builders::MADE_AT).await.expect("done");
    let shown = state(&gone).await;
    assert!(shown.contains("410 Gone") && shown.contains("change the URL"), "{shown}");
    let cancelled = format!("/console/failed?callback={}&amp;status=cancelled\"", gone.id);
    assert!(shown.contains(&cancelled), "{shown}");
    let page = visitor.sees(&cancelled[..cancelled.len() - 1].replace("&amp;", "&")).await;
    assert!(page.contains("Nothing matches"), "{page}");
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    attempt(&api, "CUT_OFF", &gone, cancelled, FAILS).await;
    let list = between(&shown, "href=\"", "\"").replace("&amp;", "&");
    assert!(visitor.sees(&list).await.contains(">CUT_OFF</a>"), "{list}");

    attempt(&api, "KEPT", &paused, pending(0, WaitReason::Paused), FAILS).await;
    let path = format!("/v1/callbacks/{}/pause", paused.id);
    assert_eq!(api.call("POST", &path, None).await.status, 200);
    let shown = state(&paused).await;
    assert!(shown.contains("paused: </strong>1 delivery is kept"), "{shown}");

    attempt(&api, "WAITS", &open, pending(30, WaitReason::CircuitOpen), FAILS).await;
    assert!(state(&open).await.contains("Its circuit is open"));
}

#[tokio::test]
async fn callback_of_another_account_or_of_all_is_not_there() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let (own, others, instance) = (
        callback(&api, Some("acme")).await,
        callback(&api, Some("other")).await,
        callback(&api, None).await,
    );
    visitor.sees(&format!("/console/callbacks/{}", own.id)).await;
    for id in [others.id, instance.id, builders::callback_id()] {
        let page = visitor.get(&format!("/console/callbacks/{id}")).await;
        assert_eq!(page.status, 404, "{}", page.html);
        assert!(!page.html.contains("The shop"), "{}", page.html);
    }
    let stranger = Visitor::stranger(&api);
    assert_eq!(stranger.get(&format!("/console/callbacks/{}", own.id)).await.status, 303);
}
