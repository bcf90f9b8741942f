//! Deliveries: the list, and one with what was sent and what came back.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::{CancelReason, DeliveryState, WaitReason};
use ringback_core::{DeliveryId, Event, Timestamp};
use ringback_store::{HistoryRecord, Store as _};
use ringback_testkit::builders;
use serde_json::json;

use super::harness::{Visitor, assert_nothing_was_sent, between, next_page, of_account};
use crate::harness::{self, Api};
use crate::recovery::callback;

const fn pending(waits: Option<WaitReason>) -> DeliveryState {
    DeliveryState::Pending { next_attempt_at: Timestamp::from_ms(2_000_000_000_000), waits }
}

#[tokio::test]
async fn list_is_narrowed_down_by_each_of_its_fields() {
    let api = Api::start().await;
    let one = callback(&api, json!({ "description": "First receiver" })).await;
    let two = callback(&api, json!({ "description": "Second receiver" })).await;
    let early = Event {
        accepted_at: builders::MADE_AT - Duration::from_secs(3_600),
        ..of_account("acme", "EARLY")
    };
    let late = of_account("other", "LATE");
    api.delivery(&early, &one, DeliveryState::Delivered).await;
    api.delivery(&late, &two, DeliveryState::Exhausted).await;
    let visitor = Visitor::administrator(&api).await;
    let all = visitor.sees("/console/deliveries").await;
    assert!(all.contains(">EARLY</a>") && all.contains(">LATE</a>"), "{all}");
    assert!(all.contains(&format!("href=\"/console/callbacks/{}\">First receiver", one.id)));
    for (filter, field) in [
        (format!("callback={}", two.id), format!("value=\"{}\" selected", two.id)),
        (format!("event={}", late.id), format!("value=\"{}\"", late.id)),
        ("status=exhausted".to_owned(), "value=\"exhausted\" selected".to_owned()),
        ("account=other".to_owned(), "value=\"other\"".to_owned()),
        ("since=2026-01-02T03:00".to_owned(), "value=\"2026-01-02T03:00:00\"".to_owned()),
    ] {
        let some = visitor.sees(&format!("/console/deliveries?{filter}")).await;
        assert!(some.contains(">LATE</a>") && !some.contains(">EARLY</a>"), "{filter}");
        assert!(some.contains(&field), "{filter}: the form keeps it");
    }
    let before = visitor.sees("/console/deliveries?until=2026-01-02T03:00").await;
    assert!(before.contains(">EARLY</a>") && !before.contains(">LATE</a>"));
}

#[tokio::test]
async fn filter_that_is_not_valid_says_so_beside_its_field_and_shows_nothing() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    api.delivery(&builders::event("A"), &to, DeliveryState::Delivered).await;
    let visitor = Visitor::administrator(&api).await;
    for (field, bad) in
        [("event", "nonsense"), ("status", "lost"), ("account", "a.b"), ("callback", "1")]
    {
        let page = visitor.sees(&format!("/console/deliveries?{field}={bad}")).await;
        let error = format!("aria-invalid=\"true\" aria-describedby=\"{field}-error\"");
        assert!(page.contains(&error), "{field}: {page}");
        assert!(page.contains(&format!("class=\"error\" id=\"{field}-error\"")), "{field}");
        assert!(!page.contains("<table"), "{field}");
    }
    assert_eq!(visitor.get("/console/deliveries?sort=asc").await.status, 400);
}

#[tokio::test]
async fn list_goes_on_where_its_page_ends() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let records = (0..51).flat_map(|number| {
        let event = Event {
            accepted_at: builders::MADE_AT - Duration::from_secs(number),
            ..builders::event(&format!("E{number}"))
        };
        let delivery = harness::record(&event, &to, DeliveryState::Exhausted);
        [HistoryRecord::Event(Arc::new(event)), delivery]
    });
    api.store.record(records.collect()).await.expect("recorded");
    let visitor = Visitor::administrator(&api).await;
    let first = visitor.sees("/console/deliveries?status=exhausted").await;
    assert!(first.contains(">E49</a>") && !first.contains(">E50</a>"));
    let next = next_page(&first);
    assert!(next.contains("status=exhausted"), "{next}");
    let second = visitor.sees(&next).await;
    assert!(second.contains(">E50</a>") && !second.contains(">E49</a>"));
}

#[tokio::test]
async fn delivery_says_how_it_stands_and_what_happens_next() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for (state, words) in [
        (pending(None), "An attempt is under way"),
        (pending(Some(WaitReason::Retry)), "because the last one was answered with 500"),
        (pending(Some(WaitReason::Concurrency)), "as many requests as its callback allows (32)"),
        (pending(Some(WaitReason::RateLimit)), "as many requests a second as it wants"),
        (pending(Some(WaitReason::CircuitOpen)), "has failed again and again"),
        (pending(Some(WaitReason::Paused)), "kept because its callback is paused"),
        (pending(Some(WaitReason::Scheduled)), "and not before: its event asks for that"),
        (DeliveryState::Delivered, "It was delivered at"),
        (
            DeliveryState::Exhausted,
            "It was given up after 1 attempt; the last one was answered with 500.",
        ),
        (DeliveryState::Cancelled(CancelReason::CallbackDisabled), "its callback was disabled"),
        (DeliveryState::Cancelled(CancelReason::Requested), "because somebody asked for it"),
    ] {
        let to = callback(&api, json!({})).await;
        let id = api.delivery(&builders::event("A"), &to, state).await;
        let page = visitor.sees(&format!("/console/deliveries/{id}")).await;
        assert!(page.contains(words), "{words}: {page}");
        let offers = |action: &str| page.contains(&format!("/console/deliveries/{id}/{action}\""));
        assert_eq!(offers("retry"), state != DeliveryState::Delivered, "{state:?}");
        assert_eq!(offers("cancel"), !state.is_settled(), "{state:?}");
        let again = format!("/replay?account=acme&amp;callback={}\"", to.id);
        assert_eq!(page.contains(&again), state == DeliveryState::Delivered, "{state:?}");
    }
}

#[tokio::test]
async fn attempt_shows_what_was_sent_and_what_came_back() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let event = Event {
        variables: builders::variables(r#"{"NOTE":"it's <b>$5</b>"}"#),
        ..builders::event("A")
    };
    let id = api.delivery(&event, &to, DeliveryState::Exhausted).await;
    let page = Visitor::administrator(&api).await.sees(&format!("/console/deliveries/{id}")).await;
    for part in [
        "Attempt 1",
        "took 42 ms",
        "POST https://example.com/178",
        "<dt>authorization</dt>",
        "Status <strong>500</strong>",
        "no\u{fffd}",
        "only the first 16 KiB are kept",
        // Its body, as text and quoted for a shell.
        "it's &lt;b&gt;$5&lt;/b&gt;",
        r"it'\''s &lt;b&gt;$5&lt;/b&gt;",
        "--header 'authorization: &lt;secret&gt;'",
        "data-copy=\"curl-1\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<b>$5"), "what events hold is text");
}

#[tokio::test]
async fn only_the_last_attempts_are_shown_whole_and_each_other_by_itself() {
    let api = Api::start().await;
    let (to, event) = (callback(&api, json!({})).await, builders::event("A"));
    let id = DeliveryId::of(&event.account, event.id, to.id, 0);
    let mut records = vec![HistoryRecord::Event(Arc::new(event.clone()))];
    for number in 1..=12 {
        let delivery = harness::delivery(&event, &to, DeliveryState::Exhausted, number);
        let HistoryRecord::Delivery { attempt: Some(first), .. } =
            harness::record(&event, &to, DeliveryState::Exhausted)
        else {
            panic!("it has an attempt")
        };
        let number = number.try_into().expect("not zero");
        let attempt = ringback_core::delivery::Attempt { number, ..(*first).clone() };
        records.push(HistoryRecord::Delivery {
            delivery: Arc::new(delivery),
            attempt: Some(Arc::new(attempt)),
            first: false,
        });
    }
    api.store.record(records).await.expect("recorded");
    let visitor = Visitor::administrator(&api).await;
    let all = visitor.sees(&format!("/console/deliveries/{id}")).await;
    assert!(all.contains("given up after 12 attempts"), "{all}");
    assert!(all.contains("id=\"attempt-12\"") && all.contains("id=\"attempt-3\""));
    assert!(!all.contains("id=\"attempt-2\""));
    let link = format!("/console/deliveries/{id}?attempt=2");
    assert!(all.contains(&link));
    let one = visitor.sees(&link).await;
    assert!(one.contains("id=\"attempt-2\"") && !one.contains("id=\"attempt-3\""));
}

#[tokio::test]
async fn delivery_is_retried_and_cancelled() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let visitor = Visitor::administrator(&api).await;
    let exhausted = api.delivery(&builders::event("A"), &to, DeliveryState::Exhausted).await;
    let after = visitor.does(&format!("/console/deliveries/{exhausted}/retry"), &[]).await;
    assert!(after.contains("Another attempt is on its way."), "{after}");
    assert_eq!(api.dispatched().await.event.name.as_str(), "A");

    let waiting = pending(Some(WaitReason::Retry));
    let waiting = api.delivery(&builders::event("B"), &to, waiting).await;
    let cancel = format!("/console/deliveries/{waiting}/cancel");
    let asked = visitor.sees(&cancel).await;
    assert!(asked.contains("<h1>Cancel this delivery?</h1>"), "{asked}");
    assert!(visitor.sees(&format!("/console/deliveries/{waiting}")).await.contains("retry ahead"));
    let after = visitor.does(&cancel, &[]).await;
    assert!(after.contains("because somebody asked for it"), "{after}");
    let again = visitor.post(&cancel, &[]).await;
    assert_eq!(again.status, 409);
    assert!(again.html.contains("Not possible: It is cancelled already."), "{}", again.html);

    let delivered = api.delivery(&builders::event("C"), &to, DeliveryState::Delivered).await;
    let retry = visitor.post(&format!("/console/deliveries/{delivered}/retry"), &[]).await;
    assert_eq!(retry.status, 409);
    assert!(retry.html.contains("It is delivered already."), "{}", retry.html);
}

#[tokio::test]
async fn callback_is_typed_where_there_are_very_many() {
    let api = Api::start().await;
    for number in 0..201 {
        let account = if number < 7 { "acme" } else { "other" };
        callback(&api, json!({ "description": format!("Store {number:03}"), "account": account }))
            .await;
    }
    let hidden = callback(&api, json!({ "description": "Hidden", "account": "other" })).await;
    let visitor = Visitor::administrator(&api).await;
    let of = builders::event("WANTED");
    let to =
        callback(&api, json!({ "description": "Only one", "url": "https://only.example/" })).await;
    api.delivery(&of, &to, DeliveryState::Exhausted).await;
    for list in ["deliveries", "failed"] {
        let error = async |typed: &str| {
            let page = visitor.sees(&format!("/console/{list}?callback={typed}")).await;
            between(&page, "id=\"callback-error\">", "</p>").to_owned()
        };
        for typed in ["only+ONE", "ONLY.example", &to.id.to_string()] {
            let found = visitor.sees(&format!("/console/{list}?callback={typed}")).await;
            assert!(found.contains(">WANTED</a>") && !found.contains("callback-error"), "{typed}");
        }
        assert!(error("nobody").await.contains("No callback has this"));
        let several = error("STORE").await;
        assert!(several.contains("201 callbacks match, among them “Store 000” ("), "{several}");
        assert!(several.contains("Store 004") && !several.contains("Store 005"), "{several}");
    }
    let own = Visitor::of_account(&api, "acme").await;
    let theirs = own.sees("/console/deliveries?callback=Hidden").await;
    assert!(theirs.contains("No callback has this") && !theirs.contains(&hidden.id.to_string()));
}

#[tokio::test]
async fn delivery_of_another_account_does_not_exist() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let waiting = pending(Some(WaitReason::Retry));
    let id = api.delivery(&of_account("other", "FOREIGN"), &to, waiting).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    assert_eq!(visitor.get(&format!("/console/deliveries/{id}")).await.status, 404);
    for action in ["retry", "cancel"] {
        let path = format!("/console/deliveries/{id}/{action}");
        assert!(action == "retry" || visitor.get(&path).await.status == 404);
        assert_eq!(visitor.post(&path, &[]).await.status, 404, "{action}");
    }
    assert_eq!(api.store.delivery(id).await.expect("read").expect("there").state, waiting);
    assert_nothing_was_sent(&api).await;
    assert!(!visitor.sees("/console/deliveries").await.contains("FOREIGN"));
    let named = format!("/console/deliveries?callback={}", to.id);
    assert!(!visitor.sees(&named).await.contains("FOREIGN"));
    assert_eq!(visitor.get("/console/deliveries?account=other").await.status, 404);
}

#[tokio::test]
async fn account_sees_of_an_instance_callback_only_how_it_went() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "description": "Hush", "url": "https://hush.example/" })).await;
    let id = api.delivery(&builders::event("A"), &to, DeliveryState::Exhausted).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let page = visitor.sees(&format!("/console/deliveries/{id}")).await;
    assert!(page.contains("Attempt 1") && page.contains("refused by the receiver"), "{page}");
    for hidden in
        ["Hush", "hush.example", "example.com/178", "500", "no\u{fffd}", "curl", "/retry\""]
    {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    let list = visitor.sees("/console/deliveries").await;
    assert!(list.contains(">A</a>") && !list.contains("Hush"), "{list}");
    assert!(list.contains(">refused</span>") && !list.contains(">500</span>"), "{list}");
    let list = Visitor::administrator(&api).await.sees("/console/deliveries").await;
    assert!(list.contains(">500</span>") && !list.contains(">refused</span>"), "{list}");
    assert_eq!(visitor.post(&format!("/console/deliveries/{id}/retry"), &[]).await.status, 403);
    let waiting = pending(Some(WaitReason::Retry));
    let waits = api.delivery(&builders::event("B"), &to, waiting).await;
    let page = visitor.sees(&format!("/console/deliveries/{waits}")).await;
    assert!(!page.contains("/cancel\""), "{page}");
    assert_eq!(visitor.post(&format!("/console/deliveries/{waits}/cancel"), &[]).await.status, 403);
    assert_eq!(api.store.delivery(waits).await.expect("read").expect("there").state, waiting);
    assert_nothing_was_sent(&api).await;
}
