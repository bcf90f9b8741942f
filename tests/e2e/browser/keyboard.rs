//! The console by keyboard alone.

use ringback_testkit::{BrowserSettings, Key};

use super::browser;
use crate::support::{ADMIN_KEY, Ringback};

#[tokio::test]
async fn keyboard_skips_to_the_content_and_opens_leaves_and_keeps_a_dialog() {
    let ringback = Ringback::start().await;
    let browser = browser(BrowserSettings::default()).await;
    browser.open(&format!("{}/console/login?next=/console/callbacks", ringback.api.url())).await;
    browser.fill("API key", ADMIN_KEY).await;
    browser.key(Key::Enter).await;
    browser.wait_for_text("There are no callbacks yet").await;

    browser.key(Key::Tab).await;
    assert_eq!(browser.focused().await, "Skip to the content");
    browser.key(Key::Enter).await;
    browser.wait_for("main:focus").await;
    browser.key(Key::Tab).await;
    assert_eq!(browser.focused().await, "Add a callback");
    browser.key(Key::Enter).await;
    browser.wait_for("dialog[open] h1").await;
    assert_eq!(browser.focused().await, "Name", "the first field, to type at once");

    // An empty form is sent by Enter, and comes back with what is wrong in focus.
    browser.key(Key::Enter).await;
    browser.wait_for("dialog [aria-invalid=true]:focus").await;
    browser.key(Key::Escape).await;
    browser.wait_for("body:not(:has(dialog))").await;
    assert_eq!(browser.focused().await, "Add a callback");
}
