//! Callbacks: the list, the form with its preview, and what can be done to one.

mod form;

use std::sync::Arc;
use std::time::Duration;

use ringback_core::Callback;
use ringback_core::callback::CallbackState;
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, WaitReason};
use ringback_core::dispatch::Targets;
use ringback_runtime::Clock as _;
use ringback_store::{CallbackQuery, HistoryRecord, Store as _};
use ringback_testkit::builders;
use serde_json::{Value, json};

use super::harness::{FAILS, Visitor, WORKS, between, next_page, traffic_is_written, tried};
use crate::harness::{self, Api};

const LIST: &str = "/console/callbacks";
const URL: &str = "https://example.com/hook/{COMMENT_ID}";

fn settings(account: &str, description: &str) -> Value {
    json!({ "url": URL, "account": account, "description": description, "events": ["COMMENT_CREATED"] })
}

async fn all(api: &Api) -> Vec<Callback> {
    api.store.callbacks(&CallbackQuery::default(), 200, None).await.expect("readable").items
}

/// The names in the list, in its order.
fn names(list: &str) -> Vec<&str> {
    let rows = list.split("<th scope=\"row\">").skip(1);
    rows.map(|row| between(row, "\">", "</a>").rsplit('>').next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn list_is_sought_filtered_and_sorted() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    assert!(visitor.sees(LIST).await.contains("There are no callbacks yet"));
    for (account, name) in [("acme", "Berta"), ("acme", "anna"), ("other", "Cäsar")] {
        api.made(settings(account, name)).await;
    }
    api.made(json!({ "url": URL, "description": "Of all" })).await;
    assert_eq!(names(&visitor.sees(LIST).await), ["anna", "Berta", "Cäsar"]);
    for (query, shown) in [
        ("search=CÄS", &["Cäsar"][..]),
        ("search=other", &["Cäsar"]),
        ("search=example.com&account=acme", &["anna", "Berta"]),
        ("search=comment_cr", &["anna", "Berta", "Cäsar"]),
        ("sort=-name", &["Cäsar", "Berta", "anna"]),
        ("state=paused", &[]),
        ("search=%26lt%3Bb", &[]),
    ] {
        let list = visitor.sees(&format!("{LIST}?{query}")).await;
        assert_eq!(names(&list), shown, "{query}");
        assert_eq!(shown.is_empty(), list.contains("Nothing matches"), "{query}");
    }
    let callbacks = all(&api).await;
    let named = |name: &str| callbacks.iter().find(|it| it.description == name).expect("made");
    let pause = format!("/v1/callbacks/{}/pause", named("Berta").id);
    api.call("POST", &pause, None).await;
    assert_eq!(names(&visitor.sees(&format!("{LIST}?state=paused")).await), ["Berta"]);
    let by_id = visitor.sees(&format!("{LIST}?search={}", named("anna").id)).await;
    assert_eq!(names(&by_id), ["anna"]);
    let sorted = visitor.sees(&format!("{LIST}?sort=-state&search=e")).await;
    assert_eq!(sorted.matches("aria-sort").count(), 1);
    assert!(sorted.contains("<th scope=\"col\" aria-sort=\"descending\"><a href=\"/console/callbacks?search=e&amp;sort=state\">State"));
    assert_eq!(visitor.get(&format!("{LIST}?sort=size")).await.status, 400);

    let own = Visitor::of_account(&api, "other").await;
    let list = own.sees(LIST).await;
    assert_eq!(names(&list), ["Cäsar"]);
    assert!(!list.contains("integrations"), "{list}");
    assert_eq!(own.get(&format!("{LIST}?account=acme")).await.status, 404);
}

#[tokio::test]
async fn list_shows_how_each_did_in_the_last_day() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for name in ["good", "bad", "quiet"] {
        api.made(settings("acme", name)).await;
    }
    let callbacks = all(&api).await;
    let event = builders::event("COMMENT_CREATED");
    for (name, outcome, state) in
        [("good", WORKS, DeliveryState::Delivered), ("bad", FAILS, DeliveryState::Exhausted)]
    {
        let to = callbacks.iter().find(|it| it.description == name).expect("made");
        api.store.record(tried(&event, to, state, outcome).to_vec()).await.expect("recorded");
    }
    traffic_is_written(&api, 2).await;
    let list = visitor.sees(&format!("{LIST}?sort=success")).await;
    assert_eq!(names(&list), ["bad", "good", "quiet"]);
    let row = |name: &str| between(&list, &format!(">{name}</a>"), "</tr>").to_owned();
    assert!(
        row("good").contains("100 %")
            && row("good").contains("Attempts, last 24 hours: 1 succeeded, 0 failed")
    );
    assert!(row("bad").contains("0.0 %") && row("quiet").contains("no attempts"));
}

#[tokio::test]
async fn long_list_is_paged_and_keeps_its_filter() {
    let api = Api::start().await;
    for number in 0..51 {
        api.made(settings("acme", &format!("{number:02}"))).await;
    }
    let visitor = Visitor::administrator(&api).await;
    let first = visitor.sees(&format!("{LIST}?account=acme")).await;
    assert_eq!(names(&first).len(), 50);
    let next = next_page(&first);
    assert_eq!(next, "/console/callbacks?account=acme&page=2");
    assert_eq!(names(&visitor.sees(&next).await), ["50"]);
    assert_eq!(names(&visitor.sees(&format!("{LIST}?page=99")).await), ["50"], "the last there is");
}

#[tokio::test]
async fn callback_is_paused_resumed_disabled_and_enabled() {
    let api = Api::start().await;
    let made = api.made(settings("acme", "Mine")).await;
    let callback = api.stored(&made).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let path = format!("{LIST}/{}", callback.id);
    let state = async || api.stored(&made).await.state;
    let paused = visitor.does(&format!("{path}/pause"), &[("back", LIST)]).await;
    assert!(paused.contains("what comes for it is kept") && names(&paused) == ["Mine"]);
    assert_eq!(state().await, CallbackState::Paused);
    let resumed = visitor.does(&format!("{path}/resume"), &[]).await;
    assert!(resumed.contains("What was kept goes out now.") && resumed.contains("<h1>Mine</h1>"));

    let waiting = DeliveryState::Pending {
        next_attempt_at: builders::MADE_AT,
        waits: Some(WaitReason::Retry),
    };
    let delivery = api.delivery(&builders::event("COMMENT_CREATED"), &callback, waiting).await;
    let sure = visitor.sees(&format!("{path}/disable")).await;
    assert!(
        sure.contains("<strong>1 delivery</strong> that is on its way to it is cancelled"),
        "{sure}"
    );
    assert!(state().await.is_enabled(), "asking does nothing");
    visitor.does(&format!("{path}/disable"), &[]).await;
    assert!(!state().await.is_enabled());
    let shown = api.get(&format!("/v1/deliveries/{delivery}")).await;
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(visitor.post(&format!("{path}/pause"), &[]).await.status, 409);
    visitor.does(&format!("{path}/enable"), &[]).await;
    assert_eq!(state().await, CallbackState::Enabled);
}

#[tokio::test]
async fn what_is_done_in_a_list_leads_back_to_the_same_list_and_nowhere_else() {
    let api = Api::start().await;
    for number in 0..51 {
        api.made(settings("acme", &format!("{number:02}"))).await;
    }
    let visitor = Visitor::administrator(&api).await;
    let here = format!("{LIST}?search=5&account=acme&sort=-name");
    let list = visitor.sees(&here).await;
    assert!(
        list.contains(&format!("name=\"back\" value=\"{}\"", here.replace('&', "&amp;"))),
        "{list}"
    );
    let second = visitor.sees(&format!("{LIST}?page=2")).await;
    assert!(second.contains("name=\"back\" value=\"/console/callbacks?page=2\""), "{second}");
    let id = all(&api).await[0].id;
    let own = format!("{LIST}/{id}");
    for (back, expected) in [
        (here.as_str(), format!("{here}&said=callback-paused")),
        ("https://evil.example/", format!("{own}?said=callback-paused")),
        ("//evil.example", format!("{own}?said=callback-paused")),
        ("/console/callbacks\r\nx: y", format!("{LIST}?%0D%0Ax%3A+y=&said=callback-paused")),
    ] {
        let done = visitor.post(&format!("{own}/pause"), &[("back", back)]).await;
        assert_eq!((done.status, done.leads_to()), (303, &*expected), "{back}");
        visitor.does(&format!("{own}/resume"), &[]).await;
    }
}

#[tokio::test]
async fn callback_is_deleted_once_it_was_asked_for_twice() {
    let api = Api::start().await;
    let callback = api.stored(&api.made(settings("acme", "Mine")).await).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let path = format!("{LIST}/{}/delete", callback.id);
    assert!(visitor.sees(&path).await.contains("Nothing is on its way to it now."));
    assert_eq!(all(&api).await.len(), 1);
    let list = visitor.does(&path, &[]).await;
    assert!(list.contains("The callback is deleted."));
    assert!(all(&api).await.is_empty());
    assert_eq!(visitor.get(&path).await.status, 404);
}

#[tokio::test]
async fn signing_secret_is_shown_to_who_asks_for_it_and_replaced_with_a_grace() {
    let api = Api::start().await;
    let made = api.made(settings("acme", "Mine")).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let path = format!("{LIST}/{}/secret", made["id"].as_str().expect("an id"));
    let secret = async || api.stored(&made).await.signing_secret.reveal().reveal().to_owned();
    let first = secret().await;
    assert!(!visitor.sees(&path).await.contains("whsec_"));
    let shown = visitor.post(&path, &[]).await;
    assert_eq!(between(&shown.html, "<pre id=\"signing-secret\">", "</pre>"), first);

    let rotate = format!("{path}/rotate");
    let question = visitor.sees(&rotate).await;
    let as_of = ("as-of", between(&question, "name=\"as-of\" value=\"", "\""));
    assert!(!question.contains("It was replaced a while ago"), "{question}");
    for hours in ["169", "-1", "soon", "9223372036854775807"] {
        let refused = visitor.post(&rotate, &[("grace-hours", hours), as_of]).await;
        assert_eq!(refused.status, 422, "{hours}");
        assert!(refused.html.contains("Whole hours from 0 to 168."), "{}", refused.html);
    }
    assert_eq!(secret().await, first);
    let said = visitor.does(&rotate, &[("grace-hours", "2"), as_of]).await;
    assert!(said.contains("has a new signing secret") && !said.contains("whsec_"));
    let rotated = api.stored(&made).await;
    let previous = rotated.previous_secret.expect("it counts for a while");
    assert_eq!(previous.secret.reveal().reveal(), first);
    assert_eq!(previous.until, rotated.updated_at + std::time::Duration::from_secs(2 * 3_600));
    let second = secret().await;
    assert_ne!(second, first);

    // A second click, on the page of before: the secret that receivers hold goes on.
    let twice = visitor.post(&rotate, &[("grace-hours", "2"), as_of]).await;
    assert_eq!(twice.status, 409);
    assert!(twice.html.contains("its secret may have been replaced meanwhile."), "{}", twice.html);
    assert_eq!(secret().await, second);
    let previous = api.stored(&made).await.previous_secret.expect("it counts still");
    assert_eq!(previous.secret.reveal().reveal(), first);
    for page in [&twice.html, &visitor.sees(&rotate).await] {
        assert!(page.contains("Replacing it again now ends that one at once"), "{page}");
    }
    let knowingly = ("as-of", between(&twice.html, "name=\"as-of\" value=\"", "\""));
    visitor.does(&rotate, &[("grace-hours", "2"), knowingly]).await;
    assert_ne!(secret().await, second);
}

#[tokio::test]
async fn trial_that_has_to_wait_says_so_at_once_and_why() {
    for (waits, said) in [
        (WaitReason::CircuitOpen, "its circuit is open"),
        (WaitReason::RateLimit, "as many requests a second as it allows"),
        (WaitReason::Concurrency, "are under way"),
    ] {
        let api = Api::start().await;
        let to = api.stored(&api.made(settings("acme", "Mine")).await).await;
        let visitor = Visitor::of_account(&api, "acme").await;
        let path = format!("{LIST}/{}/test", to.id);
        let began = api.clock.now();
        let worker = async {
            let dispatch = api.dispatched().await;
            let Targets::These(targets) = &dispatch.targets else { panic!("one target") };
            let state = DeliveryState::Pending { next_attempt_at: began, waits: Some(waits) };
            let delivery = Delivery {
                id: targets[0].delivery(&dispatch.event),
                generation: targets[0].generation,
                ..harness::delivery(&dispatch.event, &to, state, 0)
            };
            let delivery = Arc::new(delivery);
            let record = HistoryRecord::Delivery { delivery, attempt: None, first: true };
            api.store.record(vec![record]).await.expect("recorded");
            api.clock.wait_for_sleeper(Duration::from_secs(20)).await;
            api.clock.advance(Duration::from_millis(500));
        };
        let (page, ()) = tokio::join!(visitor.post(&path, &[]), worker);
        assert_eq!(page.status, 200, "{}", page.html);
        assert!(page.html.contains("It was not tried yet."), "{}", page.html);
        assert!(page.html.contains(said), "{waits:?}: {}", page.html);
    }
}

#[tokio::test]
async fn trial_shows_what_came_of_it() {
    let api = Api::start().await;
    let to = api.stored(&api.made(settings("acme", "Mine")).await).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let path = format!("{LIST}/{}/test", to.id);
    assert!(visitor.sees(&path).await.contains("<option value=\"COMMENT_CREATED\">"));
    let worker = async {
        let dispatch = api.dispatched().await;
        assert_eq!(dispatch.event.name.as_str(), "COMMENT_CREATED");
        let Targets::These(targets) = &dispatch.targets else { panic!("one target") };
        let of_any = harness::delivery(&dispatch.event, &to, DeliveryState::Exhausted, 1);
        let id = targets[0].delivery(&dispatch.event);
        let delivery = Delivery { id, generation: targets[0].generation, ..of_any };
        let record = harness::record(&dispatch.event, &to, DeliveryState::Exhausted);
        let HistoryRecord::Delivery { attempt: Some(attempt), .. } = record else {
            panic!("an attempt")
        };
        let attempt = Some(Arc::new(Attempt { delivery: id, ..(*attempt).clone() }));
        let record =
            HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first: false };
        api.store.record(vec![record]).await.expect("recorded");
        id
    };
    let form = [("event", "COMMENT_CREATED")];
    let (page, delivery) = tokio::join!(visitor.post(&path, &form), worker);
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains("The receiver did not take it."), "{}", page.html);
    assert!(page.html.contains("<span class=\"badge bad\">500</span>"), "{}", page.html);
    assert!(page.html.contains(&format!("href=\"/console/deliveries/{delivery}\"")));
    let off = Some(json!({ "enabled": false }));
    api.call("PATCH", &format!("/v1/callbacks/{}", to.id), off).await;
    assert!(visitor.sees(&path).await.contains("Enable it first."));
    assert_eq!(visitor.post(&path, &form).await.status, 409);
}

#[tokio::test]
async fn callbacks_of_others_and_of_the_instance_do_not_exist_for_an_account() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for settings in [settings("other", "Theirs"), json!({ "url": URL })] {
        let made = api.made(settings).await;
        let before =
            api.get(&format!("/v1/callbacks/{}", made["id"].as_str().expect("an id"))).await;
        let id = made["id"].as_str().expect("an id");
        for action in ["edit", "disable", "delete", "secret", "secret/rotate", "test"] {
            let path = format!("{LIST}/{id}/{action}");
            assert_eq!(visitor.get(&path).await.status, 404, "{action}");
            let posted = visitor.post(&path, &[("url", "https://example.org/")]).await;
            assert_eq!(posted.status, 404, "{action}");
        }
        for action in ["enable", "pause", "resume"] {
            assert_eq!(visitor.post(&format!("{LIST}/{id}/{action}"), &[]).await.status, 404);
        }
        let preview = [("for", id), ("url", "https://example.org/")];
        assert_eq!(visitor.post("/console/callbacks/preview", &preview).await.status, 404);
        assert!(!visitor.sees(LIST).await.contains(id));
        let after = api.get(&format!("/v1/callbacks/{id}")).await;
        assert_eq!(after, before, "untouched");
        assert!(api.stored(&made).await.previous_secret.is_none());
    }
    // Another account's name is no way in: it is not asked for.
    let fields = [("url", URL), ("account", "other"), ("which-events", "all")];
    visitor.does(LIST, &fields).await;
    let mine =
        all(&api).await.into_iter().filter(|it| it.account == Some(builders::account("acme")));
    assert_eq!(mine.count(), 1);
}
