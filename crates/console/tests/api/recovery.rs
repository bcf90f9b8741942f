//! Deliveries cancelled, delivered again, and callbacks tried out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use ringback_broker::Broker as _;
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::dispatch::Novelty;
use ringback_core::{Callback, Dispatch, Event, Target, Targets, Timestamp};
use ringback_metrics::Metrics;
use ringback_runtime::{Clock as _, Shutdown};
use ringback_store::{HistoryRecord, Replays as _, Store as _};
use ringback_testkit::builders;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{self, ADMIN, Api};

const SOON: Duration = Duration::from_secs(10);

const PENDING: DeliveryState = DeliveryState::Pending {
    next_attempt_at: Timestamp::from_ms(2_000_000_000_000),
    waits: Some(WaitReason::Retry),
};
const REQUESTED: DeliveryState = DeliveryState::Cancelled(CancelReason::Requested);

pub(crate) async fn callback(api: &Api, settings: Value) -> Callback {
    let mut all = json!({ "url": "https://example.com/" });
    all.as_object_mut().expect("an object").extend(settings.as_object().expect("one").clone());
    api.stored(&api.made(all).await).await
}

/// What comes off the queue, until these many have come.
pub(crate) async fn dispatched(api: &Api, count: usize) -> Vec<Dispatch> {
    let mut consumer = api.broker.consume().await.expect("a consumer");
    let mut all = Vec::new();
    while all.len() < count {
        let next = tokio::time::timeout(SOON, consumer.next()).await;
        let next = next.unwrap_or_else(|_| panic!("{} came, and not {count}", all.len()));
        let message = next.expect("the queue is open");
        all.extend(message.dispatches);
        api.broker.ack(message.receipt);
    }
    all
}

pub(crate) fn targets(dispatch: &Dispatch) -> &[Target] {
    let Targets::These(targets) = &dispatch.targets else { panic!("it has targets") };
    targets
}

#[tokio::test]
async fn pending_delivery_is_cancelled_and_a_settled_one_is_409() {
    for (state, status) in [
        (PENDING, 200),
        (DeliveryState::Delivered, 409),
        (DeliveryState::Exhausted, 409),
        (REQUESTED, 409),
    ] {
        let api = Api::start().await;
        let to = callback(&api, json!({})).await;
        let id = api.delivery(&builders::event("A"), &to, state).await;
        let answer = api.call("POST", &format!("/v1/deliveries/{id}/cancel"), None).await;
        assert_eq!(answer.status, status, "{}", answer.json);
        if status == 200 {
            assert_eq!(answer.json["cancel_reason"], "requested");
            assert_eq!(answer.json["next_attempt_at"], Value::Null);
        } else {
            let read = api.store.delivery(id).await.expect("read").expect("there");
            assert_eq!(read.state, state);
        }
    }
}

#[tokio::test]
async fn cancel_after_the_callback_was_deleted_leaves_no_series_of_it() {
    let api = Api::start().await;
    let metrics = Metrics::default();
    let router = ringback_console::router(api.console.clone().counting(metrics.clone()));
    let kept = callback(&api, json!({})).await;
    let gone = callback(&api, json!({})).await;
    let now = api.clock.now();
    for (to, cancel) in [(&kept, "deliveries"), (&gone, "deliveries"), (&gone, "events")] {
        let event = builders::event("A");
        let delivery = api.delivery(&event, to, PENDING).await;
        if to.id == gone.id {
            api.store.delete_callback(gone.id, now).await.expect("deleted");
        }
        let id = if cancel == "events" { event.id.to_string() } else { delivery.to_string() };
        let request = Request::post(format!("/v1/{cancel}/{id}/cancel"))
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .body(Body::empty());
        let answer = router.clone().oneshot(request.expect("a request")).await.expect("answers");
        assert_eq!(answer.status(), 200, "{cancel}");
        let read = api.store.delivery(delivery).await.expect("read").expect("there");
        assert_eq!(read.state, REQUESTED, "{cancel}");
    }
    let text = metrics.to_text();
    let series = |id| format!("{{callback=\"{id}\",status=\"cancelled\"}} 1");
    assert!(text.contains(&series(kept.id)), "{text}");
    assert!(!text.contains(&gone.id.to_string()), "{text}");
}

#[tokio::test]
async fn retry_after_a_cancel_leaves_out_the_numbers_that_may_be_on_their_way() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let id = api.delivery(&builders::event("A"), &to, PENDING).await;
    api.call("POST", &format!("/v1/deliveries/{id}/cancel"), None).await;
    let answer = api.call("POST", &format!("/v1/deliveries/{id}/retry"), None).await;
    assert_eq!((answer.status, &answer.json["attempt"]), (202, &json!(4)));
}

#[tokio::test]
async fn what_is_pending_of_an_event_is_cancelled_at_once() {
    let api = Api::start().await;
    let event = builders::event("A");
    for state in [PENDING, PENDING, DeliveryState::Delivered] {
        api.delivery(&event, &callback(&api, json!({})).await, state).await;
    }
    let path = format!("/v1/events/{}/cancel", event.id);
    for cancelled in [2, 0] {
        let answer = api.call("POST", &path, None).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        assert_eq!(answer.json, json!({ "event": event.id.to_string(), "cancelled": cancelled }));
    }
    let other = api.account_key("other").await;
    assert_eq!(api.call_as(&other, "POST", &path, None).await.status, 404);
}

#[tokio::test]
async fn event_is_replayed_to_all_enabled_callbacks_that_match_now() {
    let api = Api::start().await;
    let mine = builders::event("A");
    let own = mine.account.as_str();
    let matching = callback(&api, json!({ "events": ["A"], "account": own })).await;
    let of_all = callback(&api, json!({})).await;
    callback(&api, json!({ "events": ["B"] })).await;
    callback(&api, json!({ "enabled": false })).await;
    callback(&api, json!({ "account": "other" })).await;
    api.store.record(vec![HistoryRecord::Event(mine.clone().into())]).await.expect("recorded");
    let path = format!("/v1/events/{}/replay", mine.id);
    let mut ids = HashSet::new();
    for generation in [1, 2] {
        let answer = api.call("POST", &path, None).await;
        assert_eq!((answer.status, &answer.json["generation"]), (202, &json!(generation)));
        let dispatches = dispatched(&api, 1).await;
        let to: HashSet<_> = targets(&dispatches[0]).iter().map(|it| it.callback).collect();
        assert_eq!(to, HashSet::from([matching.id, of_all.id]));
        for target in targets(&dispatches[0]) {
            assert_eq!((target.generation, target.position.attempt.get()), (generation, 1));
            let id = target.delivery(&mine).to_string();
            let told = answer.json["deliveries"].as_array().expect("ids");
            assert!(told.contains(&json!(id)));
            assert!(ids.insert(id), "each replay makes deliveries of its own");
        }
    }
    // An account's key delivers to its account's callbacks alone.
    let key = api.account_key(own).await;
    let answer = api.call_as(&key, "POST", &path, None).await;
    assert_eq!(answer.status, 202, "{}", answer.json);
    assert_eq!(targets(&dispatched(&api, 1).await[0])[0].callback, matching.id);
    let other = api.account_key("other").await;
    assert_eq!(api.call_as(&other, "POST", &path, None).await.status, 404);
}

#[tokio::test]
async fn event_is_replayed_to_callbacks_that_are_named_and_may_get_it() {
    let api = Api::start().await;
    let event = builders::event("A");
    api.store.record(vec![HistoryRecord::Event(event.clone().into())]).await.expect("recorded");
    let path = format!("/v1/events/{}/replay", event.id);
    let named = callback(&api, json!({ "events": ["B"] })).await;
    let body = json!({ "callbacks": [named.id.to_string(), named.id.to_string()] });
    assert_eq!(api.call("POST", &path, Some(body)).await.status, 202);
    let dispatches = dispatched(&api, 1).await;
    assert_eq!(targets(&dispatches[0]).len(), 1, "once, however often it is named");

    let disabled = callback(&api, json!({ "enabled": false })).await;
    let others = callback(&api, json!({ "account": "other" })).await;
    let unknown = builders::callback_id();
    let wrong = [
        (json!([]), "/callbacks", "1 to 1000"),
        (json!(["x"]), "/callbacks/0", "not a UUID"),
        (json!([named.id.to_string(), disabled.id.to_string()]), "/callbacks/1", "disabled"),
        (json!([others.id.to_string()]), "/callbacks/0", "another account"),
        (json!([unknown.to_string()]), "/callbacks/0", "no such callback"),
    ];
    for (callbacks, pointer, detail) in wrong {
        let answer = api.call("POST", &path, Some(json!({ "callbacks": callbacks }))).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{}", answer.json);
        assert!(answer.detail_at(pointer).contains(detail), "{}", answer.json);
    }
    let key = api.account_key(event.account.as_str()).await;
    let body = json!({ "callbacks": [named.id.to_string()] });
    let answer = api.call_as(&key, "POST", &path, Some(body)).await;
    assert_eq!(answer.status, 422, "an instance callback is none of an account's key");
}

#[tokio::test]
async fn bad_bulk_replay_is_422_and_names_each_place() {
    let api = Api::start().await;
    let unknown = builders::callback_id().to_string();
    for (body, pointer) in [
        (json!({ "filter": { "callback": "x" } }), "/filter/callback"),
        (json!({ "filter": { "callback": unknown } }), "/filter/callback"),
        (json!({ "filter": { "account": "a.b" } }), "/filter/account"),
        (json!({ "filter": { "event_name": "" } }), "/filter/event_name"),
        (json!({ "filter": { "status": "pending" } }), "/filter/status"),
        (json!({ "filter": { "since": "14:00" } }), "/filter/since"),
        (json!({ "filter": { "since": "2999-01-01T00:00:00Z" } }), "/filter/since"),
        (
            json!({ "filter": { "since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z" } }),
            "/filter/until",
        ),
        (json!({ "per_second": 0 }), "/per_second"),
        (json!({ "per_second": 10_001 }), "/per_second"),
        (json!({ "filter": { "nothing": 1 } }), "/filter/nothing"),
    ] {
        let answer = api.call("POST", "/v1/replays", Some(body.clone())).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{body}");
    }
    assert_eq!(api.get("/v1/replays").await["data"], json!([]));
}

#[tokio::test]
async fn bulk_replay_is_shown_listed_and_cancelled_to_its_own_account_alone() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let other = api.account_key("other").await;
    let answer = api.call_as(&key, "POST", "/v1/replays", Some(json!({}))).await;
    assert_eq!(answer.status, 202, "{}", answer.json);
    let id = answer.json["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/replays/{id}");
    assert_eq!(answer.headers["location"], path.as_str());
    assert_eq!(answer.json["filter"]["account"], "acme", "its own, named or not");
    assert_eq!(
        (&answer.json["per_second"], &answer.json["status"], &answer.json["total"]),
        (&json!(100), &json!("running"), &Value::Null)
    );
    let foreign = json!({ "filter": { "account": "other" } });
    assert_eq!(api.call_as(&key, "POST", "/v1/replays", Some(foreign)).await.status, 403);

    for (key, status, listed) in [(&key, 200, 1), (&other, 404, 0)] {
        assert_eq!(api.call_as(key, "GET", &path, None).await.status, status);
        let list = api.call_as(key, "GET", "/v1/replays", None).await;
        assert_eq!(list.json["data"].as_array().map(Vec::len), Some(listed));
    }
    assert_eq!(api.get(&path).await["id"], id.as_str());
    let cancel = format!("{path}/cancel");
    assert_eq!(api.call_as(&other, "POST", &cancel, None).await.status, 404);
    let cancelled = api.call_as(&key, "POST", &cancel, None).await;
    assert_eq!((cancelled.status, &cancelled.json["status"]), (200, &json!("cancelled")));
    assert_eq!(api.call_as(&key, "POST", &cancel, None).await.status, 409);
}

/// A delivery in the history that stands so, of an event accepted so many milliseconds after the start.
async fn kept(api: &Api, to: &Callback, state: DeliveryState, ms: u64) -> (Event, Delivery) {
    let mut event = builders::event("A");
    event.accepted_at = builders::MADE_AT - Duration::from_secs(1) + Duration::from_millis(ms);
    let delivery = harness::delivery(&event, to, state, 1);
    let record = HistoryRecord::Delivery {
        delivery: Arc::new(delivery.clone()),
        attempt: None,
        first: false,
    };
    let records = vec![HistoryRecord::Event(event.clone().into()), record];
    api.store.record(records).await.expect("recorded");
    (event, delivery)
}

/// Has bulk replays worked on until this is dropped.
struct Working(Shutdown);

impl Working {
    fn start(api: &Api) -> Self {
        let (shutdown, console) = (Shutdown::new(), api.console.clone());
        let stop = shutdown.clone();
        api.tasks.start(async move { console.replay(stop).await.expect("never fails") });
        Self(shutdown)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.request();
    }
}

async fn finished(api: &Api, id: &str) -> Value {
    let wait = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let replay = api.get(&format!("/v1/replays/{id}")).await;
            if replay["status"] != "running" {
                return replay;
            }
            // The pause between two pages.
            api.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("it comes to its end")
}

async fn asked(api: &Api, key: &str, body: Value) -> String {
    let answer = api.call_as(key, "POST", "/v1/replays", Some(body)).await;
    assert_eq!(answer.status, 202, "{}", answer.json);
    answer.json["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn bulk_replay_makes_the_next_attempt_of_what_failed_oldest_first() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let mut expected = Vec::new();
    for ms in [5, 3, 4, 1, 2] {
        expected.push((ms, kept(&api, &to, DeliveryState::Exhausted, ms).await.1.id));
    }
    kept(&api, &to, DeliveryState::Delivered, 6).await;
    kept(&api, &to, REQUESTED, 7).await;
    expected.sort_unstable();
    let id = asked(&api, harness::ADMIN, json!({ "per_second": 8 })).await;
    let working = Working::start(&api);
    let replay = finished(&api, &id).await;
    assert_eq!((&replay["total"], &replay["replayed"]), (&json!(5), &json!(5)), "{replay}");
    let dispatches = dispatched(&api, 5).await;
    for (dispatch, (_, id)) in dispatches.iter().zip(&expected) {
        let [target] = targets(dispatch) else { panic!("one target") };
        assert_eq!(target.delivery(&dispatch.event), *id);
        assert_eq!(target.position.attempt.get(), 2);
        assert!(target.is_by_hand(), "a series of its own");
        assert_eq!(dispatch.novelty, Novelty::PerhapsRepeated, "a page may come twice");
    }
    drop(working);
}

#[tokio::test]
async fn bulk_replay_of_what_is_delivered_makes_new_deliveries_and_the_same_ones_if_it_is_repeated()
{
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let (event, delivered) = kept(&api, &to, DeliveryState::Delivered, 1).await;
    let body = json!({ "filter": { "status": "delivered" } });
    let id = asked(&api, harness::ADMIN, body.clone()).await;
    // As if a console had died between publishing and saving how far it is.
    let job = api.store.replay(id.parse().expect("an id")).await.expect("read").expect("there");
    let working = Working::start(&api);
    finished(&api, &id).await;
    let first = targets(&dispatched(&api, 1).await[0])[0];
    assert_eq!((first.position.attempt.get(), first.callback), (1, to.id));
    assert_ne!(first.delivery(&event), delivered.id);
    assert!(first.generation > Target::COUNTED_MAX && !first.is_trial());
    drop(working);

    let again = Api::start().await;
    again.store.create_callback(&to).await.expect("written");
    let records = vec![
        HistoryRecord::Event(event.clone().into()),
        HistoryRecord::Delivery { delivery: Arc::new(delivered), attempt: None, first: false },
    ];
    again.store.record(records).await.expect("recorded");
    again.store.create_replay(&job).await.expect("written");
    let _working = Working::start(&again);
    finished(&again, &id).await;
    assert_eq!(targets(&dispatched(&again, 1).await[0])[0], first);
}

#[tokio::test]
async fn bulk_replay_skips_what_can_not_be_delivered_again() {
    let api = Api::start().await;
    let account = builders::event("A").account;
    let own = callback(&api, json!({ "account": account.as_str() })).await;
    let of_all = callback(&api, json!({})).await;
    let disabled = callback(&api, json!({ "account": account.as_str(), "enabled": false })).await;
    let deleted = callback(&api, json!({ "account": account.as_str() })).await;
    api.call("DELETE", &format!("/v1/callbacks/{}", deleted.id), None).await;
    for (to, ms) in [(&own, 1), (&of_all, 2), (&disabled, 3), (&deleted, 4)] {
        kept(&api, to, DeliveryState::Exhausted, ms).await;
    }
    let mut trial = harness::delivery(&builders::event("A"), &own, DeliveryState::Exhausted, 1);
    trial.generation = Target::TRIAL;
    trial.created_at = builders::MADE_AT - Duration::from_secs(1);
    let record = HistoryRecord::Delivery { delivery: Arc::new(trial), attempt: None, first: false };
    api.store.record(vec![record]).await.expect("recorded");
    let key = api.account_key(account.as_str()).await;
    let _working = Working::start(&api);
    for (key, replayed, skipped) in [(&*key, 1, 4), (harness::ADMIN, 2, 3)] {
        let id = asked(&api, key, json!({})).await;
        let replay = finished(&api, &id).await;
        let told = (&replay["replayed"], &replay["skipped"], &replay["progress"]);
        assert_eq!(told, (&json!(replayed), &json!(skipped), &json!(1.0)), "{replay}");
        let to: Vec<_> = dispatched(&api, replayed).await;
        assert_eq!(targets(&to[0])[0].callback, own.id);
    }
}

#[tokio::test]
async fn trial_goes_to_its_callback_alone_and_its_attempt_is_the_answer() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "events": ["B"], "account": "acme" })).await;
    let path = format!("/v1/callbacks/{}/test", to.id);
    let body = json!({ "event": "A", "variables": { "X": 178 } });
    let worker = async {
        let dispatch = api.dispatched().await;
        let [target] = targets(&dispatch) else { panic!("one target") };
        assert!(target.is_trial() && target.callback == to.id);
        assert_eq!((dispatch.event.name.as_str(), dispatch.event.account.as_str()), ("A", "acme"));
        assert_eq!(dispatch.event.variables.get("X").map(|it| it.get()), Some("178"));
        let delivery = Delivery {
            id: target.delivery(&dispatch.event),
            generation: target.generation,
            ..harness::delivery(&dispatch.event, &to, DeliveryState::Exhausted, 1)
        };
        let HistoryRecord::Delivery { attempt, .. } =
            harness::record(&dispatch.event, &to, DeliveryState::Exhausted)
        else {
            panic!("a delivery")
        };
        let attempt = attempt.map(|it| {
            let delivery = delivery.id;
            Arc::new(ringback_core::delivery::Attempt { delivery, ..(*it).clone() })
        });
        let record =
            HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first: false };
        api.store.record(vec![record]).await.expect("recorded");
    };
    let (answer, ()) = tokio::join!(api.call("POST", &path, Some(body)), worker);
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("exhausted")));
    assert_eq!(answer.json["attempt"]["response"]["status"], 500, "{}", answer.json);
}

#[tokio::test]
async fn trial_that_nobody_tries_in_time_is_202_and_names_its_delivery() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "timeout_ms": 1_000 })).await;
    let path = format!("/v1/callbacks/{}/test", to.id);
    let time = async {
        let until = api.clock.now() + Duration::from_secs(11);
        while api.clock.now() < until {
            api.clock.wait_for_sleeper(SOON).await;
            api.clock.advance(Duration::from_millis(500));
        }
    };
    let (answer, ()) = tokio::join!(api.call("POST", &path, None), time);
    assert_eq!((answer.status, &answer.json["attempt"]), (202, &Value::Null), "{}", answer.json);
    let dispatch = api.dispatched().await;
    assert_eq!(dispatch.event.name.as_str(), "ringback.test");
    let id = targets(&dispatch)[0].delivery(&dispatch.event).to_string();
    assert_eq!(answer.json["delivery"], id.as_str());
}

#[tokio::test]
async fn callback_that_takes_nothing_now_can_not_be_tried_out() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "account": "acme" })).await;
    let path = format!("/v1/callbacks/{}", to.id);
    let test = format!("{path}/test");
    let other = api.account_key("other").await;
    assert_eq!(api.call_as(&other, "POST", &test, None).await.status, 404);
    let bad = api.call("POST", &test, Some(json!({ "event": "a b" }))).await;
    assert_eq!((bad.status, bad.pointers()), (422, vec!["/event"]));
    api.call("PATCH", &path, Some(json!({ "enabled": false }))).await;
    let disabled = api.call("POST", &test, None).await;
    assert_eq!(disabled.json["detail"], "it is disabled: enable it first");
}
