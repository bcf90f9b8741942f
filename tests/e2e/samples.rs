//! An instance with a day behind it: three accounts, callbacks that do well, that fail, that are paused and switched off,
//! and what came of some thousand deliveries.
//!
//! What happened in the hours before is written into the history as the store writes it; what happens now goes the way of
//! everything.

// Named, since `cargo xtask screenshots` has this file from another place.
#[path = "samples/history.rs"]
mod history;

use ringback_testkit::{Answer, Behaviour, Receiver, free_port};
use serde_json::{Value, json};

use crate::support::{Api, Ringback, SOON, eventually, text, with};

/// A running instance, and what stands in it.
pub(crate) struct Samples {
    pub(crate) ringback: Ringback,
    /// An event with several deliveries.
    pub(crate) event: String,
    /// A delivery that was given up on after four attempts.
    pub(crate) exhausted: String,
    /// A bulk replay that came to its end.
    pub(crate) replay: String,
    pub(crate) callbacks: Callbacks,
    /// Their endpoints, as long as it lives.
    _receiver: Receiver,
}

/// The callbacks' ids.
pub(crate) struct Callbacks {
    /// Healthy, of `acme`: comments.
    pub(crate) chat: String,
    /// Of `acme`: assets. It was down for a while some hours ago.
    pub(crate) pipeline: String,
    /// Healthy, of `northwind`: what is signed.
    pub(crate) archive: String,
    /// Of `northwind`: fails.
    pub(crate) failing: String,
    /// Of `globex`: paused.
    pub(crate) paused: String,
    /// Of `globex`: disabled.
    pub(crate) disabled: String,
    /// Of all accounts, to the log callback.
    pub(crate) log: String,
}

impl Samples {
    /// Starts an instance and fills it.
    pub(crate) async fn start() -> Self {
        let receiver = Receiver::start().await.expect("a port");
        let port = free_port().expect("a port");
        let listen = format!("127.0.0.1:{port}");
        let mut ringback =
            Ringback::start_with(|launch| launch.env("RINGBACK_LISTEN", &listen)).await;
        let callbacks = Callbacks::create(&ringback.api, &receiver).await;
        ringback.stop().await;
        history::write(&ringback.directory.path().join("data"), &callbacks, &receiver).await;
        ringback.restart().await;

        let event = happen(&ringback.api, &receiver, &callbacks).await;
        let replay = replay(&ringback.api, &callbacks.pipeline).await;
        let failed = format!("/v1/deliveries?status=exhausted&callback={}", callbacks.failing);
        let exhausted = text(&ringback.api.list(&failed).await[0]["id"]);
        Self { ringback, event, exhausted, replay, callbacks, _receiver: receiver }
    }
}

#[tokio::test]
async fn day_of_samples_has_something_of_everything() {
    let samples = Samples::start().await;
    let api = &samples.ringback.api;
    let Callbacks { chat, pipeline, archive, failing, paused, disabled, log } = &samples.callbacks;
    for (callback, status, least) in [
        (chat, "delivered", 30),
        (pipeline, "delivered", 30),
        (archive, "delivered", 60),
        (failing, "delivered", 30),
        (failing, "exhausted", 10),
        (failing, "pending", 6),
        (paused, "pending", 6),
        (log, "delivered", 500),
    ] {
        let found = api.list(&format!("/v1/deliveries?callback={callback}&status={status}")).await;
        assert!(found.len() >= least, "{status}: {}", found.len());
    }
    assert_eq!(api.list(&format!("/v1/deliveries?callback={disabled}")).await.len(), 0);
    let exhausted = api.get(&format!("/v1/deliveries/{}", samples.exhausted)).await.expect(200);
    assert_eq!(crate::support::attempts(&exhausted).len(), 4, "{exhausted}");
    let replay = api.get(&format!("/v1/replays/{}", samples.replay)).await.expect(200);
    assert!(replay["replayed"].as_u64() > Some(5), "{replay}");
    let event = api.get(&format!("/v1/events/{}", samples.event)).await.expect(200);
    assert_eq!(event["name"], "COMMENT_CREATED");
    let logged = api.list("/v1/sink/log").await;
    assert!(logged.len() >= 20, "{}", logged.len());
}

impl Callbacks {
    async fn create(api: &Api, receiver: &Receiver) -> Self {
        let own = |path: &str| format!("{}{path}", api.url());
        let create = async |description: &str, url: &str, more: Value| {
            let callback = with(json!({"description": description, "url": url}), more);
            api.create_callback(&callback).await
        };
        let callbacks = Self {
            log: create(
                "Everything, to look at",
                &own("/system.ashx?f=lp"),
                json!({"max_in_flight": 4}),
            )
            .await,
            disabled: create(
                "The ERP before last",
                "https://erp.globex.example/notify?package={packageId}",
                json!({"account": "globex", "method": "GET", "events": ["PACKAGE_*"], "enabled": false}),
            )
            .await,
            paused: create(
                "Push messages",
                &receiver.url("/push/templates"),
                json!({"account": "globex", "format": "cloudevents", "events": ["TEMPLATE_CREATE"]}),
            )
            .await,
            failing: create(
                "Customer records",
                &receiver.url("/crm/callbacks"),
                json!({
                    "account": "northwind", "format": "json", "events": ["PACKAGE_DECLINE", "SIGNER_LOCKED"],
                    "authorization": {"type": "bearer", "token": "a-token-nobody-sees"},
                    "retry": {"delay_seconds": 60, "max_retries": 3}, "rate_limit": {"per_second": 20},
                }),
            )
            .await,
            archive: create(
                "Archive of signed documents",
                "https://archive.northwind.example/inbox",
                json!({"account": "northwind", "format": "conga-sign", "events": ["DOCUMENT_SIGNED", "PACKAGE_COMPLETE"]}),
            )
            .await,
            pipeline: create(
                "Asset pipeline",
                &receiver.url("/pipeline/{ASSET_ID}"),
                json!({"account": "acme", "method": "GET", "events": ["ASSET_*"]}),
            )
            .await,
            chat: create(
                "Review comments to the team's chat",
                &receiver.url("/chat/review?project={PROJECT_ID}"),
                json!({
                    "account": "acme", "format": "json", "events": ["COMMENT_*"],
                    "retry": {"backoff": "exponential", "delay_seconds": 10, "max_retries": 8},
                }),
            )
            .await,
        };
        let pause = format!("/v1/callbacks/{}/pause", callbacks.paused);
        api.post(&pause, &json!({})).await.expect(200);
        let key = json!({"account": "northwind", "description": "Contract desk"});
        let key = text(&api.post("/v1/api-keys", &key).await.expect(201)["key"]);
        let registration = json!({
            "callbackUrl": "https://desk.northwind.example/listener", "authType": "None",
            "callbackKey": "a-key-nobody-sees", "events": ["SIGNER_COMPLETE", "PACKAGE_EXPIRE"],
        });
        let northwind = api.with_key(&key);
        northwind.put("/api/callback/register", &registration).await.expect(200);
        callbacks
    }
}

/// What happens now, and goes to the endpoints. Gives an event that is delivered.
async fn happen(api: &Api, receiver: &Receiver, callbacks: &Callbacks) -> String {
    let down = Answer::new(503)
        .header("content-type", "application/json")
        .body(r#"{"error":"the database of customers is down for maintenance"}"#);
    receiver.on("/crm/callbacks", Behaviour::from(down));
    for number in 0..6 {
        api.send(&history::EVENTS[4].sent(number)).await;
        api.send(&history::EVENTS[5].sent(number)).await;
    }
    let mut event = String::new();
    for number in 0..4 {
        api.send(&history::EVENTS[1].sent(number)).await;
        event = api.send(&history::EVENTS[0].sent(number)).await;
    }
    for (callback, what) in
        [(&callbacks.failing, "waits_for=retry"), (&callbacks.paused, "waits_for=paused")]
    {
        eventually(what, SOON, async || {
            let pending = format!("/v1/deliveries?callback={callback}&status=pending");
            let pending = api.list(&pending).await;
            let waits = pending
                .iter()
                .filter(|delivery| what.ends_with(delivery["waits_for"].as_str().unwrap_or("-")));
            (waits.count() == 6).then_some(())
        })
        .await;
    }
    eventually("delivered event", SOON, async || {
        let delivered = api.list(&format!("/v1/deliveries?event={event}&status=delivered")).await;
        (delivered.len() == 2).then_some(())
    })
    .await;
    event
}

/// Delivers again what was given up on. Gives the job's id, when it has come to its end.
async fn replay(api: &Api, callback: &str) -> String {
    let asked = json!({"filter": {"callback": callback}, "per_second": 200});
    let job = text(&api.post("/v1/replays", &asked).await.expect(202)["id"]);
    eventually("replay", SOON, async || {
        let replay = api.get(&format!("/v1/replays/{job}")).await.expect(200);
        let left = format!("/v1/deliveries?callback={callback}&status=exhausted");
        let is_over = replay["status"] != "running" && api.list(&left).await.is_empty();
        is_over.then_some(())
    })
    .await;
    job
}
