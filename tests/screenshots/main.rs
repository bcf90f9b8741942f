//! Pictures of every page, for the documents: an instance with sample data, and a browser that goes through it.
//!
//! `cargo xtask screenshots` builds the process and runs this with the directory to write to. An example of the package and
//! no test: it writes into the source tree, and asserts nothing but that there is something to see.

#![expect(clippy::print_stdout, reason = "a command for people at a terminal")]

#[path = "../e2e/samples.rs"]
#[expect(dead_code, reason = "tests look at more of it")]
mod samples;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ringback_testkit::{Browser, BrowserSettings, Extent, Scheme, Window};

use samples::Samples;
use support::ADMIN_KEY;

/// Who reads documents should not wait for their pictures.
const BYTES_MAX: u64 = 150_000;
const SIGN_IN: &str = "/console/login";

/// A page, and the name of its pictures.
struct Page {
    name: &'static str,
    path: String,
}

fn pages(samples: &Samples) -> Vec<Page> {
    let page = |name, path: &str| Page { name, path: path.to_owned() };
    vec![
        page("overview", "/console"),
        page("callbacks", "/console/callbacks"),
        page("callback-new", "/console/callbacks/new"),
        page("callback", &format!("/console/callbacks/{}", samples.callbacks.failing)),
        page("events", "/console/events"),
        page("event", &format!("/console/events/{}", samples.event)),
        page("deliveries", "/console/deliveries"),
        page("delivery", &format!("/console/deliveries/{}", samples.exhausted)),
        page("failed", "/console/failed"),
        page("replay", &format!("/console/replays/{}", samples.replay)),
        page("integrations", "/console/integrations"),
        page("event-notification", "/console/event-notification?account=northwind"),
        page("log", "/console/log"),
        page("settings", "/console/settings"),
        page("reference", "/reference"),
    ]
}

#[tokio::main]
async fn main() -> ExitCode {
    let directory =
        std::env::args_os().nth(1).map(PathBuf::from).expect("the directory to write to");
    std::fs::create_dir_all(&directory).expect("it can be made");
    let samples = Samples::start().await;
    let mut faults = BTreeSet::new();
    for (window, screen) in [(Window::Desktop, "desktop"), (Window::Phone, "phone")] {
        for (scheme, colours) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            let settings = BrowserSettings { window, scheme, ..BrowserSettings::default() };
            let browser = Browser::start(settings).await.expect("it starts");
            let view = format!("{screen}-{colours}");
            let base = samples.ringback.api.url();
            // Enough to see what a page is, where it is wide.
            let extent = if window == Window::Desktop { Extent::Top(680) } else { Extent::Window };
            let camera = Camera { browser, base, view, extent, directory: &directory };
            camera.sign_in(&mut faults).await;
            for page in pages(&samples) {
                camera.take(&page, &mut faults).await;
            }
        }
    }
    faults.iter().for_each(|fault| println!("{fault}"));
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A browser that takes pictures.
struct Camera<'a> {
    browser: Browser,
    base: &'a str,
    view: String,
    extent: Extent,
    directory: &'a Path,
}

impl Camera<'_> {
    /// Takes the picture of the page where one signs in, and does so.
    async fn sign_in(&self, faults: &mut BTreeSet<String>) {
        self.take(&Page { name: "login", path: SIGN_IN.to_owned() }, faults).await;
        if self.browser.status().await == 200 {
            self.browser.fill("API key", ADMIN_KEY).await;
            self.browser.press("Sign in").await;
            self.browser.wait_for_text("Overview").await;
        }
    }

    async fn take(&self, page: &Page, faults: &mut BTreeSet<String>) {
        let Page { name, path } = page;
        self.browser.open(&format!("{}{path}", self.base)).await;
        let status = self.browser.status().await;
        let url = self.browser.url().await;
        if status != 200 || !url.ends_with(path.as_str()) {
            faults.insert(format!("{name}: {path} answers {status} at {url}"));
            return;
        }
        let file = self.directory.join(format!("{name}-{}.png", self.view));
        self.browser.screenshot(&file, self.extent).await;
        let bytes = std::fs::metadata(&file).expect("it was written").len();
        println!("{} ({} KB)", file.display(), bytes / 1_000);
        if bytes > BYTES_MAX {
            faults.insert(format!("{}: {bytes} bytes, more than {BYTES_MAX}", file.display()));
        }
    }
}
