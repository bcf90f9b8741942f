//! What is seen of a page.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Browser, SOON};

const FOCUSED: &str = include_str!("focused.js");
const OVERFLOW: &str = include_str!("overflow.js");
/// What of the page can be read, blanks and ends of lines as one blank.
const TEXT: &str = "return document.body.innerText.replace(/\\s+/g, ' ').trim();";

/// How much of a page a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What the window shows.
    Window,
    /// So many px of it, from the top.
    Top(u32),
    /// All of it, however long.
    Page,
}

/// What the browser keeps for a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// What is kept.
    pub value: String,
    /// Below which path it is sent.
    pub path: String,
    /// Whether scripts can't read it.
    pub is_http_only: bool,
    /// Whether it is sent over TLS alone.
    pub is_secure: bool,
    /// Whether it is sent from pages of others: `Strict`, `Lax` or `None`; empty if it does not say.
    pub same_site: String,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, path, is_http_only, is_secure, same_site, value: _ } = self;
        write!(
            formatter,
            "{name} (path {path}, HttpOnly {is_http_only}, Secure {is_secure}, SameSite {same_site})"
        )
    }
}

impl Browser {
    /// The address of the page.
    ///
    /// # Panics
    /// If the browser does not say, as everything here.
    pub async fn url(&self) -> String {
        text(&self.driver.get("url").await.expect("a page has an address"))
    }

    /// The page's title.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn title(&self) -> String {
        text(&self.driver.get("title").await.expect("a page has a title"))
    }

    /// The status that the page was answered with.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn status(&self) -> u64 {
        let status = "return performance.getEntriesByType('navigation')[0].responseStatus;";
        self.run_script(status).await.as_u64().expect("a page was answered with a status")
    }

    /// The text of the first element that this selector finds, as soon as there is one.
    ///
    /// # Panics
    /// If none comes.
    pub async fn text_of(&self, selector: &str) -> String {
        self.wait_for(selector).await;
        self.texts_of(selector).await.into_iter().next().expect("it was there a moment ago")
    }

    /// The texts of all elements that this selector finds, now.
    ///
    /// # Panics
    /// If it is no selector.
    pub async fn texts_of(&self, selector: &str) -> Vec<String> {
        const TEXTS: &str = "return [...document.querySelectorAll(arguments[0])]\
            .map((found) => (found.innerText ?? found.textContent).replace(/\\s+/g, ' ').trim());";
        let texts = self.driver.run(TEXTS, &[json!(selector)]).await;
        let texts = texts.unwrap_or_else(|error| panic!("`{selector}`: {error:#}"));
        texts.as_array().into_iter().flatten().map(text).collect()
    }

    /// Whether the page says so, now.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn has_text(&self, words: &str) -> bool {
        self.text().await.contains(words)
    }

    /// Waits until the page says so.
    ///
    /// # Panics
    /// If it does not.
    pub async fn wait_for_text(&self, words: &str) {
        self.wait_until(&format!("text `{words}`"), SOON, async || self.reads(words).await).await;
    }

    /// Waits until the page does not say so any more.
    ///
    /// # Panics
    /// If it still does.
    pub async fn wait_for_no_text(&self, words: &str) {
        self.wait_until(&format!("end of `{words}`"), SOON, async || {
            self.reads(words).await.map(|reads| !reads)
        })
        .await;
    }

    /// Waits until this selector finds an element.
    ///
    /// # Panics
    /// If it does not.
    pub async fn wait_for(&self, selector: &str) {
        const IS_THERE: &str = "return document.querySelector(arguments[0]) !== null;";
        self.wait_until(&format!("`{selector}`"), SOON, async || {
            self.driver.run(IS_THERE, &[json!(selector)]).await.ok()?.as_bool()
        })
        .await;
    }

    /// What the focused element is called; empty: none is.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn focused(&self) -> String {
        text(&self.run_script(FOCUSED).await)
    }

    /// Empty, as it should be, or what sticks out of a page that scrolls sideways.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn overflow(&self) -> Vec<String> {
        self.run_script(OVERFLOW).await.as_array().into_iter().flatten().map(text).collect()
    }

    /// What went wrong since this was asked last, as the browser's console has it: scripts that failed, what the page's
    /// policy forbids, what could not be loaded.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn console_errors(&self) -> Vec<String> {
        let log = self.driver.post("se/log", &json!({"type": "browser"})).await;
        let log = log.expect("the browser keeps a log");
        let errors =
            log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| text(&entry["message"])).collect()
    }

    /// Writes a picture of the page, as PNG.
    ///
    /// # Panics
    /// If it can't be written.
    pub async fn screenshot(&self, file: &Path, extent: Extent) {
        let layout = self.driver.devtools("Page.getLayoutMetrics", json!({})).await;
        let mut layout = layout.expect("a page has a layout");
        let (window, page) = (layout["cssLayoutViewport"].take(), layout["cssContentSize"].take());
        let (width, height) = match extent {
            Extent::Window => (&window["clientWidth"], window["clientHeight"].clone()),
            Extent::Top(height) => (&window["clientWidth"], json!(height)),
            Extent::Page => (&page["width"], page["height"].clone()),
        };
        let (x, y) = match extent {
            Extent::Page => (&json!(0), &json!(0)),
            Extent::Window | Extent::Top(_) => (&window["pageX"], &window["pageY"]),
        };
        let how = json!({
            "format": "png",
            "captureBeyondViewport": extent == Extent::Page,
            "clip": {"x": x, "y": y, "width": width, "height": height, "scale": 1},
        });
        let picture = self.driver.devtools("Page.captureScreenshot", how).await;
        let picture = text(&picture.expect("a page can be seen")["data"]);
        let picture = STANDARD.decode(picture).expect("a picture in base64");
        std::fs::write(file, picture).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// What is kept for this page's server.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn cookies(&self) -> Vec<Cookie> {
        let cookies = self.driver.get("cookie").await.expect("a page has cookies or none");
        let cookie = |cookie: &Value| Cookie {
            name: text(&cookie["name"]),
            value: text(&cookie["value"]),
            path: text(&cookie["path"]),
            is_http_only: cookie["httpOnly"] == true,
            is_secure: cookie["secure"] == true,
            same_site: text(&cookie["sameSite"]),
        };
        cookies.as_array().into_iter().flatten().map(cookie).collect()
    }

    /// Forgets what is kept for this page's server.
    ///
    /// # Panics
    /// See [`url`](Self::url).
    pub async fn forget_cookies(&self) {
        self.driver.delete("cookie").await.expect("cookies can be deleted");
    }

    /// Where we are and what stands there, for a message.
    pub(super) async fn sight(&self) -> String {
        let page: String = self.text().await.chars().take(1_500).collect();
        format!("{}, which says:\n{page}", self.url().await)
    }

    async fn text(&self) -> String {
        text(&self.run_script(TEXT).await)
    }

    /// None between two pages.
    async fn reads(&self, words: &str) -> Option<bool> {
        Some(text(&self.driver.run(TEXT, &[]).await.ok()?).contains(words))
    }

    async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        mut holds: impl AsyncFnMut() -> Option<bool>,
    ) {
        let found = self.until(deadline, async || holds().await.filter(|holds| *holds));
        if found.await.is_none() {
            panic!("no {what} after {deadline:?} on {}", self.sight().await);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
