//! CloudEvents, sent by the public library for them.

use reqwest::Method;
use ringback_testkit::{Launch, Receiver, python};
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Answer, Api, Ringback, SOON, callback, eventually, with};

const UUID: &str = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";

/// Runs the producer to its end, and gives what it printed.
pub(crate) async fn produce(directory: &std::path::Path, arguments: &[&str]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/cloudevents_producer.py");
    let launch = Launch::new(python().expect("it is there"), directory).arg(script);
    let launch = arguments.iter().fold(launch, |launch, argument| launch.arg(*argument));
    let mut producer = launch.start().expect("it starts");
    let status = producer.wait_exit(SOON).await.expect("it ends");
    let output = producer.output();
    assert!(status.success(), "{output}");
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn post_as(api: &Api, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let posted = api.request(Method::POST, "/v1/events", Some(body.to_string()), headers);
    posted.await.expect("the API answers")
}

#[tokio::test]
async fn cloud_events_of_the_public_library_are_taken_in_each_mode() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let to = with(callback(&receiver.url("/hook")), json!({"format": "json"}));
    ringback.api.create_callback(&to).await;
    let directory = tempfile::tempdir().expect("a directory");
    let url = ringback.api.url().to_owned();
    let told = produce(directory.path(), &["http", &url, ADMIN_KEY]).await;
    let [structured, binary, again, batch] = &told[..] else { panic!("four: {told:?}") };
    for one in &told {
        assert_eq!(one["status"], 202, "{one}");
    }
    assert_eq!(structured["answer"]["id"], UUID);
    // Percent-decoded, an id in a header is the one that stands in a body.
    assert_eq!(again["answer"]["id"], binary["answer"]["id"]);
    assert_eq!(again["answer"]["duplicate"], true, "{again}");
    assert_eq!(batch["answer"]["data"].as_array().map(Vec::len), Some(2), "{batch}");

    receiver.wait_for_ended(4, SOON).await;
    let delivered: Value =
        serde_json::from_slice(&receiver.requests()[0].body).expect("it is JSON");
    let event = ringback.api.get(&format!("/v1/events/{UUID}")).await.expect(200);
    assert_eq!((&event["name"], &event["account"]), (&json!("COMMENT_CREATED"), &json!("acme")));
    assert_eq!(event["time"], "2026-01-02T03:04:05.000Z");
    assert_eq!(
        event["variables"],
        json!({"COMMENT_ID": 178, "COMMENT": "Needs more cowbell"}),
        "{delivered}"
    );
    assert_eq!(ringback.api.list("/v1/events").await.len(), 4);
}

#[tokio::test]
async fn cloud_event_that_can_not_be_taken_says_where() {
    let ringback = Ringback::start().await;
    let post = async |content_type: &str, body: Value, headers: &[(&str, &str)]| {
        let headers = [&[("content-type", content_type)], headers].concat();
        post_as(&ringback.api, &body, &headers).await
    };
    let structured = "application/cloudevents+json";
    let problem =
        post(structured, json!({"specversion": "1.0", "id": "7", "type": "a/b"}), &[]).await;
    let problem = problem.expect_problem(422);
    let places: Vec<_> = problem["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| error["pointer"].clone())
        .collect();
    assert_eq!(places, ["/source", "/type"], "{problem}");

    let headers = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/a")];
    let problem = post("application/json", json!({}), &headers).await.expect_problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "ce-type", "{problem}");

    let whole = [&headers[..], &[("ce-type", "A")]].concat();
    post("text/xml", json!({}), &whole).await.expect_problem(415);
    post("application/cloudevents+avro", json!({}), &[]).await.expect_problem(415);

    // The account of an account key is the default, and no other is taken.
    let key = ringback.api.create_key(Some("acme")).await;
    let acme = ringback.api.with_key(&key);
    let event = json!({"specversion": "1.0", "id": "7", "source": "/a", "type": "A"});
    let headers = [("content-type", structured)];
    let taken = post_as(&acme, &event, &headers).await.expect(202);
    let id = taken["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/events/{id}");
    let shown = eventually("event in the history", SOON, async || {
        let answer = acme.get(&path).await;
        (answer.status == 200).then_some(answer.body)
    });
    assert_eq!(shown.await["account"], "acme");
    let others = with(event, json!({"id": "8", "account": "other"}));
    let problem = post_as(&acme, &others, &headers).await.expect_problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "/account", "{problem}");
}
