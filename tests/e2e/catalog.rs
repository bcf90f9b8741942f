//! The catalog: events are what their types say; and the formats that its types go out in.

use ringback_testkit::Receiver;
use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::support::{ADMIN_KEY, Ringback, SOON, callback, event, text, with};

const PACKAGE: &str = "wVdZEaPD2igwUnFGJBjDD0dpO7k=";

/// An event of Conga Sign.
fn package_created(variables: Value) -> Value {
    let usual = json!({"sessionUser": "18EZDL44xgsX", "packageId": PACKAGE});
    json!({"name": "PACKAGE_CREATE", "account": "acme", "variables": with(usual, variables)})
}

/// A type whose events have a number.
fn paid() -> Value {
    json!({"variables": [{"name": "ORDER_ID", "type": "integer", "required": true}]})
}

fn order(name: &str, id: Value) -> Value {
    json!({"name": name, "account": "acme", "variables": {"ORDER_ID": id}})
}

fn errors(problem: &Value) -> Vec<(String, String)> {
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {problem}"));
    errors.iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

#[tokio::test]
async fn event_that_breaks_its_type_is_refused_with_field_length_and_limit() {
    let ringback = Ringback::start().await;
    let api = &ringback.api;
    let long = package_created(json!({"sessionUser": "x".repeat(256), "createdDate": 5}));
    let expected = |at: &str| {
        [
            ("sessionUser", "sessionUser has 256 characters, and 255 is the most"),
            (
                "createdDate",
                "createdDate is an RFC 3339 time such as 2026-01-02T03:04:05.678Z, got a number",
            ),
        ]
        .map(|(name, detail)| (format!("{at}/{name}"), detail.to_owned()))
    };
    let refused = api.post("/v1/events", &long).await.expect_problem(422);
    assert_eq!(errors(&refused), expected("/variables"));

    // One of an array takes nobody along.
    let fits = package_created(json!({"sessionUser": "ü".repeat(255)}));
    let answers = api.post("/v1/events", &json!([long, fits])).await.expect(202);
    assert_eq!(errors(&answers["data"][0]), expected("/variables"));
    assert_eq!(answers["data"][1]["status"], "accepted", "{answers}");

    // As a CloudEvent, it is wrong where a CloudEvent has it.
    let cloud_event = json!({
        "specversion": "1.0", "id": "1", "source": "/sign", "type": "PACKAGE_CREATE",
        "account": "acme", "data": long["variables"],
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let sent = client
        .post(format!("{}/v1/events", api.url()))
        .bearer_auth(ADMIN_KEY)
        .header("content-type", "application/cloudevents+json")
        .body(cloud_event.to_string());
    let refused = sent.send().await.expect("an answer");
    assert_eq!(refused.status(), 422);
    let refused = refused.bytes().await.expect("a body");
    let refused = serde_json::from_slice(&refused).expect("a problem");
    assert_eq!(errors(&refused), expected("/data"));
}

#[tokio::test]
async fn own_type_counts_at_once_and_stays_after_a_restart() {
    let mut ringback = Ringback::start().await;
    let path = "/v1/event-types/ORDER_PAID";
    let bad = order("ORDER_PAID", json!("one"));
    ringback.api.send(&bad).await;
    ringback.api.put(path, &paid()).await.expect(201);
    let refused = ringback.api.post("/v1/events", &bad).await.expect_problem(422);
    let expected = ("/variables/ORDER_ID", "ORDER_ID is a whole number, got a string");
    assert_eq!(errors(&refused), [(expected.0.to_owned(), expected.1.to_owned())]);
    ringback.api.send(&order("ORDER_PAID", json!(1))).await;

    ringback.stop().await;
    ringback.restart().await;
    ringback.api.post("/v1/events", &bad).await.expect_problem(422);
    ringback.api.delete(path).await.expect(204);
    ringback.api.send(&bad).await;
}

#[tokio::test]
async fn strict_account_takes_events_of_known_types_only() {
    let ringback = Ringback::start().await;
    let api = &ringback.api;
    let unknown = order("ORDER_PAID", json!(1));
    api.send(&unknown).await;
    api.put("/v1/accounts/acme", &json!({"strict": true})).await.expect(200);
    let refused = api.post("/v1/events", &unknown).await.expect_problem(422);
    let [(pointer, detail)] = errors(&refused).try_into().expect("one error");
    assert_eq!(pointer, "/name");
    assert!(detail.contains("`ORDER_PAID`") && detail.contains("`acme`"), "{detail}");
    // Known ones, and those of accounts that are not strict, are taken.
    api.send(&event("COMMENT_CREATED")).await;
    api.send(&with(unknown.clone(), json!({"account": "other"}))).await;
    api.put("/v1/event-types/ORDER_PAID", &paid()).await.expect(201);
    api.send(&unknown).await;
    api.delete("/v1/event-types/ORDER_PAID").await.expect(204);
    api.post("/v1/events", &unknown).await.expect_problem(422);
    api.put("/v1/accounts/acme", &json!({"strict": false})).await.expect(200);
    api.send(&unknown).await;
}

#[tokio::test]
async fn each_format_brings_its_body_and_its_content_type() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    for format in ["conga-sign", "cloudevents"] {
        let settings =
            with(callback(&receiver.url(&format!("/{format}"))), json!({"format": format}));
        ringback.api.create_callback(&settings).await;
    }
    let created = package_created(json!({"createdDate": "2018-06-30T20:04:55.384Z"}));
    let time = "2026-01-02T03:04:05.678Z";
    let id = ringback.api.send(&with(created, json!({"time": time}))).await;
    receiver.wait_for_ended(2, SOON).await;
    let received = receiver.requests();
    let at = |path: &str| {
        let request = received.iter().find(|request| request.uri.path() == path).expect(path);
        (request.header("content-type").to_owned(), request.text())
    };
    let notification = format!(
        r#"{{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_CREATE","sessionUser":"18EZDL44xgsX","packageId":"{PACKAGE}","message":null,"documentId":null,"createdDate":"2018-06-30T20:04:55.384Z"}}"#
    );
    assert_eq!(at("/conga-sign"), ("application/json".to_owned(), notification));
    let cloud_event = json!({
        "specversion": "1.0", "id": id, "source": "/ringback/acme", "type": "PACKAGE_CREATE", "time": time,
        "datacontenttype": "application/json", "account": "acme",
        "data": {
            "sessionUser": "18EZDL44xgsX", "packageId": PACKAGE, "createdDate": "2018-06-30T20:04:55.384Z",
        },
    });
    let (content_type, body) = at("/cloudevents");
    assert_eq!(content_type, "application/cloudevents+json");
    assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), cloud_event);
}

#[tokio::test]
async fn reference_page_is_open_and_lists_the_types() {
    let ringback = Ringback::start().await;
    ringback.api.put("/v1/event-types/ORDER_PAID", &paid()).await.expect(201);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = client.get(format!("{}/reference", ringback.api.url())).send().await;
    let page = page.expect("an answer");
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.expect("a page");
    for name in ["ORDER_PAID", "KBA_FAILURE", "COMMENT_CREATED"] {
        assert!(page.contains(&format!(r#"<h2 id="{name}">"#)), "{name}");
    }
}

#[tokio::test]
async fn commands_see_and_change_the_catalog() {
    let ringback = Ringback::start().await;
    let terminal = Terminal::of(&ringback);
    let file = |name: &str, content: &Value| {
        let path = terminal.directory.path().join(name);
        std::fs::write(&path, content.to_string()).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let kind = file("type.json", &with(paid(), json!({"name": "ORDER_PAID"})));
    terminal.ok(&["catalog", "put", &kind]).await;
    let listed = terminal.ok(&["catalog", "list"]).await;
    assert!(listed.contains("ORDER_PAID") && listed.contains("KBA_FAILURE"), "{listed}");
    let shown = terminal.ok(&["catalog", "show", "DOCUMENT_SIGNED"]).await;
    assert!(shown.contains("string of 256") && shown.contains("built in"), "{shown}");

    let exported = terminal.json(&["catalog", "export"]).await;
    terminal.ok(&["catalog", "delete", "ORDER_PAID"]).await;
    assert_eq!(terminal.run(&["catalog", "show", "ORDER_PAID"]).await.0, Some(1));
    let exported = file("catalog.json", &exported);
    terminal.ok(&["catalog", "import", &exported]).await;
    assert_eq!(terminal.json(&["catalog", "show", "ORDER_PAID"]).await["origin"], "own");
    let twice = file("twice.json", &json!({"event_types": [{"name": "TWICE"}, {"name": "TWICE"}]}));
    let (code, said) = terminal.run(&["catalog", "import", &twice]).await;
    assert!(code == Some(1) && said.contains("TWICE"), "{code:?} {said}");
    assert_eq!(terminal.run(&["catalog", "import", "no-such-file"]).await.0, Some(64));

    terminal.ok(&["accounts", "strict", "acme", "on"]).await;
    assert!(terminal.ok(&["accounts", "show", "acme"]).await.contains("refused"));
    let unknown = order("UNKNOWN", json!(1));
    ringback.api.post("/v1/events", &unknown).await.expect_problem(422);
    terminal.ok(&["accounts", "strict", "acme", "off"]).await;
    ringback.api.send(&unknown).await;
}
