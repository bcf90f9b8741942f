//! Pages in a real browser: what people see, press and hear read out, on a desktop and on a phone.

mod every_page;
mod journey;
mod keyboard;
mod reference;
mod settings;

use ringback_testkit::{Browser, BrowserSettings, Scheme, Script, Window};

use crate::support::{ADMIN_KEY, Ringback};

/// A browser with nothing open.
async fn browser(settings: BrowserSettings) -> Browser {
    Browser::start(settings).await.expect("it starts")
}

/// Signs in as the administrator.
async fn sign_in(browser: &Browser, ringback: &Ringback) {
    browser.open(&format!("{}/console/login", ringback.api.url())).await;
    browser.fill("API key", ADMIN_KEY).await;
    browser.press("Sign in").await;
    browser.wait_for_text("Overview").await;
}

/// Where every page has to be as good: on a desktop and on a phone, in the light and in the dark.
const VIEWS: [BrowserSettings; 4] = [
    view(Window::Desktop, Scheme::Light),
    view(Window::Desktop, Scheme::Dark),
    view(Window::Phone, Scheme::Light),
    view(Window::Phone, Scheme::Dark),
];

const fn view(window: Window, scheme: Scheme) -> BrowserSettings {
    BrowserSettings { window, scheme, script: Script::On, time_zone: None }
}

/// Asserts of the page that is open what holds of every page.
async fn assert_sound(browser: &Browser) {
    browser.assert_accessible().await;
    assert_eq!(browser.overflow().await, [""; 0], "it scrolls sideways");
    assert_eq!(browser.console_errors().await, [""; 0]);
}
