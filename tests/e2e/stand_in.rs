//! Ringback in the place of the systems whose callbacks it knows: registered, sent to and received as their documents
//! have it. Conga Sign's registration and notifications; ConceptShare's log and echo callbacks.

use std::process::Stdio;

use reqwest::Method;
use ringback_testkit::{Launch, Receiver, free_port};
use serde_json::{Value, json};

use crate::support::{
    Api, Ringback, SOON, attempts, callback_once, event, eventually, outcomes, text, with,
};

const REGISTER: &str = "/api/callback/register";

/// The notification of the document's first example.
fn package_created() -> Value {
    json!({
        "name": "PACKAGE_CREATE", "account": "acme", "time": "2018-06-30T20:04:55.384Z",
        "variables": { "sessionUser": "18EZDL44xgsX", "packageId": "wVdZEaPD2igwUnFGJBjDD0dpO7k=" },
    })
}

/// What the document shows for it, to the letter.
const PACKAGE_CREATED: &str = concat!(
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_CREATE","#,
    r#""sessionUser":"18EZDL44xgsX","packageId":"wVdZEaPD2igwUnFGJBjDD0dpO7k=","message":null,"#,
    r#""documentId":null,"createdDate":"2018-06-30T20:04:55.384Z"}"#
);

/// An instance that may send nowhere but to public addresses and, as it stands alone, to its own sink.
async fn guarded() -> Ringback {
    Ringback::start_with(|launch| launch.env("RINGBACK_ALLOW_NETWORKS", "")).await
}

/// Registers as a client of that system does: PUT, two headers, its own way to send the key.
async fn register(api: &Api, key: &str, body: &Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client
        .put(format!("{}{REGISTER}", api.url()))
        .header("Accept", "application/json")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Basic {key}"))
        .body(body.to_string())
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), 200);
    let echoed: Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(echoed, *body);
}

#[tokio::test]
async fn registered_listener_gets_each_notification_with_the_credentials_it_chose() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let key = ringback.api.create_key(Some("acme")).await;
    let url = receiver.url("/listener");
    for (number, (credentials, sent)) in [
        (json!({ "authType": "Basic", "username": "u", "password": "p" }), Some("Basic dTpw")),
        (json!({ "authType": "Bearer", "bearerToken": "t.o.k" }), Some("Bearer t.o.k")),
        (json!({ "authType": "None" }), None),
        (
            json!({ "authType": "None", "callbackKey": "shared-secret" }),
            Some("Basic shared-secret"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        register(&ringback.api, &key, &with(json!({ "callbackUrl": url }), credentials)).await;
        let sent_event = ringback.api.send(&package_created()).await;
        let delivery = ringback.api.settled_delivery(&sent_event).await;
        assert_eq!(delivery["status"], "delivered");
        let received = &receiver.requests()[number];
        assert_eq!(received.method, "POST");
        assert_eq!(String::from_utf8_lossy(&received.body), PACKAGE_CREATED);
        assert_eq!(received.header("content-type"), "application/json");
        let authorization = received.headers.get("authorization");
        assert_eq!(authorization.map(|value| value.to_str().expect("text")), sent);
        assert!(!delivery.to_string().contains("shared-secret"), "no secret in the history");
    }
    // One callback all the time.
    assert_eq!(ringback.api.list("/v1/callbacks").await.len(), 1);

    // Other events than those asked for are not sent, nor other accounts'; with an empty URL none are.
    let one = json!({ "callbackUrl": url, "authType": "None", "events": "PACKAGE_COMPLETE" });
    register(&ringback.api, &key, &one).await;
    let unwanted = [
        package_created(),
        with(package_created(), json!({ "name": "PACKAGE_COMPLETE", "account": "other" })),
    ];
    for unwanted in unwanted {
        ringback.api.send(&unwanted).await;
    }
    let wanted = with(package_created(), json!({ "name": "PACKAGE_COMPLETE" }));
    let sent_event = ringback.api.send(&wanted).await;
    assert_eq!(ringback.api.settled_delivery(&sent_event).await["status"], "delivered");
    register(&ringback.api, &key, &json!({ "callbackUrl": "", "authType": "None" })).await;
    ringback.api.send(&wanted).await;
    // What came before it is through when this is: it goes to a callback made after them all.
    ringback.api.create_callback(&callback_once(&receiver.url("/last"))).await;
    let last = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.settled_delivery(&last).await;
    let names = receiver.requests_to("/listener").into_iter().skip(4);
    let names: Vec<_> = names.map(|request| request.body).collect();
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn log_callback_of_this_instance_is_delivered_to_and_logs_under_its_account() {
    let ringback = guarded().await;
    let url = ringback.api.url().to_owned();
    let acme = ringback.api.with_key(&ringback.api.create_key(Some("acme")).await);
    let other = ringback.api.with_key(&ringback.api.create_key(Some("other")).await);
    let target = format!("{url}/system.ashx?f=lp&id={{COMMENT_ID}}");
    let id = acme
        .create_callback(&with(
            callback_once(&target),
            json!({ "authorization": { "type": "basic", "username": "u", "password": "hush" } }),
        ))
        .await;
    let sent = acme.send(&event("COMMENT_CREATED")).await;
    let delivery = acme.settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    let logged = acme.list("/v1/sink/log").await;
    assert_eq!(logged.len(), 1);
    assert_eq!((&logged[0]["account"], &logged[0]["callback"]), (&json!("acme"), &json!(id)));
    assert_eq!(logged[0]["query"], "f=lp&id=178");
    let body = text(&logged[0]["body"]);
    assert!(body.starts_with(&format!("EVENT_GUID={sent}&EVENT_ID=COMMENT_CREATED&")), "{body}");
    assert!(!logged[0].to_string().contains("hush"));
    assert_eq!(other.list("/v1/sink/log").await, Vec::<Value>::new());

    // The same with the command.
    let output = tokio::process::Command::new(ringback_testkit::ringback_binary().expect("built"))
        .args(["sink", "log", "--account", "acme", "--url", &url])
        .env("RINGBACK_API_KEY", crate::support::ADMIN_KEY)
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("acme") && shown.contains("POST"), "{shown}");
}

#[tokio::test]
async fn echo_callback_of_this_instance_answers_with_the_variables_for_the_history() {
    let ringback = guarded().await;
    let target = format!("{}/system.ashx?f=ep", ringback.api.url());
    ringback.api.create_callback(&callback_once(&target)).await;
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    let delivery = ringback.api.settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    let response = &attempts(&delivery)[0]["response"];
    let lines = format!(
        "EVENT_GUID => {sent}\nEVENT_ID   => COMMENT_CREATED\nCOMMENT    => Needs more cowbell\nCOMMENT_ID => 178\n"
    );
    assert_eq!(response["body"], lines);
}

#[tokio::test]
async fn nothing_else_of_this_instance_is_sent_to() {
    let port = free_port().expect("a port");
    let ringback = Ringback::start_with(|launch| {
        launch
            .env("RINGBACK_ALLOW_NETWORKS", "")
            .env("RINGBACK_LISTEN", format!("127.0.0.1:{port}"))
            .env("RINGBACK_PUBLIC_URL", format!("http://localhost:{port}"))
    })
    .await;
    // By the name that it is known under it is delivered to.
    let own = format!("http://localhost:{port}");
    let target = |path: &str| callback_once(&format!("{own}{path}"));
    let deliver = async |callback: &Value| {
        let id = ringback.api.create_callback(callback).await;
        let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
        let delivery = ringback.api.settled_delivery(&sent).await;
        ringback.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
        (text(&delivery["status"]), outcomes(&delivery).join(" "))
    };
    let delivered = ("delivered".to_owned(), "success".to_owned());
    assert_eq!(deliver(&target("/system.ashx?f=lp")).await, delivered);
    // Nothing else is: not at another path or port, and not after its name was resolved for the sink.
    let blocked = ("exhausted".to_owned(), "blocked".to_owned());
    for path in [
        "/healthz",
        "/system.ashx/../healthz",
        "/system.ashx/",
        "/system%2eashx?f=lp",
        "/{X}system.ashx/x",
    ] {
        assert_eq!(deliver(&target(path)).await, blocked, "{path}");
    }
    let receiver = Receiver::start().await.expect("a port");
    let elsewhere = format!("http://localhost:{}/system.ashx", receiver.address().port());
    assert_eq!(deliver(&callback_once(&elsewhere)).await, blocked);
    assert_eq!(receiver.total(), 0);
    // Its address is not its name.
    let literal = callback_once(&format!("http://127.0.0.1:{port}/system.ashx?f=lp"));
    ringback.api.post("/v1/callbacks", &literal).await.expect_problem(422);
}

#[tokio::test]
async fn listener_written_with_flask_takes_the_notifications() {
    let python = ringback_testkit::python().expect("`cargo xtask test` sets it up");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/conga_receiver.py");
    let directory = tempfile::tempdir().expect("a directory");
    let launch = Launch::new(python, directory.path())
        .args(["-u", script])
        .env("CALLBACK_KEY", "shared-secret");
    let (listener, url) = launch.start_ready("listening on ", SOON).await.expect("it starts");
    let ringback = Ringback::start().await;
    let key = ringback.api.create_key(Some("acme")).await;
    let registration = |callback_key: &str| json!({ "callbackUrl": url, "authType": "None", "callbackKey": callback_key });
    register(&ringback.api, &key, &registration("shared-secret")).await;
    let sent = ringback.api.send(&package_created()).await;
    let delivery = ringback.api.settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}\n{}", listener.output());
    eventually("line of the listener", SOON, async || {
        listener.output().contains("PACKAGE_CREATE wVdZEaPD2igwUnFGJBjDD0dpO7k=").then_some(())
    })
    .await;

    // And refuses those with another key.
    register(&ringback.api, &key, &registration("guessed")).await;
    let patch = json!({ "retry": { "enabled": false } });
    let registered = text(&ringback.api.list("/v1/callbacks").await[0]["id"]);
    ringback.api.patch(&format!("/v1/callbacks/{registered}"), &patch).await.expect(200);
    let sent = ringback.api.send(&package_created()).await;
    let delivery = ringback.api.settled_delivery(&sent).await;
    assert_eq!(attempts(&delivery)[0]["response"]["status"], 401, "{delivery}");
    let unknown = ringback.api.request(Method::POST, "/system.ashx?f=xx", None, &[]).await;
    unknown.expect("it answers").expect_problem(404);
}
