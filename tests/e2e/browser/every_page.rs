//! What holds of every page, over a day of sample data: nothing serious to be found by axe, no sideways scrolling, nothing in
//! the browser's log; on a desktop and on a phone, in the light and in the dark.

use ringback_testkit::{Browser, BrowserSettings, Window};
use serde_json::json;

use super::{VIEWS, assert_sound, browser, sign_in};
use crate::samples::Samples;
use crate::support::text;

fn pages(samples: &Samples) -> Vec<String> {
    let failing = &samples.callbacks.failing;
    let own = |page: &str| format!("/console/callbacks/{failing}{page}");
    let fixed = [
        "/console",
        "/console?span=30d",
        "/console/callbacks",
        "/console/callbacks?search=nothing+is+called+so",
        "/console/callbacks/new",
        "/console/integrations",
        "/console/events",
        "/console/deliveries",
        "/console/deliveries?status=pending",
        "/console/failed",
        "/console/failed/replay",
        "/console/replays",
        "/console/event-notification",
        "/console/event-notification?account=northwind",
        "/console/log",
        "/console/reference",
        "/console/settings",
        "/reference",
    ];
    let mut pages: Vec<_> = fixed.into_iter().map(str::to_owned).collect();
    pages.extend(
        ["", "/edit", "/test", "/secret", "/secret/rotate", "/delete", "/disable"].map(own),
    );
    pages.push(format!("/console/events/{}", samples.event));
    pages.push(format!("/console/deliveries/{}", samples.exhausted));
    pages.push(format!("/console/replays/{}", samples.replay));
    pages
}

async fn assert_sound_at(browser: &Browser, base: &str, page: &str) {
    browser.open(&format!("{base}{page}")).await;
    assert_eq!(browser.status().await, 200, "{page}");
    assert_sound(browser).await;
}

#[tokio::test]
async fn every_page_is_sound_on_every_screen_in_light_and_dark() {
    let samples = Samples::start().await;
    let (api, base) = (&samples.ringback.api, samples.ringback.api.url());
    let link = api.post("/v1/console-links", &json!({"account": "acme"})).await.expect(201);
    let before_signing_in = ["/console/login".to_owned(), text(&link["path"])];
    let narrow = BrowserSettings { window: Window::Width(360), ..BrowserSettings::default() };
    for view in VIEWS.into_iter().chain([narrow]) {
        let browser = browser(view).await;
        for page in &before_signing_in {
            println!("{page} {view:?}");
            assert_sound_at(&browser, base, page).await;
        }
        sign_in(&browser, &samples.ringback).await;
        for page in pages(&samples) {
            println!("{page} {view:?}");
            assert_sound_at(&browser, base, &page).await;
        }
    }
}
