//! The whole way through the console: from signing in over a callback, a test event and a failing endpoint to a bulk replay.

use ringback_testkit::{Behaviour, Browser, BrowserSettings, Key, Receiver, Script, Window};

use super::{assert_sound, browser};
use crate::support::{ADMIN_KEY, Ringback, SOON, event, eventually};

#[tokio::test]
async fn whole_way_with_script_in_dialogs() {
    walk(BrowserSettings::default()).await;
}

#[tokio::test]
async fn whole_way_without_script() {
    walk(BrowserSettings { script: Script::Off, ..BrowserSettings::default() }).await;
}

#[tokio::test]
async fn whole_way_on_a_phone() {
    walk(BrowserSettings { window: Window::Phone, ..BrowserSettings::default() }).await;
}

/// Somebody who walks.
struct Walk {
    settings: BrowserSettings,
    browser: Browser,
    ringback: Ringback,
    receiver: Receiver,
}

async fn walk(settings: BrowserSettings) {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(204));
    let (ringback, browser) = (Ringback::start().await, browser(settings).await);
    let walk = Walk { settings, browser, ringback, receiver };
    walk.sign_in().await;
    walk.add_a_callback().await;
    walk.try_it_out().await;
    walk.see_what_failed_and_retry().await;
    walk.replay_the_rest().await;
    walk.sign_out().await;
}

impl Walk {
    async fn sign_in(&self) {
        let Self { browser, ringback, .. } = self;
        browser.open(&format!("{}/", ringback.api.url())).await;
        browser.fill("API key", "rbk_nobody-has-this-one").await;
        browser.press("Sign in").await;
        browser.wait_for_text("no API key that is known here").await;
        // The browser's own words on a 401 are none of ours.
        browser.console_errors().await;
        browser.fill("API key", ADMIN_KEY).await;
        browser.press("Sign in").await;
        browser.wait_for_text("Overview").await;
        let cookies = browser.cookies().await;
        let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
        assert!(cookie.is_secure && cookie.is_http_only, "{cookie:?}");
        assert_eq!((cookie.same_site.as_str(), cookie.path.as_str()), ("Lax", "/"));
        assert_sound(browser).await;
    }

    async fn add_a_callback(&self) {
        let Self { browser, receiver, .. } = self;
        self.go("Callbacks").await;
        browser.wait_for_text("There are no callbacks yet").await;
        browser.follow("Add a callback").await;
        browser.wait_for_text("All events may overwhelm the receiver.").await;
        assert_sound(browser).await;
        browser.fill("Name", "Comments").await;
        browser.fill("Account", "acme").await;
        browser.fill("URL", "ftp://receiver.example").await;
        browser.press("Add a callback").await;
        browser.wait_for("#main [aria-invalid=true], dialog [aria-invalid=true]").await;
        browser.assert_accessible().await;
        self.forget_refusals().await;

        browser.fill("URL", &receiver.url("/hook/{COMMENT_ID}")).await;
        browser.choose("Example event", "COMMENT_CREATED").await;
        if self.settings.script == Script::Off {
            browser.press("Show the preview").await;
        }
        browser.wait_for_text(&receiver.url("/hook/178")).await;
        browser.fill("Seconds before a retry", "1").await;
        browser.fill("Retries at the most", "1").await;
        browser.press("Add a callback").await;
        browser.wait_for_text("gets every event: that may overwhelm its receiver").await;
        assert_sound(browser).await;
    }

    async fn try_it_out(&self) {
        let Self { browser, receiver, .. } = self;
        browser.follow("Send a test event").await;
        browser.choose("Event", "COMMENT_CREATED").await;
        browser.press("Send it").await;
        browser.wait_for_text("It arrived.").await;
        assert_eq!(receiver.requests_to("/hook/178").len(), 1);
        assert_sound(browser).await;
        if self.settings.script == Script::On {
            browser.key(Key::Escape).await;
            browser.wait_for("body:not(:has(dialog))").await;
            assert_eq!(browser.focused().await, "Send a test event", "back where it was opened");
        }
    }

    async fn see_what_failed_and_retry(&self) {
        let Self { browser, receiver, ringback, .. } = self;
        receiver.on_others(Behaviour::status(503));
        for _ in 0..3 {
            ringback.api.send(&event("COMMENT_CREATED")).await;
        }
        let failed = "/v1/deliveries?status=exhausted";
        eventually("three that are given up", SOON, async || {
            (ringback.api.list(failed).await.len() == 3).then_some(())
        })
        .await;
        self.go("Failed").await;
        browser.wait_for_text("3 failed").await;
        assert_sound(browser).await;
        browser.follow("COMMENT_CREATED").await;
        browser.wait_for_text("It was given up after 2 attempts").await;
        browser.wait_for_text("curl").await;
        assert_sound(browser).await;
        receiver.on_others(Behaviour::status(204));
        browser.press("Retry now").await;
        browser.wait_for_text("Another attempt is on its way.").await;
        self.becomes("delivered").await;
    }

    async fn replay_the_rest(&self) {
        let Self { browser, ringback, .. } = self;
        self.go("Failed").await;
        browser.follow("Replay all 2 that match this filter").await;
        browser.wait_for_text("Deliveries a second").await;
        browser.press("Replay all 2").await;
        browser.wait_for_text("The replay has begun.").await;
        self.becomes("2 of 2 looked at").await;
        assert_sound(browser).await;
        eventually("all delivered", SOON, async || {
            let delivered = ringback.api.list("/v1/deliveries?status=delivered").await;
            (delivered.len() == 4).then_some(())
        })
        .await;
        self.go("Failed").await;
        browser.wait_for_text("Nothing failed here").await;
    }

    async fn sign_out(&self) {
        let Self { browser, ringback, .. } = self;
        self.open_menu().await;
        browser.press("Sign out").await;
        browser.wait_for_text("API key").await;
        browser.open(&format!("{}/console/failed", ringback.api.url())).await;
        browser.wait_for_text("Sign in").await;
    }

    /// By the navigation.
    async fn go(&self, section: &str) {
        self.open_menu().await;
        self.browser.follow(section).await;
        self.browser.wait_for_text(section).await;
    }

    async fn open_menu(&self) {
        if self.settings.window == Window::Phone {
            self.browser.press("Menu").await;
        }
    }

    /// With script by itself, without it after loading again.
    async fn becomes(&self, words: &str) {
        if self.settings.script == Script::On {
            return self.browser.wait_for_text(words).await;
        }
        eventually(words, SOON, async || {
            self.browser.reload().await;
            self.browser.has_text(words).await.then_some(())
        })
        .await;
    }

    /// A form that is refused is answered with 422, and the browser says so in its log.
    async fn forget_refusals(&self) {
        for error in self.browser.console_errors().await {
            assert!(error.contains("422"), "{error}");
        }
    }
}
