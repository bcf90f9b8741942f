//! Traces: from the producer over the queue to each attempt, and on to the receivers.

use std::time::{Duration, Instant};

use reqwest::Method;
use ringback_testkit::{Behaviour, Collected, Collector, Receiver, free_port};
use serde_json::{Value, json};

use crate::support::{Api, Ringback, SOON, callback, callback_once, event, text};

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PRODUCER: &str = "00f067aa0ba902b7";

/// What a producer says that records its trace.
pub(crate) fn traceparent() -> String {
    format!("00-{TRACE}-{PRODUCER}-01")
}

/// Has an event accepted that comes with these headers, and gives its id.
pub(crate) async fn send_with(api: &Api, event: &Value, headers: &[(&str, &str)]) -> String {
    let sent = api.request(Method::POST, "/v1/events", Some(event.to_string()), headers).await;
    text(&sent.expect("an answer").expect(202)["id"])
}

/// An event with the producer's trace to two callbacks, one of which fails once: one trace from the producer to each attempt,
/// and each receiver is told which attempt it is in.
pub(crate) async fn follow_one_event(api: &Api, ingest: &Api, collector: &Collector) {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/fails-once", Behaviour::fail_first(1, 500));
    let fails = receiver.url("/fails-once?key=hush&of={COMMENT}");
    let fails = api.create_callback(&callback(&fails)).await;
    let well = api.create_callback(&callback(&receiver.url("/well"))).await;
    let headers = [("traceparent", &*traceparent()), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let id = send_with(ingest, &event("COMMENT_CREATED"), &headers).await;

    receiver.wait_for_ended(3, SOON).await;
    let spans = collector.wait_for(4, SOON).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == TRACE && span.state == "a=1,b=2"), "{spans:#?}");
    let accept = spans.iter().find(|span| span.name == "accept").expect("it was accepted");
    assert_eq!(accept.parent, PRODUCER);
    assert_eq!(accept.attributes["ringback.event.id"], id);
    assert_eq!(accept.attributes["ringback.event.name"], "COMMENT_CREATED");
    assert_eq!(accept.attributes["ringback.account"], "acme");
    assert_eq!(accept.attributes["service.name"], "ringback");

    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "attempt").collect();
    let mut made = Vec::new();
    for request in receiver.requests() {
        let told = request.header("traceparent");
        let is_of_it = |span: &&&Collected| told == format!("00-{TRACE}-{}-01", span.span);
        let span = attempts.iter().find(is_of_it).unwrap_or_else(|| panic!("{told} {spans:#?}"));
        assert_eq!(request.header("tracestate"), "a=1,b=2");
        assert_eq!(span.parent, accept.span);
        assert_eq!(span.attributes["ringback.callback.id"], request.header("ringback-callback"));
        assert_eq!(span.attributes["ringback.attempt"], request.header("ringback-attempt"));
        assert_eq!(span.attributes["ringback.event.id"], id);
        assert_eq!(span.attributes["http.request.method"], "POST");
        assert_eq!(span.attributes["url.full"], receiver.url(request.uri.path()));
        assert_eq!(span.attributes["server.address"], "127.0.0.1");
        let status = &*span.attributes["http.response.status_code"];
        let error_type = span.attributes.get("error.type").map(String::as_str);
        let (attempt, error) = (request.header("ringback-attempt"), span.failed);
        let callback = request.header("ringback-callback").to_owned();
        assert_eq!(error_type, error.then_some(status));
        assert!(span.duration < SOON, "{span:?}");
        made.push((callback, attempt.to_owned(), status.to_owned(), error));
    }
    made.sort();
    let made_of = |id: &str, attempt: &str, status: &str, failed| {
        (id.to_owned(), attempt.to_owned(), status.to_owned(), failed)
    };
    let mut expected = vec![
        made_of(&fails, "1", "500", true),
        made_of(&fails, "2", "204", false),
        made_of(&well, "1", "204", false),
    ];
    expected.sort();
    assert_eq!(made, expected);
    let all = format!("{spans:?}");
    assert!(!all.contains("hush") && !all.contains("cowbell"), "{all}");
    for id in [fails, well] {
        api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
    }
}

#[tokio::test]
async fn trace_goes_from_the_producer_to_each_attempt_and_on_to_the_receivers() {
    let collector = Collector::start().await.expect("a port");
    let endpoint = collector.endpoint();
    let mut ringback =
        Ringback::start_with(|launch| launch.env("RINGBACK_OTLP_ENDPOINT", &endpoint)).await;
    follow_one_event(&ringback.api, &ringback.api, &collector).await;

    // A producer that does not record its trace is taken at its word; and what is left is told at the end.
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback_once(&receiver.url("/hook"))).await;
    let unrecorded = format!("00-{TRACE}-{PRODUCER}-00");
    send_with(&ringback.api, &event("A"), &[("traceparent", &*unrecorded)]).await;
    let own = ringback.api.send(&event("B")).await.replace('-', "");
    receiver.wait_for_ended(2, SOON).await;
    ringback.stop().await;
    let spans = collector.spans();
    let traces: Vec<_> = spans[4..].iter().map(|span| (&*span.trace, &*span.name)).collect();
    assert_eq!(traces, [(&*own, "accept"), (&*own, "attempt")]);
}

#[tokio::test]
async fn trace_of_the_producer_is_passed_on_though_none_are_kept() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let parent = traceparent();
    let headers = [("traceparent", &*parent), ("tracestate", "a=1")];
    send_with(&ringback.api, &event("A"), &headers).await;
    receiver.wait_for_ended(2, SOON).await;
    let mut told = Vec::new();
    for request in receiver.requests() {
        let traceparent = request.header("traceparent").to_owned();
        let (trace, rest) = traceparent.split_at(36);
        assert_eq!((trace, &rest[16..]), (&*format!("00-{TRACE}-"), "-01"), "{traceparent}");
        assert_eq!(request.header("tracestate"), "a=1");
        told.push(traceparent);
    }
    assert!(told[0] != told[1] && !told.contains(&parent), "{told:?}");

    // The extension of CloudEvents says more of the event than the request's header does.
    receiver.on_others(Behaviour::status(204));
    let cloud_event = json!({
        "specversion": "1.0", "id": "1", "source": "/a", "type": "B", "account": "acme",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-00",
    });
    let headers = [("content-type", "application/cloudevents+json"), ("traceparent", &*parent)];
    send_with(&ringback.api, &cloud_event, &headers).await;
    receiver.wait_for_ended(3, SOON).await;
    let request = receiver.requests().remove(2);
    let traceparent = request.header("traceparent");
    assert!(traceparent.starts_with("00-00000000000000000000000000000abc-"), "{traceparent}");
    assert!(traceparent.ends_with("-00"), "{traceparent}");

    // What is no trace is as if it were not there.
    let id = send_with(&ringback.api, &event("C"), &[("traceparent", "00-1-2-01")]).await;
    receiver.wait_for_ended(4, SOON).await;
    let request = receiver.requests().remove(3);
    let expected = format!("00-{}-", id.replace('-', ""));
    assert!(request.header("traceparent").starts_with(&expected), "{:?}", request.headers);
    assert!(request.header("traceparent").ends_with("-00"), "{:?}", request.headers);
}

#[tokio::test]
async fn collector_that_is_away_or_hangs_costs_the_traces_and_nothing_else() {
    let hanging = Collector::start().await.expect("a port");
    hanging.on_spans(Behaviour::Hang);
    let away = format!("http://user:hush@127.0.0.1:{}", free_port().expect("a port"));
    for endpoint in [hanging.endpoint(), away.clone()] {
        let start = |launch: ringback_testkit::Launch| {
            launch.env("RINGBACK_OTLP_ENDPOINT", &endpoint).env("RINGBACK_LOG_FORMAT", "json")
        };
        let mut ringback = Ringback::start_with(start).await;
        let receiver = Receiver::start().await.expect("a port");
        ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
        let events: Vec<_> = (0..500).map(|_| event("COMMENT_CREATED")).collect();
        for _ in 0..6 {
            ringback.api.post("/v1/events", &Value::from(events.clone())).await.expect(202);
        }
        receiver.wait_for_ended(3_000, SOON).await;
        if endpoint == away {
            let said = ringback.process.wait_for_line("takes no traces", SOON).await;
            said.expect("it is said");
        } else {
            hanging.wait_for_request(SOON).await;
        }
        let asked = Instant::now();
        ringback.stop().await;
        assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
        let output = ringback.process.output();
        let times = output.matches("takes no traces").count();
        assert!(times <= 1, "{times}: {output}");
        assert!(!output.contains("hush"), "{output}");
    }
}

#[tokio::test]
async fn bad_collector_is_named_before_anything_is_done() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, value) in [
        ("otlp_endpoint", "localhost:4318"),
        ("otlp_endpoint", "http://user:hush@h/?a=b"),
        ("trace_ratio", "1.5"),
    ] {
        let variable = format!("RINGBACK_{}", name.to_uppercase());
        let launch = crate::support::serve(directory.path()).env(&variable, value);
        let mut process = launch.start().expect("it starts");
        let status = process.wait_exit(SOON).await.expect("it ends");
        let output = process.output();
        assert_eq!(status.code(), Some(64), "{output}");
        assert!(output.contains(&format!("{name}: ")) && !output.contains("hush"), "{output}");
    }
}
