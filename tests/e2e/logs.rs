//! Logs: what a person has to know, with the ids to find the rest by, and nothing that is nobody's business.

use ringback_testkit::{Answer, Behaviour, Receiver};
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Ringback, callback, event, text, with};

#[tokio::test]
async fn each_attempt_is_a_line_and_a_failure_for_people_a_warning_and_no_secret_is_in_any() {
    let settings = |launch: ringback_testkit::Launch| {
        launch.env("RINGBACK_LOG", "debug").env("RINGBACK_LOG_FORMAT", "json")
    };
    let mut ringback = Ringback::start_with(settings).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::Answer(Answer::new(500).body("c4nary-answer")));
    let url = receiver.url("/hook?key=c4nary-key&of={SECRET}");
    let callback = with(
        callback(&url),
        json!({
            "authorization": {"type": "bearer", "token": "c4nary-token"},
            "headers": {"X-Key": "c4nary-header"},
        }),
    );
    let callback = ringback.api.create_callback(&callback).await;
    let secret = ringback.api.get(&format!("/v1/callbacks/{callback}/secret")).await.expect(200);
    let secret = text(&secret["secret"]);
    let variables = json!({"variables": {"SECRET": "c4nary-variable", "BODY": "c4nary-body"}});
    let sent = ringback.api.send(&with(event("COMMENT_CREATED"), variables)).await;
    let delivery = ringback.api.settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "exhausted");
    assert!(
        receiver.requests()[0].uri.query().is_some_and(|query| query.contains("c4nary-variable"))
    );

    // What can't be taken or sent is told of, too, and without quoting it.
    let bad = json!({"name": "A", "account": "acme", "variables": "c4nary-body"});
    ringback.api.post("/v1/events", &bad).await.expect_problem(422);
    ringback.stop().await;

    let output = ringback.process.output();
    for hush in ["c4nary", ADMIN_KEY, &secret, secret.trim_start_matches("whsec_")] {
        let line = output.lines().find(|line| line.contains(hush));
        assert_eq!(line, None, "{hush}");
    }
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let of = |message: &str| -> Vec<&Value> {
        let begins =
            |line: &&Value| line["message"].as_str().is_some_and(|it| it.starts_with(message));
        lines.iter().filter(begins).collect()
    };
    let attempts = of("attempt");
    let exhausted = of("delivery exhausted");
    let numbers: Vec<_> = attempts.iter().map(|line| line["attempt"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)], "{attempts:?}");
    assert_eq!(exhausted.len(), 1, "{exhausted:?}");
    for line in attempts.iter().chain(&exhausted) {
        let ids = [&line["event"], &line["callback"], &line["account"], &line["delivery"]];
        let expected = [&*sent, &*callback, "acme", delivery["id"].as_str().expect("an id")];
        assert_eq!(ids, expected, "{line}");
        assert_eq!((&line["outcome"], &line["http_status"]), (&json!("http_error"), &json!(500)));
        assert_eq!(line["target"], "ringback_worker::job");
    }
    assert!(attempts.iter().all(|line| line["level"] == "DEBUG" && line["duration_ms"].is_u64()));
    let last = attempts[2];
    assert_eq!((&last["status"], &exhausted[0]["level"]), (&json!("exhausted"), &json!("WARN")));
    assert_eq!(exhausted[0]["attempt"], 3);
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{output}");
}
