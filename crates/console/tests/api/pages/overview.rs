//! The overview.

use std::time::Duration;

use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{Callback, Outcome};
use ringback_store::Store as _;
use ringback_testkit::builders;
use serde_json::json;

use super::harness::{FAILS, Visitor, WORKS, between, of_account, traffic_is_written, tried};
use crate::harness::Api;

const RETRY: DeliveryState =
    DeliveryState::Pending { next_attempt_at: builders::MADE_AT, waits: Some(WaitReason::Retry) };

async fn callback(api: &Api, name: &str, account: Option<&str>) -> Callback {
    let settings =
        json!({ "url": "https://example.com/", "description": name, "account": account });
    let made = api.made(settings).await;
    api.stored(&made).await
}

/// Records one attempt of an event of this account.
async fn attempt(api: &Api, account: &str, to: &Callback, state: DeliveryState, outcome: Outcome) {
    let event = of_account(account, "COMMENT_CREATED");
    let records = tried(&event, to, state, outcome);
    api.store.record(records.to_vec()).await.expect("recorded");
}

/// What a tile says.
fn tile<'a>(page: &'a str, name: &str) -> &'a str {
    between(page, &format!("<dt>{name}"), "</div>")
}

#[tokio::test]
async fn first_visit_shows_how_to_begin() {
    let api = Api::start().await;
    // What is another account's is no beginning of one's own.
    let others = callback(&api, "others", Some("other")).await;
    attempt(&api, "other", &others, DeliveryState::Delivered, WORKS).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let page = visitor.sees("/console").await;
    assert!(page.contains("href=\"/console/callbacks/new\"") && page.contains("how to begin"));
    let command = between(&page, "<pre id=\"first-event\">", "</pre>");
    assert!(command.contains("http://localhost/v1/events"), "{command}");
    assert!(command.contains("&quot;account&quot;:&quot;acme&quot;"), "{command}");
    assert!(!page.contains("class=\"tiles\""), "there is nothing to count yet");
    assert!(page.contains("Send a test event") && page.contains("whoever runs this instance"));
    assert!(!page.contains("/console/settings/keys/new"), "an account makes no keys: {page}");

    // Events that go to somebody else's callback: they count, and there is still none of one's own.
    let instance = callback(&api, "all accounts", None).await;
    attempt(&api, "acme", &instance, RETRY, FAILS).await;
    let page = visitor.sees("/console").await;
    assert!(page.contains("has no callback of its own") && page.contains("class=\"tiles\""));
    assert!(tile(&page, "Exhausted").contains(">0</a><small>none<"), "{page}");
    assert!(!page.contains("all accounts"), "it is none of theirs: {page}");
}

#[tokio::test]
async fn administrator_is_led_to_a_key_first() {
    let api = Api::start().await;
    let page = Visitor::administrator(&api).await.sees("/console").await;
    assert!(page.contains("how to begin") && page.contains("/console/settings/keys/new"), "{page}");
}

#[tokio::test]
async fn overview_counts_and_shows_the_worst_endpoint_first_and_an_account_its_own_only() {
    let api = Api::start().await;
    let half = callback(&api, "fails by half", Some("acme")).await;
    let whole = callback(&api, "fails wholly", Some("acme")).await;
    let fine = callback(&api, "does well", Some("acme")).await;
    let others = callback(&api, "somebody else's", Some("other")).await;
    attempt(&api, "acme", &half, DeliveryState::Delivered, WORKS).await;
    attempt(&api, "acme", &half, RETRY, FAILS).await;
    attempt(&api, "acme", &whole, DeliveryState::Exhausted, FAILS).await;
    attempt(&api, "acme", &fine, DeliveryState::Delivered, WORKS).await;
    attempt(&api, "other", &others, DeliveryState::Exhausted, FAILS).await;
    traffic_is_written(&api, 5).await;

    let own = Visitor::of_account(&api, "acme").await;
    let page = own.sees("/console").await;
    assert!(tile(&page, "Deliveries settled").contains("<dd>3<small>2 delivered"), "{page}");
    assert!(tile(&page, "Success").contains("50.0 %<small>2 of 4 failed"), "{page}");
    assert!(tile(&page, "Waiting").contains(">1</a>"), "{page}");
    assert!(tile(&page, "Exhausted").contains(">1</a>"), "{page}");
    assert!(page.contains("Deliveries, last 24 hours: 2 delivered, 1 exhausted."), "{page}");
    let trouble = between(&page, "id=\"trouble\"", "</section>");
    let [whole_at, half_at] = ["fails wholly", "fails by half"].map(|name| trouble.find(name));
    assert!(whole_at.is_some() && whole_at < half_at, "the worst first: {trouble}");
    assert!(trouble.contains("50.0 % of 2") && trouble.contains("0.0 % of 1"), "{trouble}");
    assert!(trouble.contains("Attempts, last 24 hours: 1 succeeded, 1 failed"), "{trouble}");
    assert!(!trouble.contains("does well") && !page.contains("somebody else"), "{page}");

    let administrator = Visitor::administrator(&api).await;
    let page = administrator.sees("/console").await;
    assert!(tile(&page, "Success").contains("3 of 5 failed"), "{page}");
    assert!(page.contains("somebody else"), "{page}");
    let page = administrator.sees("/console?account=other&span=1h").await;
    assert!(tile(&page, "Success").contains("1 of 1 failed"), "{page}");
    assert!(page.contains("somebody else") && !page.contains("fails wholly"), "{page}");

    // A week later nothing of it is within the last day.
    api.clock.advance(Duration::from_secs(5 * 24 * 60 * 60));
    let administrator = Visitor::administrator(&api).await;
    let page = administrator.sees("/console").await;
    assert!(tile(&page, "Success").contains("nothing was tried"), "{page}");
    assert!(!between(&page, "id=\"trouble\"", "</section>").contains("fails wholly"), "{page}");
    let page = administrator.sees("/console?span=7d").await;
    assert!(tile(&page, "Success").contains("3 of 5 failed"), "{page}");
}

#[tokio::test]
async fn what_is_paused_or_gone_is_trouble_that_says_what_to_do() {
    let api = Api::start().await;
    let paused = callback(&api, "rests", Some("acme")).await;
    let kept = DeliveryState::Pending {
        next_attempt_at: builders::MADE_AT,
        waits: Some(WaitReason::Paused),
    };
    attempt(&api, "acme", &paused, kept, FAILS).await;
    let path = format!("/v1/callbacks/{}/pause", paused.id);
    assert_eq!(api.call("POST", &path, None).await.status, 200);
    let gone = callback(&api, "left", None).await;
    let store = &api.store;
    store.disable_gone_callback(gone.id, gone.updated_at, builders::MADE_AT).await.expect("done");
    let open = callback(&api, "left alone", Some("acme")).await;
    let later = builders::MADE_AT + Duration::from_secs(30);
    let waits =
        DeliveryState::Pending { next_attempt_at: later, waits: Some(WaitReason::CircuitOpen) };
    attempt(&api, "acme", &open, waits, FAILS).await;
    traffic_is_written(&api, 2).await;

    let page = Visitor::administrator(&api).await.sees("/console").await;
    let trouble = between(&page, "id=\"trouble\"", "</section>");
    assert!(trouble.contains("answered 410") && trouble.contains(">left</a>"), "{trouble}");
    assert!(trouble.contains("paused</span> 1 kept"), "{trouble}");
    assert!(trouble.contains("circuit open"), "{trouble}");
    let page = Visitor::of_account(&api, "acme").await.sees("/console").await;
    let trouble = between(&page, "id=\"trouble\"", "</section>");
    assert!(trouble.contains(">rests</a>") && !trouble.contains(">left</a>"), "{trouble}");
}

#[tokio::test]
async fn late_deliveries_are_shown_to_administrators_alone() {
    let api = Api::start().await;
    let callback = callback(&api, "waits", Some("acme")).await;
    attempt(&api, "acme", &callback, RETRY, FAILS).await;
    let said = "Deliveries are late";
    let page = Visitor::administrator(&api).await.sees("/console").await;
    assert!(!page.contains(said), "it is due now: {page}");
    api.clock.advance(Duration::from_secs(30 * 60));
    let page = Visitor::administrator(&api).await.sees("/console").await;
    assert!(page.contains(said) && page.contains("due for 30 min"), "{page}");
    assert!(page.contains("retry ahead: <strong>1</strong>"), "{page}");
    assert!(tile(&page, "Oldest that waits").contains("30 min"), "{page}");
    assert!(page.contains("On the queue: 0 messages"), "{page}");
    let page = Visitor::of_account(&api, "acme").await.sees("/console").await;
    assert!(!page.contains(said) && !page.contains("On the queue"), "{page}");
}

#[tokio::test]
async fn what_the_overview_can_not_show_is_said() {
    let api = Api::start().await;
    let administrator = Visitor::administrator(&api).await;
    let page = administrator.sees("/console?account=a%20b").await;
    assert!(page.contains("aria-describedby=\"account-error\"") && page.contains("value=\"a b\""));
    for (path, status) in [("/console?span=2h", 400), ("/console?unknown=1", 400)] {
        assert_eq!(administrator.get(path).await.status, status, "{path}");
    }
    let own = Visitor::of_account(&api, "acme").await;
    assert_eq!(own.get("/console?account=other").await.status, 404);
}
