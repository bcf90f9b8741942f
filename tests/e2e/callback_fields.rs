//! Every field of a callback does something: changing it changes what goes over the wire, or when, or whether.
//!
//! A table of fields, each with what is to be seen of it; one test runs it, another sees to it that no field of the
//! API's answer is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use ringback_testkit::{Behaviour, Received, Receiver};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Api, Ringback, SOON, eventually, text, with};

/// Fields, named by JSON pointers into the callback, and what is to be seen of them.
type Row = (&'static [&'static str], for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, ()>);

/// What says something of a callback and nothing of its requests. `warnings` comes with what was just saved.
const NOT_ON_THE_WIRE: [&str; 6] =
    ["/id", "/description", "/disabled_reason", "/created_at", "/updated_at", "/warnings"];

const TABLE: [Row; 17] = [
    (&["/url"], |bench| bench.url().boxed_local()),
    (&["/method"], |bench| bench.method().boxed_local()),
    (&["/format"], |bench| bench.format().boxed_local()),
    (
        &[
            "/authorization/type",
            "/authorization/username",
            "/authorization/password",
            "/authorization/token",
            "/authorization/value",
            "/authorization/key",
        ],
        |bench| bench.authorization().boxed_local(),
    ),
    (&["/headers"], |bench| bench.headers().boxed_local()),
    (&["/enabled"], |bench| bench.enabled().boxed_local()),
    (&["/paused"], |bench| bench.paused().boxed_local()),
    (&["/account"], |bench| bench.account().boxed_local()),
    (&["/events"], |bench| bench.events().boxed_local()),
    (&["/retry/enabled", "/retry/max_retries"], |bench| bench.retries().boxed_local()),
    (&["/retry/delay_seconds", "/retry/backoff"], |bench| bench.delay().boxed_local()),
    (&["/retry/factor", "/retry/max_delay_seconds"], |bench| bench.growth().boxed_local()),
    (&["/timeout_ms"], |bench| bench.timeout().boxed_local()),
    (&["/rate_limit/per_second", "/rate_limit/burst"], |bench| bench.rate_limit().boxed_local()),
    (&["/max_in_flight"], |bench| bench.max_in_flight().boxed_local()),
    (&["/circuit/enabled", "/circuit/failures", "/circuit/open_seconds"], |bench| {
        bench.circuit().boxed_local()
    }),
    // No field of the answer, for a secret is not shown there, but one of the callback's.
    (&["signing secret"], |bench| bench.signing_secret().boxed_local()),
];

#[tokio::test]
async fn every_field_of_a_callback_changes_what_goes_over_the_wire() {
    let ringback = Ringback::start().await;
    let rows = TABLE.iter().zip(1..).map(async |((_, check), number)| {
        let receiver = Receiver::start().await.expect("a port");
        // An account for each, so that none gets another's events.
        let account = format!("row-{number}");
        check(&Bench { api: ringback.api.clone(), receiver, account }).await;
    });
    join_all(rows).await;
}

#[tokio::test]
async fn no_field_of_a_callbacks_answer_is_missing_from_the_table() {
    let ringback = Ringback::start().await;
    let mut fields = BTreeSet::new();
    for authorization in [
        json!({ "type": "basic", "username": "u", "password": "p" }),
        json!({ "type": "bearer", "token": "t" }),
        json!({ "type": "header", "value": "v" }),
        json!({ "type": "callback_key", "key": "k" }),
    ] {
        let callback = json!({
            "url": "https://receiver.example/", "authorization": authorization, "rate_limit": { "per_second": 1 },
            "retry": { "backoff": "exponential" },
        });
        let made = ringback.api.post("/v1/callbacks", &callback).await.expect(201);
        leaves(&made, String::new(), &mut fields);
    }
    let known: BTreeSet<String> = TABLE
        .iter()
        .flat_map(|(fields, _)| fields.iter())
        .chain(&NOT_ON_THE_WIRE)
        .filter(|field| field.starts_with('/'))
        .map(|field| (*field).to_owned())
        .collect();
    assert_eq!(fields, known);
}

/// Pointers to the members of an object that are no objects themselves. The names of headers are for everybody to choose.
fn leaves(value: &Value, pointer: String, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if pointer != "/headers" => {
            for (name, member) in members {
                leaves(member, format!("{pointer}/{name}"), into);
            }
        }
        _ => _ = into.insert(pointer),
    }
}

/// One row's own receiver and account.
struct Bench {
    api: Api,
    receiver: Receiver,
    account: String,
}

/// The requests that came of one event, in order.
type Series = Vec<Received>;

impl Bench {
    /// A callback with these settings that is tried once, and its id.
    async fn made(&self, path: &str, settings: &Value) -> String {
        let callback = json!({
            "url": self.receiver.url(path), "account": self.account, "retry": { "enabled": false },
            "circuit": { "enabled": false },
        });
        self.api.create_callback(&with(callback, settings.clone())).await
    }

    fn event(&self) -> Value {
        let variables = json!({ "COMMENT_ID": 178, "COMMENT": "Needs more cowbell" });
        json!({ "name": "COMMENT_CREATED", "account": self.account, "variables": variables })
    }

    /// Returns once so many deliveries to this callback are settled.
    async fn settled(&self, callback: &str, deliveries: usize) {
        let what = format!("{deliveries} settled deliveries of {}", self.account);
        eventually(&what, SOON, async || {
            let list = self.api.list(&format!("/v1/deliveries?callback={callback}")).await;
            let settled = list.iter().filter(|delivery| delivery["status"] != "pending").count();
            (settled == deliveries).then_some(())
        })
        .await;
    }

    /// Sends so many events to a callback with these settings at a receiver that behaves so. The requests, by event.
    async fn run(
        &self,
        behaviour: impl Into<Behaviour>,
        settings: Value,
        events: usize,
    ) -> Vec<Series> {
        let path = format!("/{}", self.receiver.total());
        self.receiver.on(&path, behaviour);
        let id = self.made(&path, &settings).await;
        let all: Vec<_> = (0..events).map(|_| self.event()).collect();
        self.api.post("/v1/events", &json!(all)).await.expect(202);
        self.settled(&id, events).await;
        self.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        for request in self.receiver.requests_to(&path) {
            series.entry(request.webhook_id().to_owned()).or_default().push(request);
        }
        assert_eq!(series.len(), events, "{}: {settings}", self.account);
        series.into_values().collect()
    }

    /// The one request that comes of one event with these settings.
    async fn request(&self, settings: Value) -> Received {
        let mut series = self.run(Behaviour::status(204), settings, 1).await;
        series.remove(0).remove(0)
    }

    fn at_hook(&self) -> usize {
        self.receiver.requests_to("/hook").len()
    }

    /// Sends an event that the callback at `/hook` gets.
    async fn gets(&self, event: &Value) {
        let before = self.at_hook();
        self.api.send(event).await;
        let at_hook = |request: &&Received| request.uri.path() == "/hook";
        self.receiver
            .wait_until("request to the callback", SOON, |requests| {
                requests.iter().filter(at_hook).count() > before
            })
            .await;
    }

    /// Sends an event that the callback at `/hook` does not get, and another one does. Should it come later all the same,
    /// whoever counts in the end finds one too many.
    async fn does_not_get(&self, event: &Value) {
        let before = self.at_hook();
        let barrier = json!({ "url": self.receiver.url("/barrier"), "account": event["account"] });
        let barrier = self.api.create_callback(&barrier).await;
        self.api.send(event).await;
        self.settled(&barrier, 1).await;
        self.api.delete(&format!("/v1/callbacks/{barrier}")).await.expect(204);
        assert_eq!(self.at_hook(), before, "{event}");
    }

    async fn patch(&self, id: &str, patch: Value) {
        self.api.patch(&format!("/v1/callbacks/{id}"), &patch).await.expect(200);
    }

    async fn url(&self) {
        let id = self.made("/hook", &json!({})).await;
        self.gets(&self.event()).await;
        self.patch(&id, json!({ "url": self.receiver.url("/other/{COMMENT_ID}") })).await;
        self.api.send(&self.event()).await;
        self.settled(&id, 2).await;
        assert_eq!(self.at_hook(), 1);
        assert_eq!(self.receiver.requests_to("/other/178").len(), 1);
    }

    async fn method(&self) {
        let post = self.request(json!({ "method": "POST" })).await;
        let get = self.request(json!({ "method": "GET" })).await;
        assert_eq!((post.method.as_str(), post.body.is_empty()), ("POST", false));
        assert_eq!((get.method.as_str(), get.body.is_empty()), ("GET", true));
    }

    async fn format(&self) {
        for (format, content_type, beginning) in [
            ("form", "application/x-www-form-urlencoded", "EVENT_GUID="),
            ("json", "application/json", "{\"id\":"),
            ("cloudevents", "application/cloudevents+json", "{"),
            ("conga-sign", "application/json", "{\"@class\":"),
        ] {
            let request = self.request(json!({ "format": format })).await;
            let said = request.header("content-type").to_owned();
            assert!(said.starts_with(content_type), "{format}: {said}");
            let body = String::from_utf8_lossy(&request.body).into_owned();
            assert!(body.starts_with(beginning), "{format}: {body}");
        }
    }

    async fn authorization(&self) {
        for (authorization, sent) in [
            (json!({ "type": "none" }), None),
            (json!({ "type": "basic", "username": "u", "password": "p" }), Some("Basic dTpw")),
            (json!({ "type": "basic", "username": "v", "password": "p" }), Some("Basic djpw")),
            (json!({ "type": "basic", "username": "u", "password": "q" }), Some("Basic dTpx")),
            (json!({ "type": "bearer", "token": "t1" }), Some("Bearer t1")),
            (json!({ "type": "bearer", "token": "t2" }), Some("Bearer t2")),
            (json!({ "type": "header", "value": "Any thing" }), Some("Any thing")),
            (json!({ "type": "header", "value": "Other" }), Some("Other")),
            (json!({ "type": "callback_key", "key": "k1" }), Some("Basic k1")),
            (json!({ "type": "callback_key", "key": "k2" }), Some("Basic k2")),
        ] {
            let request = self.request(json!({ "authorization": authorization })).await;
            let header = request.headers.get("authorization");
            let header = header.map(|value| value.to_str().expect("text"));
            assert_eq!(header, sent, "{authorization}");
        }
    }

    async fn headers(&self) {
        let without = self.request(json!({ "headers": {} })).await;
        let with = self
            .request(json!({ "headers": { "X-Team": "billing", "Accept": "text/plain" } }))
            .await;
        assert!(!without.headers.contains_key("x-team"));
        assert_eq!((with.header("x-team"), with.header("accept")), ("billing", "text/plain"));
    }

    async fn enabled(&self) {
        let id = self.made("/hook", &json!({ "enabled": false })).await;
        self.does_not_get(&self.event()).await;
        self.patch(&id, json!({ "enabled": true })).await;
        self.gets(&self.event()).await;
        assert_eq!(self.at_hook(), 1);
    }

    async fn paused(&self) {
        let id = self.made("/hook", &json!({})).await;
        self.api.post(&format!("/v1/callbacks/{id}/pause"), &json!({})).await.expect(200);
        self.does_not_get(&self.event()).await;
        self.api.post(&format!("/v1/callbacks/{id}/resume"), &json!({})).await.expect(200);
        self.settled(&id, 1).await;
        assert_eq!(self.at_hook(), 1, "what was kept comes now");
    }

    async fn account(&self) {
        let others = with(self.event(), json!({ "account": format!("{}-other", self.account) }));
        let id = self.made("/hook", &json!({})).await;
        self.gets(&self.event()).await;
        self.does_not_get(&others).await;
        self.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
        // All accounts: those of the other rows, too, so it takes a name that they have not.
        let settings = json!({ "account": null, "events": ["ACCOUNT_ROW"] });
        let id = self.made("/hook", &settings).await;
        let name = json!({ "name": "ACCOUNT_ROW" });
        self.gets(&with(self.event(), name.clone())).await;
        self.gets(&with(others, name)).await;
        self.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
        assert_eq!(self.at_hook(), 3);
    }

    async fn events(&self) {
        let id = self.made("/hook", &json!({ "events": ["PACKAGE_*"] })).await;
        let package = with(self.event(), json!({ "name": "PACKAGE_SENT" }));
        self.gets(&package).await;
        self.does_not_get(&self.event()).await;
        self.patch(&id, json!({ "events": ["COMMENT_CREATED"] })).await;
        self.does_not_get(&package).await;
        self.gets(&self.event()).await;
        assert_eq!(self.at_hook(), 2);
    }

    /// How many requests come of one event that is always answered with 500.
    async fn failing(&self, retry: Value) -> Series {
        self.run(Behaviour::status(500), json!({ "retry": retry }), 1).await.remove(0)
    }

    async fn retries(&self) {
        for (enabled, max_retries, requests) in
            [(true, 0, 1), (true, 1, 2), (true, 3, 4), (false, 3, 1)]
        {
            let retry =
                json!({ "enabled": enabled, "max_retries": max_retries, "delay_seconds": 0 });
            assert_eq!(self.failing(retry.clone()).await.len(), requests, "{retry}");
        }
    }

    async fn delay(&self) {
        let at_once = self.failing(json!({ "delay_seconds": 0, "max_retries": 1 })).await;
        let later = self.failing(json!({ "delay_seconds": 2, "max_retries": 1 })).await;
        assert!(gaps(&at_once)[0] < Duration::from_millis(1_500), "{:?}", gaps(&at_once));
        assert!(gaps(&later)[0] >= Duration::from_secs(2), "{:?}", gaps(&later));
        // Fixed is never shorter. Exponential is anything up to it: that none of so many is, is out of the question.
        let shortest = async |backoff: &str, factor: Value| {
            let retry = json!({ "delay_seconds": 1, "max_retries": 1, "backoff": backoff, "factor": factor });
            let settings = json!({ "retry": retry });
            let runs = self.run(Behaviour::status(500), settings, 32).await;
            runs.iter().map(|series| gaps(series)[0]).min().expect("some ran")
        };
        assert!(shortest("fixed", Value::Null).await >= Duration::from_secs(1));
        assert!(shortest("exponential", json!(1)).await < Duration::from_secs(1));
    }

    async fn growth(&self) {
        // The wait before the second retry, the longest of many: up to half a second times the factor.
        let longest = async |factor: u32, max_delay_seconds: Value| {
            let retry = json!({
                "delay_seconds": 0.5, "max_retries": 2, "backoff": "exponential", "factor": factor,
                "max_delay_seconds": max_delay_seconds,
            });
            let runs = self.run(Behaviour::status(500), json!({ "retry": retry }), 16).await;
            runs.iter().map(|series| gaps(series)[1]).max().expect("some ran")
        };
        let limit = Duration::from_millis(1_500);
        assert!(longest(1, Value::Null).await < limit);
        assert!(longest(10, Value::Null).await > limit);
        assert!(longest(10, json!(0.5)).await < limit);
    }

    async fn timeout(&self) {
        for (timeout_ms, at_least, less_than) in [(300, 300, 1_500), (2_000, 1_500, 10_000)] {
            let run = self.run(Behaviour::Hang, json!({ "timeout_ms": timeout_ms }), 1).await;
            let request = &run[0][0];
            let ended = request.ended.expect("it was given up on");
            let range = Duration::from_millis(at_least)..Duration::from_millis(less_than);
            // A connection is a moment older than the request on it.
            let took = ended - request.arrived + Duration::from_millis(100);
            assert!(range.contains(&took), "{timeout_ms}: {took:?}");
        }
    }

    async fn rate_limit(&self) {
        // From the first to the last of four.
        let span = async |limit: Value| {
            let runs = self.run(Behaviour::status(204), json!({ "rate_limit": limit }), 4).await;
            let arrived: Vec<_> = runs.iter().map(|series| series[0].arrived).collect();
            *arrived.iter().max().expect("four") - *arrived.iter().min().expect("four")
        };
        let limit = Duration::from_millis(1_400);
        assert!(span(Value::Null).await < limit);
        assert!(span(json!({ "per_second": 2, "burst": 1 })).await > limit);
        assert!(span(json!({ "per_second": 2, "burst": 4 })).await < limit);
        assert!(span(json!({ "per_second": 1_000, "burst": 1 })).await < limit);
    }

    async fn max_in_flight(&self) {
        let most_at_once = async |max_in_flight: u32| {
            let slow = Behaviour::slow(Duration::from_millis(500));
            let runs = self.run(slow, json!({ "max_in_flight": max_in_flight }), 4).await;
            let open_at = |moment| {
                let open = |request: &Received| {
                    request.arrived <= moment && request.ended.is_none_or(|ended| ended > moment)
                };
                runs.iter().flatten().filter(|request| open(request)).count()
            };
            runs.iter().flatten().map(|request| open_at(request.arrived)).max().expect("four ran")
        };
        assert_eq!(most_at_once(1).await, 1);
        assert!(most_at_once(4).await > 1);
    }

    async fn circuit(&self) {
        // The longest wait between three requests that fail and would follow each other at once.
        let longest = async |circuit: Value| {
            let retry = json!({ "delay_seconds": 0, "max_retries": 2 });
            let settings = json!({ "retry": retry, "circuit": circuit });
            let run = self.run(Behaviour::status(500), settings, 1).await;
            gaps(&run[0]).into_iter().max().expect("three came")
        };
        let seconds = Duration::from_secs;
        let circuit = |enabled: bool, failures: u32, open_seconds: u32| json!({ "enabled": enabled, "failures": failures, "open_seconds": open_seconds });
        let (short, long) =
            (longest(circuit(true, 2, 2)).await, longest(circuit(true, 2, 5)).await);
        assert!((seconds(2)..seconds(5)).contains(&short), "{short:?}");
        assert!(long >= seconds(5), "{long:?}");
        for closed in [circuit(false, 2, 5), circuit(true, 3, 5)] {
            let gap = longest(closed.clone()).await;
            assert!(gap < seconds(2), "{closed}: {gap:?}");
        }
    }

    async fn signing_secret(&self) {
        let mut secrets = Vec::new();
        for path in ["/first", "/second"] {
            let id = self.made(path, &json!({})).await;
            let answer = self.api.get(&format!("/v1/callbacks/{id}/secret")).await.expect(200);
            secrets.push(text(&answer["secret"]));
        }
        self.api.send(&self.event()).await;
        self.receiver.wait_for_ended(2, SOON).await;
        for (path, own) in [("/first", 0), ("/second", 1)] {
            let request = &self.receiver.requests_to(path)[0];
            for (number, secret) in secrets.iter().enumerate() {
                let verifier = Webhook::new(secret).expect("a secret");
                let holds = verifier.verify(&request.body, &request.headers).is_ok();
                assert_eq!(holds, number == own, "{path}, secret {number}");
            }
        }
    }
}

/// The waits between the requests of one event.
fn gaps(series: &[Received]) -> Vec<Duration> {
    series.windows(2).map(|pair| pair[1].arrived - pair[0].arrived).collect()
}
