//! What administrators look after: keys, links, what the log callback was sent, and the catalog.

use ringback_testkit::{Browser, BrowserSettings};
use serde_json::json;

use super::{VIEWS, assert_sound, browser, sign_in};
use crate::support::Ringback;

async fn signed_in(ringback: &Ringback, settings: BrowserSettings) -> Browser {
    let browser = browser(settings).await;
    sign_in(&browser, ringback).await;
    browser
}

async fn open(browser: &Browser, ringback: &Ringback, path: &str) {
    browser.open(&format!("{}/console/{path}", ringback.api.url())).await;
    assert_eq!(browser.status().await, 200, "{path}");
}

/// One with keys, a strict account, and requests in its log.
async fn lived_in() -> Ringback {
    let ringback = Ringback::start().await;
    for description in ["", "W".repeat(200).as_str()] {
        let key = json!({"account": "acme", "description": description});
        ringback.api.post("/v1/api-keys", &key).await.expect(201);
    }
    let account = format!("/v1/accounts/{}", "A".repeat(64));
    ringback.api.put(&account, &json!({"strict": true})).await.expect(200);
    for query in ["", "&id=178"] {
        ringback.api.text(&format!("/system.ashx?f=lp{query}")).await;
    }
    ringback
}

#[tokio::test]
async fn pages_are_sound_on_every_screen_in_light_and_dark() {
    let ringback = lived_in().await;
    for view in VIEWS {
        let browser = signed_in(&ringback, view).await;
        for path in ["settings", "settings/accounts/new", "log", "reference", "reference?search=no"]
        {
            open(&browser, &ringback, path).await;
            assert_sound(&browser).await;
        }
        for (path, button) in
            [("settings/keys/new", "Make the key"), ("settings/links/new", "Make the link")]
        {
            open(&browser, &ringback, path).await;
            browser.press(button).await;
            browser.wait_for_text("say which").await;
            browser.assert_accessible().await;
            browser.fill("Account", "acme").await;
            browser.press(button).await;
            browser.wait_for_text("not shown again").await;
            assert_eq!(browser.overflow().await, [""; 0]);
            browser.assert_accessible().await;
        }
    }
}

#[tokio::test]
async fn key_is_made_and_removed_by_a_dialog_that_says_what_goes_with_it() {
    let ringback = Ringback::start().await;
    let browser = signed_in(&ringback, BrowserSettings::default()).await;
    open(&browser, &ringback, "settings").await;
    browser.follow("Make an API key").await;
    browser.fill("What it is for", "billing").await;
    browser.fill("Account", "acme").await;
    browser.press("Make the key").await;
    browser.wait_for_text("not shown again").await;
    let key = ringback.api.with_key(&browser.text_of("#made").await);
    key.get("/v1/accounts/acme").await.expect(200);

    browser.follow("Done").await;
    browser.follow("Remove the key “billing”").await;
    browser.wait_for("dialog[open]").await;
    browser.wait_for_text("is signed out").await;
    browser.assert_accessible().await;
    browser.press("Remove the key").await;
    browser.wait_for_text("The API key is removed.").await;
    key.get("/v1/accounts/acme").await.expect_problem(401);
}

#[tokio::test]
async fn log_shows_what_comes_while_it_is_looked_at() {
    let ringback = Ringback::start().await;
    let browser = signed_in(&ringback, BrowserSettings::default()).await;
    open(&browser, &ringback, "log").await;
    browser.wait_for_text("Nothing was sent here").await;
    ringback.api.text("/system.ashx?f=lp&id=178").await;
    browser.wait_for_text("?f=lp&id=178").await;
}
