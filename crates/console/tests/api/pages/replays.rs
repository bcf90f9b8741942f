//! Bulk replays: the list, and how far one is.

use ringback_core::ReplayId;
use ringback_store::{Replay, ReplayStatus, Replays as _};
use ringback_testkit::builders;
use serde_json::json;

use super::harness::Visitor;
use crate::harness::{ADMIN, Api};
use crate::recovery::callback;

/// A bulk replay that this key asked for.
async fn begun(api: &Api, key: &str) -> Replay {
    let answer = api.call_as(key, "POST", "/v1/replays", Some(json!({ "per_second": 5 }))).await;
    assert_eq!(answer.status, 202, "{}", answer.json);
    let id: ReplayId = answer.json["id"].as_str().expect("an id").parse().expect("a UUID");
    api.store.replay(id).await.expect("read").expect("there")
}

/// Writes how far it is.
async fn kept(api: &Api, replay: Replay) {
    let until = builders::MADE_AT + std::time::Duration::from_secs(60);
    let taken = api.store.take_replay("test", builders::MADE_AT, until).await.expect("taken");
    assert_eq!(taken.expect("running").id, replay.id);
    assert!(api.store.keep_replay(&replay, "test", until).await.expect("kept"));
}

#[tokio::test]
async fn replay_shows_how_far_it_is() {
    let api = Api::start().await;
    let replay = begun(&api, ADMIN).await;
    let visitor = Visitor::administrator(&api).await;
    let path = format!("/console/replays/{}", replay.id);
    let new = visitor.sees(&path).await;
    assert!(new.contains("<progress id=\"progress\"></progress>"), "{new}");
    assert!(new.contains("data-live=\"2\"") && new.contains(">Load again</a>"), "{new}");

    let half = Replay { total: Some(1_200), replayed: 590, skipped: 10, ..replay };
    kept(&api, half.clone()).await;
    let page = visitor.sees(&path).await;
    for part in [
        "<label class=\"label\" for=\"progress\">",
        "max=\"1200\" value=\"600\"",
        "600 of 1,200 looked at: 590 sent off, 10 left out.",
        "Deliveries that failed for good.",
        "5 a second",
        "running",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }

    let failed = Replay {
        status: ReplayStatus::Failed,
        error: Some("the store can't do this".to_owned()),
        finished_at: Some(builders::MADE_AT),
        ..half
    };
    assert!(api.store.keep_replay(&failed, "test", builders::MADE_AT).await.expect("kept"));
    let page = visitor.sees(&path).await;
    assert!(page.contains("<p class=\"error\">The store can't do this.</p>"), "{page}");
    assert!(!page.contains("data-live") && !page.contains("Load again"), "it is over");
    let became = "href=\"/console/deliveries\">What became of these deliveries</a>";
    assert!(page.contains(became), "{page}");
    assert!(!new.contains(became), "it is not over");
}

#[tokio::test]
async fn running_replay_is_cancelled_and_one_that_ended_is_not() {
    let api = Api::start().await;
    let replay = begun(&api, ADMIN).await;
    let visitor = Visitor::administrator(&api).await;
    let cancel = format!("/console/replays/{}/cancel", replay.id);
    let page = visitor.does(&cancel, &[]).await;
    assert!(page.contains("The replay is cancelled."), "{page}");
    let read = api.store.replay(replay.id).await.expect("read").expect("there");
    assert_eq!(read.status, ReplayStatus::Cancelled);
    let again = visitor.post(&cancel, &[]).await;
    assert_eq!(again.status, 409);
    assert!(again.html.contains("Not possible: It is cancelled already."), "{}", again.html);
}

#[tokio::test]
async fn list_leads_to_each() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    assert!(visitor.sees("/console/replays").await.contains("No replays yet"));
    let to = callback(&api, json!({ "description": "The receiver" })).await;
    let asked = json!({ "filter": { "callback": to.id.to_string(), "event_name": "A", "status": "delivered" } });
    assert_eq!(api.call("POST", "/v1/replays", Some(asked)).await.status, 202);
    let other = begun(&api, ADMIN).await;
    let list = visitor.sees("/console/replays").await;
    assert!(list.contains(&format!("href=\"/console/replays/{}\"", other.id)), "{list}");
    assert!(list.contains("were delivered, once more to <a href"), "{list}");
    assert!(list.contains(", of events named A."), "{list}");
}

#[tokio::test]
async fn replay_of_another_account_does_not_exist() {
    let api = Api::start().await;
    let key = api.account_key("other").await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for replay in [begun(&api, &key).await, begun(&api, ADMIN).await] {
        let path = format!("/console/replays/{}", replay.id);
        assert_eq!(visitor.get(&path).await.status, 404);
        assert_eq!(visitor.post(&format!("{path}/cancel"), &[]).await.status, 404);
        let read = api.store.replay(replay.id).await.expect("read").expect("there");
        assert_eq!(read.status, ReplayStatus::Running);
    }
    assert!(visitor.sees("/console/replays").await.contains("No replays yet"));
}
