//! A callback's signing secret is replaced: a receiver that knows either one refuses nothing.

use ringback_testkit::{Received, Receiver};
use serde_json::json;
use standardwebhooks::Webhook;

use crate::commands::Terminal;
use crate::support::{Ringback, SOON, callback_once, event, text};

/// Whether a receiver that knows this secret takes the request.
fn takes(secret: &str, request: &Received) -> bool {
    let receiver = Webhook::new(secret).expect("a signing secret");
    receiver.verify(&request.body, &request.headers).is_ok()
}

#[tokio::test]
async fn rotated_secret_signs_beside_the_one_before_until_that_is_ended() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let id = ringback.api.create_callback(&callback_once(&receiver.url("/hook"))).await;
    let path = format!("/v1/callbacks/{id}/secret");
    let first = text(&ringback.api.get(&path).await.expect(200)["secret"]);

    let rotated = ringback.api.post(&format!("{path}/rotate"), &json!({})).await.expect(200);
    let second = text(&rotated["secret"]);
    let sent = ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(1, SOON).await;
    // Else it would come again after the kill.
    ringback.api.settled_delivery(&sent).await;
    let requests = receiver.requests();
    assert!(takes(&first, &requests[0]) && takes(&second, &requests[0]));

    // Both are on disk.
    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(2, SOON).await;
    let requests = receiver.requests();
    assert!(takes(&first, &requests[1]) && takes(&second, &requests[1]));

    let terminal = Terminal::of(&ringback);
    let rotated = terminal.json(&["callbacks", "rotate-secret", &id, "--grace-seconds", "0"]).await;
    assert_eq!(rotated["previous_until"], json!(null));
    let third = text(&rotated["secret"]);
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(3, SOON).await;
    let last = &receiver.requests()[2];
    assert!(takes(&third, last) && !takes(&second, last) && !takes(&first, last));

    let said = terminal.ok(&["callbacks", "rotate-secret", &id]).await;
    let fourth = text(&ringback.api.get(&path).await.expect(200)["secret"]);
    assert!(said.contains(&fourth) && said.contains("signs too until 2"), "{said}");
    assert!(!said.contains(&third), "{said}");
}
