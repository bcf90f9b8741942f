//! What `/metrics` tells is what happened: it agrees with what a receiver counted and with what the API answered.

use std::time::Duration;

use reqwest::Method;
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use crate::support::{Api, Ringback, SOON, callback, callback_once, event, eventually, text, with};

/// What one or several processes told at a moment.
pub(crate) struct Scrape(String);

impl Scrape {
    /// Asks all of these.
    pub(crate) async fn of<'a>(apis: impl IntoIterator<Item = &'a Api>) -> Self {
        let mut told = String::new();
        for api in apis {
            told.push_str(&api.text("/metrics").await);
        }
        Self(told)
    }

    /// The values of the series with this name and these labels, others besides or not.
    pub(crate) fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let is_wanted = |of: &str| {
            labels.iter().all(|(label, value)| of.contains(&format!("{label}=\"{value}\"")))
        };
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (of, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            is_wanted(of).then(|| value.parse().expect("a number"))
        };
        self.0.lines().filter_map(value).collect()
    }

    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.values(name, labels).iter().sum()
    }
}

/// A callback, what its endpoint does, and what is to be counted of it for each event.
pub(crate) struct Expected {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    behaviour: Behaviour,
    settings: Value,
    /// For each event: outcome and how often.
    attempts: &'static [(&'static str, u32)],
    status: &'static str,
    retries: u32,
}

/// One of each kind.
pub(crate) fn expected() -> [Expected; 6] {
    let once = json!({"retry": {"enabled": false}});
    let of = |path, name, behaviour| Expected {
        path,
        name,
        behaviour,
        settings: json!({}),
        attempts: &[("success", 1)],
        status: "delivered",
        retries: 0,
    };
    [
        of("/well", "WELL", Behaviour::status(204)),
        Expected {
            attempts: &[("success", 1), ("http_error", 2)],
            retries: 2,
            ..of("/recovers", "RECOVERS", Behaviour::fail_first(2, 500))
        },
        Expected {
            attempts: &[("http_error", 3)],
            retries: 2,
            status: "exhausted",
            ..of("/never", "NEVER", Behaviour::status(503))
        },
        Expected {
            attempts: &[("timeout", 1)],
            status: "exhausted",
            settings: with(once.clone(), json!({"timeout_ms": 1_500})),
            ..of("/hangs", "HANGS", Behaviour::Hang)
        },
        Expected {
            attempts: &[("connection", 1)],
            status: "exhausted",
            settings: once,
            ..of("/breaks", "BREAKS", Behaviour::CloseAfterRequest)
        },
        Expected {
            attempts: &[("http_error", 1)],
            retries: 1,
            status: "cancelled",
            settings: json!({"retry": {"delay_seconds": 3_600}}),
            ..of("/given-up", "GIVEN_UP", Behaviour::status(500))
        },
    ]
}

/// The callbacks of these, in the same order, made.
pub(crate) async fn make(api: &Api, receiver: &Receiver, expected: &[Expected]) -> Vec<String> {
    let mut ids = Vec::new();
    for Expected { path, name, behaviour, settings, .. } in expected {
        receiver.on(path, behaviour.clone());
        let own = json!({"events": [name], "circuit": {"enabled": false}, "max_in_flight": 100});
        let made = with(with(callback(&receiver.url(path)), own), settings.clone());
        ids.push(api.create_callback(&made).await);
    }
    ids
}

/// Once all is settled that will be, cancels what is left: in turn by itself, and with its event.
pub(crate) async fn cancel_the_rest(api: &Api, left: usize) {
    let pending = eventually("nothing but what is given up", SOON, async || {
        let pending = api.list("/v1/deliveries?status=pending").await;
        let waits = |delivery: &Value| {
            delivery["event_name"] == "GIVEN_UP" && delivery["attempts_made"] == 1
        };
        (pending.len() == left && pending.iter().all(waits)).then_some(pending)
    });
    for (delivery, number) in pending.await.iter().zip(0..) {
        let path = match number % 2 {
            0 => format!("/v1/deliveries/{}/cancel", text(&delivery["id"])),
            _ => format!("/v1/events/{}/cancel", text(&delivery["event"])),
        };
        api.post(&path, &json!({})).await.expect(200);
    }
}

/// Fails unless every number is exact. What is settled is counted a moment later.
pub(crate) async fn assert_counted(
    apis: &[&Api],
    receiver: &Receiver,
    callbacks: &[(Expected, String)],
    events: u32,
) {
    let mut told = String::new();
    let counted = tokio::time::timeout(SOON, async {
        loop {
            let scrape = Scrape::of(apis.iter().copied()).await;
            told = callbacks.iter().flat_map(|it| faults(&scrape, receiver, it, events)).collect();
            if told.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(counted.await.is_ok(), "{told}");
}

fn faults(
    scrape: &Scrape,
    receiver: &Receiver,
    (expected, id): &(Expected, String),
    events: u32,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |name: &str, label: &str, value: &str, wanted: u32| {
        let labels = [("callback", id.as_str()), (label, value)];
        let labels = if label.is_empty() { &labels[..1] } else { &labels[..] };
        let counted = scrape.sum(name, labels);
        if (counted - f64::from(wanted)).abs() > f64::EPSILON {
            let path = expected.path;
            faults.push(format!("{path}: {name} {value}: {counted} and not {wanted}\n"));
        }
    };
    for outcome in ["success", "http_error", "timeout", "connection", "blocked"] {
        let of = expected.attempts.iter().find(|(known, _)| *known == outcome);
        let wanted = of.map_or(0, |(_, times)| times * events);
        check("ringback_attempts_total", "outcome", outcome, wanted);
    }
    // Not what was planned, but what came.
    let came = u32::try_from(receiver.requests_to(expected.path).len()).expect("few");
    check("ringback_attempts_total", "", "", came);
    check("ringback_attempt_duration_seconds_count", "", "", came);
    for status in ["delivered", "exhausted", "cancelled"] {
        let wanted = if status == expected.status { events } else { 0 };
        check("ringback_deliveries_total", "status", status, wanted);
    }
    let delivered = if expected.status == "delivered" { events } else { 0 };
    check("ringback_delivery_latency_seconds_count", "", "", delivered);
    let retries = expected.retries * events;
    check("ringback_retries_scheduled_total", "reason", "failure", retries);
    check("ringback_retries_scheduled_total", "", "", retries);
    check("ringback_deliveries_in_flight", "", "", 0);
    faults
}

#[tokio::test]
async fn numbers_agree_with_what_the_receiver_counted() {
    const EVENTS: u32 = 6;
    let ringback = Ringback::start().await;
    let api = &ringback.api;
    let receiver = Receiver::start().await.expect("a port");
    let expected = expected();
    let ids = make(api, &receiver, &expected).await;
    for _ in 0..EVENTS {
        for one in &expected {
            api.send(&event(one.name)).await;
        }
    }
    refuse_some(api).await;
    cancel_the_rest(api, EVENTS as usize).await;
    let callbacks: Vec<_> = expected.into_iter().zip(ids).collect();
    assert_counted(&[api], &receiver, &callbacks, EVENTS).await;

    let scrape = Scrape::of([api]).await;
    let sources = [("source", "http")];
    let accepted = f64::from(EVENTS) * 6.0 + 2.0;
    assert_eq!(scrape.sum("ringback_events_accepted_total", &sources), accepted);
    assert_eq!(scrape.sum("ringback_events_accepted_total", &[("source", "amqp")]), 0.0);
    assert_eq!(scrape.sum("ringback_events_repeated_total", &sources), 1.0);
    let requests = scrape.sum("ringback_accept_duration_seconds_count", &sources);
    assert_eq!(requests, accepted + 1.0, "the array is one request, the repeat another");
    for (reason, events) in
        [("unauthorized", 1.0), ("not_json", 1.0), ("content_type", 1.0), ("invalid", 2.0)]
    {
        let labels = [("source", "http"), ("reason", reason)];
        assert_eq!(scrape.sum("ringback_events_rejected_total", &labels), events, "{reason}");
    }
    let build = [("role", "serve"), ("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(scrape.values("ringback_build_info", &build), [1.0]);
    assert_eq!(scrape.sum("ringback_dependency_up", &[]), 3.0);

    eventually("nothing that is held", SOON, async || {
        let scrape = Scrape::of([api]).await;
        (scrape.values("ringback_dispatches_held", &[]) == [0.0]).then_some(())
    })
    .await;

    // The series of a callback go with it, and no others.
    let (first, second) = (&callbacks[0].1, &callbacks[1].1);
    api.delete(&format!("/v1/callbacks/{first}")).await.expect(204);
    eventually("end of its series", SOON, async || {
        let scrape = Scrape::of([api]).await;
        let attempts =
            |id: &str| scrape.values("ringback_attempts_total", &[("callback", id)]).len();
        (attempts(first) == 0 && attempts(second) == 5).then_some(())
    })
    .await;
}

/// Two events are accepted, one is repeated, and five are refused.
async fn refuse_some(api: &Api) {
    let nobody = api.with_key("rbk_00000000000000000000000000000000");
    nobody.post("/v1/events", &event("WRONG_KEY")).await.expect(401);
    let send = async |body: &str, headers: &[(&str, &str)]| {
        let body = Some(body.to_owned());
        let answer = api.request(Method::POST, "/v1/events", body, headers).await;
        answer.expect("an answer").status
    };
    assert_eq!(send("{", &[]).await, 400);
    assert_eq!(send("{}", &[("content-type", "text/plain")]).await, 415);
    assert_eq!(send(r#"{"name": "NO ACCOUNT"}"#, &[]).await, 422);
    let id = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
    let chosen = with(event("NOBODYS"), json!({"id": id}));
    api.send(&chosen).await;
    api.send(&chosen).await;
    let array = json!([event("NOBODYS"), {"name": ""}]);
    api.post("/v1/events", &array).await.expect(202);
}

/// Whoever is over the limit counts with the others, and a place that is free is used again.
#[tokio::test]
async fn callbacks_beyond_the_limit_count_as_other() {
    let setting =
        |launch: ringback_testkit::Launch| launch.env("RINGBACK_METRICS_CALLBACKS_MAX", "1");
    let ringback = Ringback::start_with(setting).await;
    let api = &ringback.api;
    let receiver = Receiver::start().await.expect("a port");
    let mut ids = Vec::new();
    for name in ["FIRST", "SECOND", "THIRD"] {
        let only = json!({"events": [name]});
        ids.push(api.create_callback(&with(callback_once(&receiver.url("/hook")), only)).await);
    }
    let counted = async |callback: &str, name: &str| {
        api.settled_delivery(&api.send(&event(name)).await).await;
        eventually("its count", SOON, async || {
            let labels = [("callback", callback), ("status", "delivered")];
            let scrape = Scrape::of([api]).await;
            scrape
                .values("ringback_deliveries_total", &labels)
                .first()
                .copied()
                .filter(|count| *count > 0.0)
        })
        .await
    };
    assert_eq!(counted(&ids[0], "FIRST").await, 1.0);
    assert_eq!(counted("other", "SECOND").await, 1.0);
    api.delete(&format!("/v1/callbacks/{}", ids[0])).await.expect(204);
    eventually("a free place", SOON, async || {
        let labels = [("callback", ids[0].as_str())];
        Scrape::of([api])
            .await
            .values("ringback_deliveries_total", &labels)
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(counted(&ids[2], "THIRD").await, 1.0);
}

/// A delivery that is put off, one that is parked, and one that should have been made long ago.
#[tokio::test]
async fn what_waits_is_told_with_its_reason_and_its_age() {
    let ringback = Ringback::start().await;
    let api = &ringback.api;
    let receiver = Receiver::start().await.expect("a port");
    let id = api.create_callback(&callback_once(&receiver.url("/hook"))).await;
    api.post(&format!("/v1/callbacks/{id}/pause"), &json!({})).await.expect(200);
    let sent = api.send(&event("PARKED")).await;
    let waits = |delivery: &Value| delivery["waits_for"] == "paused";
    api.delivery_when(&sent, waits).await;
    eventually("the age of what is parked", SOON, async || {
        let scrape = Scrape::of([api]).await;
        let labels = [("callback", id.as_str()), ("reason", "paused")];
        let parked = scrape.sum("ringback_retries_scheduled_total", &labels);
        let age = scrape.sum("ringback_oldest_pending_seconds", &[]);
        let overdue = scrape.values("ringback_deliveries_overdue", &[("reason", "paused")]);
        (parked == 1.0 && age >= 2.0 && overdue == [0.0]).then_some(())
    })
    .await;
    api.post(&format!("/v1/callbacks/{id}/resume"), &json!({})).await.expect(200);
    api.settled_delivery(&sent).await;
    eventually("nothing that waits", SOON, async || {
        let scrape = Scrape::of([api]).await;
        (scrape.values("ringback_oldest_pending_seconds", &[]) == [0.0]).then_some(())
    })
    .await;
}
