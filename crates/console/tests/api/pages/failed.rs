//! What failed for good: shown, retried one by one and all at once.

use std::time::Duration;

use ringback_core::Event;
use ringback_core::delivery::{CancelReason, DeliveryState};
use ringback_store::{Replays as _, StatusFilter, Store as _};
use ringback_testkit::builders;
use serde_json::json;

use super::harness::{Visitor, assert_nothing_was_sent, between, of_account};
use crate::harness::Api;
use crate::recovery::{callback, dispatched};

#[tokio::test]
async fn list_shows_what_is_exhausted_and_how_many_there_are() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    assert!(visitor.sees("/console/failed").await.contains("Nothing failed here"));
    let one = callback(&api, json!({ "description": "First" })).await;
    let two = callback(&api, json!({ "description": "Second" })).await;
    let early = Event {
        accepted_at: builders::MADE_AT - Duration::from_secs(3_600),
        ..of_account("acme", "EARLY")
    };
    api.delivery(&early, &one, DeliveryState::Exhausted).await;
    api.delivery(&of_account("other", "LATE"), &two, DeliveryState::Exhausted).await;
    api.delivery(&of_account("acme", "FINE"), &one, DeliveryState::Delivered).await;
    let all = visitor.sees("/console/failed").await;
    assert!(all.contains(">EARLY</a>") && all.contains(">LATE</a>") && !all.contains(">FINE</a>"));
    assert!(all.contains("<strong>2 failed</strong>"), "{all}");
    assert_eq!(all.matches(">500</span>").count(), 2, "what the last attempt of each met: {all}");
    let late = all.find(">LATE</a>").expect("there");
    assert!(late < all.find(">EARLY</a>").expect("there"), "newest first");
    for filter in [
        format!("callback={}", two.id),
        "account=other".to_owned(),
        "since=2026-01-02T03:00".to_owned(),
    ] {
        let some = visitor.sees(&format!("/console/failed?{filter}")).await;
        assert!(some.contains(">LATE</a>") && !some.contains(">EARLY</a>"), "{filter}");
        assert!(some.contains("<strong>1 failed</strong>"), "{filter}");
    }
    let before = visitor.sees("/console/failed?until=2026-01-02T03:00").await;
    assert!(before.contains(">EARLY</a>") && !before.contains(">LATE</a>"));
    let wrong = visitor.sees("/console/failed?callback=nonsense").await;
    assert!(wrong.contains("id=\"callback-error\"") && !wrong.contains("Replay all"), "{wrong}");
}

#[tokio::test]
async fn selected_are_retried_and_what_could_not_be_says_why() {
    let api = Api::start().await;
    let fine = callback(&api, json!({})).await;
    let off = callback(&api, json!({ "enabled": false })).await;
    let visitor = Visitor::administrator(&api).await;
    let one = api.delivery(&builders::event("ONE"), &fine, DeliveryState::Exhausted).await;
    let two = api.delivery(&builders::event("TWO"), &off, DeliveryState::Exhausted).await;
    let other = api.delivery(&builders::event("OTHER"), &fine, DeliveryState::Exhausted).await;
    let (one, two) = (one.to_string(), two.to_string());
    let fields =
        [("delivery", &*one), ("delivery", &*two), ("delivery", &*one), ("account", "acme")];
    let page = visitor.post("/console/failed/retry", &fields).await;
    assert_eq!(page.status, 200, "{}", page.html);
    for part in [
        "1 is on its way.",
        "1 could not be retried:",
        ">TWO</a>",
        "Its callback is disabled: enable it first.",
        // Back to the same filter.
        "href=\"/console/failed?account=acme\"",
    ] {
        assert!(page.html.contains(part), "{part}: {}", page.html);
    }
    assert_eq!(dispatched(&api, 1).await[0].event.name.as_str(), "ONE");
    let untouched = api.store.delivery(other).await.expect("read").expect("there");
    assert_eq!(untouched.state, DeliveryState::Exhausted);
}

#[tokio::test]
async fn none_and_too_many_are_refused() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let ids: Vec<_> = (0..51).map(|_| builders::event_id().to_string()).collect();
    let fields: Vec<_> = ids.iter().map(|id| ("delivery", id.as_str())).collect();
    for (fields, words) in [(&[][..], "Select at least one."), (&fields, "at most 50 at once")] {
        let page = visitor.post("/console/failed/retry", fields).await;
        assert_eq!(page.status, 422);
        assert!(page.html.contains(words), "{}", page.html);
    }
}

#[tokio::test]
async fn all_that_match_are_replayed_after_a_second_look() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "description": "The receiver" })).await;
    api.delivery(&builders::event("A"), &to, DeliveryState::Exhausted).await;
    api.delivery(&of_account("other", "B"), &to, DeliveryState::Exhausted).await;
    let visitor = Visitor::administrator(&api).await;
    let filter = format!("callback={}&account=acme&since=2026-01-02T03%3A00%3A00.000Z", to.id);
    let list = visitor.sees(&format!("/console/failed?{filter}")).await;
    assert!(list.contains("Replay all 1 that match this filter"), "{list}");
    let confirm = format!("/console/failed/replay?{filter}");
    assert!(list.contains(&confirm.replace('&', "&amp;")), "{list}");
    let question = visitor.sees(&confirm).await;
    for part in ["Replay all 1?", "The receiver</a>", ", of account acme", "accepted since <time"] {
        assert!(question.contains(part), "{part}: {question}");
    }

    let none = visitor.sees("/console/failed/replay?account=nobody").await;
    assert!(none.contains("Nothing to replay") && !none.contains("per_second"), "{none}");

    let id = to.id.to_string();
    let fields = [("callback", &*id), ("account", "acme"), ("since", "2026-01-02T03:00:00.000Z")];
    for bad in ["0", "10001", "many", ""] {
        let fields = [&fields[..], &[("per_second", bad)]].concat();
        let page = visitor.post("/console/failed/replay", &fields).await;
        assert_eq!(page.status, 422, "{bad}");
        assert!(page.html.contains("A whole number from 1 to 10000."), "{bad}: {}", page.html);
    }
    let drawn = ("drawn", between(&question, "name=\"drawn\" value=\"", "\""));
    let fields = [&fields[..], &[("per_second", "7"), drawn]].concat();
    let begun = visitor.does("/console/failed/replay", &fields).await;
    assert!(begun.contains("The replay has begun.") && begun.contains("7 a second"), "{begun}");
    let jobs = api.store.replays(None, 10, None).await.expect("read").items;
    assert_eq!(jobs.len(), 1, "what was refused began nothing");
    // A second click begins no second one.
    let again = visitor.post("/console/failed/replay", &fields).await;
    let one = format!("/console/replays/{}?said=replay-begun", jobs[0].id);
    assert_eq!((again.status, again.leads_to()), (303, &*one));
    let jobs = api.store.replays(None, 10, None).await.expect("read").items;
    assert_eq!(jobs.len(), 1);
    let filter = &jobs[0].filter;
    assert_eq!((filter.callback, filter.status), (Some(to.id), StatusFilter::Exhausted));
    assert_eq!(filter.account, Some(builders::account("acme")));
    assert_eq!(filter.since.expect("one").to_string(), "2026-01-02T03:00:00.000Z");
}

#[tokio::test]
async fn what_was_cancelled_is_shown_retried_and_replayed_when_asked_for() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let cancelled = DeliveryState::Cancelled(CancelReason::CallbackDisabled);
    let one = api.delivery(&builders::event("ONE"), &to, cancelled).await;
    api.delivery(&builders::event("TWO"), &to, cancelled).await;
    api.delivery(&builders::event("SPENT"), &to, DeliveryState::Exhausted).await;
    let visitor = Visitor::administrator(&api).await;
    let usual = visitor.sees("/console/failed").await;
    assert!(usual.contains(">SPENT</a>") && !usual.contains(">ONE</a>"), "{usual}");
    let filter = format!("callback={}&status=cancelled", to.id);
    let list = visitor.sees(&format!("/console/failed?{filter}")).await;
    assert!(list.contains(">ONE</a>") && !list.contains(">SPENT</a>"), "{list}");
    assert!(list.contains("<option value=\"cancelled\" selected>Cancelled</option>"), "{list}");
    assert!(list.contains("<strong>2 cancelled</strong>"), "{list}");
    let confirm = format!("/console/failed/replay?{filter}");
    assert!(list.contains(&confirm.replace('&', "&amp;")), "{list}");

    let (id, one) = (to.id.to_string(), one.to_string());
    let fields = [("delivery", &*one), ("status", "cancelled")];
    let retried = visitor.post("/console/failed/retry", &fields).await;
    assert!(retried.html.contains("1 is on its way."), "{}", retried.html);
    assert!(retried.html.contains("href=\"/console/failed?status=cancelled\""));
    assert_eq!(dispatched(&api, 1).await[0].event.name.as_str(), "ONE");

    let question = visitor.sees(&confirm).await;
    assert!(question.contains("Deliveries that were cancelled"), "{question}");
    assert!(question.contains("name=\"status\" value=\"cancelled\""), "{question}");
    let fields = [("callback", &*id), ("status", "cancelled"), ("per_second", "7")];
    visitor.does("/console/failed/replay", &fields).await;
    let jobs = api.store.replays(None, 10, None).await.expect("read").items;
    assert_eq!(jobs[0].filter.status, StatusFilter::Cancelled);

    for status in ["delivered", "pending", "lost"] {
        let wrong = visitor.sees(&format!("/console/failed?status={status}")).await;
        assert!(wrong.contains("id=\"status-error\"") && !wrong.contains(">ONE</a>"), "{wrong}");
        let fields = [("status", status), ("per_second", "7")];
        assert_eq!(visitor.post("/console/failed/replay", &fields).await.status, 400, "{status}");
    }
}

#[tokio::test]
async fn replay_with_a_filter_that_can_not_be_read_is_refused() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for field in ["callback", "account", "since"] {
        let fields = [(field, "no such thing"), ("per_second", "7")];
        assert_eq!(visitor.post("/console/failed/replay", &fields).await.status, 400, "{field}");
    }
    assert!(api.store.replays(None, 10, None).await.expect("read").items.is_empty());
}

#[tokio::test]
async fn what_another_account_has_is_neither_shown_nor_sent() {
    let api = Api::start().await;
    let own = callback(&api, json!({ "account": "acme" })).await;
    let foreign = callback(&api, json!({ "account": "other" })).await;
    let mine = api.delivery(&of_account("acme", "MINE"), &own, DeliveryState::Exhausted).await;
    let theirs =
        api.delivery(&of_account("other", "THEIRS"), &foreign, DeliveryState::Exhausted).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let list = visitor.sees("/console/failed").await;
    assert!(list.contains(">MINE</a>") && !list.contains(">THEIRS</a>"));
    assert!(list.contains("<strong>1 failed</strong>") && !list.contains(&foreign.id.to_string()));
    let (mine, theirs) = (mine.to_string(), theirs.to_string());
    let both = [("delivery", &*mine), ("delivery", &*theirs)];
    assert_eq!(visitor.post("/console/failed/retry", &both).await.status, 404);
    assert_eq!(visitor.get("/console/failed?account=other").await.status, 404);
    assert_eq!(visitor.get("/console/failed/replay?account=other").await.status, 404);
    let other = [("account", "other"), ("per_second", "7")];
    assert_eq!(visitor.post("/console/failed/replay", &other).await.status, 404);
    let named = foreign.id.to_string();
    let named = [("callback", &*named), ("per_second", "7")];
    assert_eq!(visitor.post("/console/failed/replay", &named).await.status, 404);
    let instance = callback(&api, json!({})).await;
    api.delivery(&of_account("acme", "TO_ALL"), &instance, DeliveryState::Exhausted).await;
    for callback in [foreign.id, instance.id] {
        let question = format!("/console/failed/replay?callback={callback}");
        assert_eq!(visitor.get(&question).await.status, 404);
    }
    let question = visitor.sees("/console/failed/replay").await;
    assert!(question.contains("and so are deliveries to integrations"), "{question}");
    assert!(api.store.replays(None, 10, None).await.expect("read").items.is_empty());
    assert_nothing_was_sent(&api).await;
}
