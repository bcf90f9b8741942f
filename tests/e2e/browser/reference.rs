//! The reference of event types: readable by everybody, with whatever they have.

use ringback_testkit::{Browser, BrowserSettings, Key, Script, Window};
use serde_json::json;

use super::{VIEWS, assert_sound, browser};
use crate::support::Ringback;

/// A type whose words are as long as words get.
async fn ringback_with_a_long_type() -> Ringback {
    let ringback = Ringback::start().await;
    let variable = json!({"name": "X".repeat(80), "type": "string", "example": "y".repeat(300)});
    let kind = json!({"description": "z".repeat(300), "variables": [variable]});
    let name = format!("/v1/event-types/{}", "W".repeat(128));
    ringback.api.put(&name, &kind).await.expect(201);
    ringback
}

async fn open(ringback: &Ringback, settings: BrowserSettings) -> Browser {
    let browser = browser(settings).await;
    browser.open(&format!("{}/reference", ringback.api.url())).await;
    assert_eq!(browser.status().await, 200);
    browser.wait_for_text("COMMENT_CREATED").await;
    browser
}

#[tokio::test]
async fn everybody_can_read_the_reference_on_every_screen_in_light_and_dark() {
    let ringback = ringback_with_a_long_type().await;
    let narrow = BrowserSettings { window: Window::Width(320), ..BrowserSettings::default() };
    for view in VIEWS.into_iter().chain([narrow]) {
        let browser = open(&ringback, view).await;
        browser
            .run_script(
                "document.querySelectorAll('details').forEach((all) => { all.open = true; })",
            )
            .await;
        assert_sound(&browser).await;
    }
}

#[tokio::test]
async fn keyboard_skips_to_the_types_and_reaches_every_link_without_a_script_of_the_page() {
    let ringback = Ringback::start().await;
    let settings = BrowserSettings { script: Script::Off, ..BrowserSettings::default() };
    let browser = open(&ringback, settings).await;

    browser.key(Key::Tab).await;
    assert_eq!(browser.focused().await, "Skip to the types");
    browser.key(Key::Enter).await;
    browser.wait_for("main:focus").await;
    browser.key(Key::Tab).await;
    let first = browser.focused().await;
    assert_eq!(first, browser.text_of("main h2").await, "the index is skipped");

    browser.open(&format!("{}/reference", ringback.api.url())).await;
    browser.key(Key::Tab).await;
    for link in browser.texts_of("nav a").await {
        browser.key(Key::Tab).await;
        assert_eq!(browser.focused().await, link);
    }
    browser.key(Key::BackTab).await;
    browser.key(Key::Enter).await;
    let links = browser.texts_of("nav a").await;
    let last_but_one = links.iter().rev().nth(1).expect("there are many");
    assert!(browser.url().await.ends_with(&format!("/reference#{last_but_one}")));

    browser.follow("COMMENT_CREATED").await;
    assert!(browser.url().await.ends_with("/reference#COMMENT_CREATED"));
}
