//! The web console as several processes beside workers of their own.

use ringback_testkit::{Behaviour, Browser, BrowserSettings, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Part, Shape};
use crate::support::{ADMIN_KEY, SOON, callback_once, event, eventually, with};

#[tokio::test]
async fn session_is_good_at_every_console_and_pages_hear_of_what_workers_do() {
    let mut cluster = Cluster::start(Shape { consoles: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(503));
    let settings = with(callback_once(&receiver.url("/hook")), json!({"account": "acme"}));
    let callback = cluster.api().create_callback(&settings).await;
    let [one, other] = [0, 1].map(|index| format!("{}/console", cluster.consoles[index].api.url()));

    let browser = Browser::start(BrowserSettings::default()).await.expect("it starts");
    browser.open(&format!("{one}/login")).await;
    browser.fill("API key", ADMIN_KEY).await;
    browser.press("Sign in").await;
    browser.wait_for_text("Overview").await;

    // Browsers send a host's cookies to all its ports.
    browser.open(&format!("{other}/callbacks/{callback}")).await;
    browser.wait_for_text("Last deliveries").await;
    cluster.ingest().send(&event("COMMENT_CREATED")).await;
    browser.wait_for_text("COMMENT_CREATED").await;
    browser.wait_for_text("exhausted").await;

    // What the worker has added up.
    eventually("its attempt in the chart", SOON, async || {
        browser.reload().await;
        browser.has_text("1 of 1 failed").await.then_some(())
    })
    .await;

    cluster.kill(Part::Postgres).await;
    browser.reload().await;
    assert_eq!(browser.status().await, 503);
    browser.wait_for_text("The store can't be used now.").await;
    cluster.start_again(Part::Postgres).await;
    eventually("the page again", SOON, async || {
        browser.reload().await;
        browser.has_text("Last deliveries").await.then_some(())
    })
    .await;

    browser.press("Sign out").await;
    browser.wait_for_text("API key").await;
    browser.open(&one).await;
    browser.wait_for_text("Sign in").await;
}
