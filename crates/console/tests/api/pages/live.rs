//! Who is told that something happened, and for how long.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use ringback_core::Callback;
use ringback_core::delivery::DeliveryState;
use ringback_store::Store as _;
use serde_json::json;

use super::harness::{Visitor, WORKS, of_account, tried};
use crate::harness::Api;
use crate::recovery::callback;

const SOON: Duration = Duration::from_secs(10);

/// Records one attempt of an event of this account.
async fn attempt(api: &Api, account: &str, to: &Callback) {
    let records = tried(&of_account(account, "A"), to, DeliveryState::Delivered, WORKS);
    api.store.record(records.to_vec()).await.expect("recorded");
}

/// The next message; none: the stream has ended.
async fn message(stream: &mut BodyDataStream) -> Option<String> {
    loop {
        let chunk = tokio::time::timeout(SOON, stream.next()).await.expect("something in time")?;
        let text = String::from_utf8(chunk.expect("no error").to_vec()).expect("text");
        // Others keep the connection open.
        if !text.starts_with(':') {
            return Some(text);
        }
    }
}

#[tokio::test]
async fn visitor_is_told_of_attempts_for_the_own_account_alone() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let administrator = Visitor::administrator(&api).await;
    let of_acme = Visitor::of_account(&api, "acme").await;
    let (mut all, mut own) = (administrator.watches().await, of_acme.watches().await);
    // Twice: by the second time a first message to the wrong one would be there.
    for _ in 0..2 {
        attempt(&api, "other", &to).await;
        tokio::select! {
            biased;
            told = message(&mut own) => panic!("told of what is another account's: {told:?}"),
            told = message(&mut all) => assert_eq!(told.as_deref(), Some("data: changed\n\n")),
        }
    }
    attempt(&api, "acme", &to).await;
    assert_eq!(message(&mut own).await.as_deref(), Some("data: changed\n\n"));
}

#[tokio::test]
async fn nobody_is_told_of_anything_without_a_session_or_after_it() {
    let api = Api::start().await;
    assert_eq!(Visitor::stranger(&api).get("/console/live").await.status, 303);
    let visitor = Visitor::administrator(&api).await;
    let mut changes = visitor.watches().await;
    assert_eq!(visitor.post("/console/logout", &[]).await.status, 303);
    // It is looked at every 15 s: the timers are moved on instead of waiting.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    assert_eq!(message(&mut changes).await, None);
}
