//! Chromium, as somebody in front of it: opens pages, fills in and presses what it finds by its words, and looks.
//!
//! Each has a profile of its own and leaves nothing behind. What is done waits for what it needs, up to ten seconds, and
//! panics if that does not come, with what the page says instead.

mod acting;
mod axe;
mod driver;
mod looking;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::servers::{Chromedriver, find_program};
use driver::Driver;

pub use axe::{Impact, Violation};
pub use looking::{Cookie, Extent};

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(10);

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    script: Script,
}

/// What somebody looks with. By default a desktop, in light colours, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrowserSettings {
    /// How much room there is.
    pub window: Window,
    /// Which colours are preferred.
    pub scheme: Scheme,
    /// Whether pages may run scripts.
    pub script: Script,
    /// The time zone, as `Europe/Berlin`; none: UTC.
    pub time_zone: Option<&'static str>,
}

/// The size of the part of a window that shows the page. A pixel of it is one of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// 1280 × 900 px.
    #[default]
    Desktop,
    /// 390 × 844 px, touched with fingers.
    Phone,
    /// This wide, in px; a phone's below 600.
    Width(u32),
}

/// Preferred colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    #[default]
    Light,
    /// Light on dark.
    Dark,
}

/// Whether pages may run scripts. Ours run in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Script {
    /// They may.
    #[default]
    On,
    /// They may not.
    Off,
}

/// A key that is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// To what comes next.
    Tab,
    /// Shift and Tab: to what came before.
    BackTab,
    /// Follows a link, presses a button, sends a form.
    Enter,
    /// Closes what is open.
    Escape,
    /// Presses a button, ticks a box.
    Space,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
}

impl Browser {
    /// Starts one, on an empty page.
    ///
    /// # Errors
    /// If Chromium or its driver is not installed or does not start.
    pub async fn start(settings: BrowserSettings) -> anyhow::Result<Self> {
        let chromium =
            find_program("chromium").context("there is no `chromium` (Debian package chromium)")?;
        let chromedriver = Chromedriver::start().await?;
        let profile = chromedriver.directory().join("profile");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            // Through which it learns that its driver is gone.
            "--remote-debugging-pipe".to_owned(),
            "--disable-crash-reporter".to_owned(),
            // In containers /dev/shm is often too small for it.
            "--disable-dev-shm-usage".to_owned(),
            // They take more or less of a window's width elsewhere.
            "--hide-scrollbars".to_owned(),
        ];
        // Chromium does not start as root otherwise. It is shown our own pages only.
        if std::fs::metadata("/proc/self")?.uid() == 0 {
            arguments.push("--no-sandbox".to_owned());
        }
        let options = json!({"binary": chromium, "args": arguments});
        let driver = Driver::start(chromedriver, &options).await?;
        for (command, parameters) in settings.emulation() {
            driver.devtools(command, parameters).await.context(command)?;
        }
        Ok(Self { driver, script: settings.script })
    }

    /// Where it keeps its profile, as long as it lives.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.driver.directory()
    }

    /// What axe-core finds wrong with the page for people who can't see it, or use no mouse: by WCAG 2.1 A and AA, and by
    /// good practice.
    ///
    /// # Panics
    /// If axe-core is not there (`cargo xtask test` fetches it), or does not run.
    pub async fn axe(&self) -> Vec<Violation> {
        // It waits now and then, which nothing does where no scripts run; those of the page that did not run don't now.
        self.allow_scripts(Script::On).await;
        let found = axe::run(&self.driver).await;
        self.allow_scripts(self.script).await;
        found.unwrap_or_else(|error| panic!("axe: {error:#}"))
    }

    /// Asserts that nobody is shut out: that axe-core finds nothing that is serious or critical.
    ///
    /// # Panics
    /// If it does, with all of it.
    pub async fn assert_accessible(&self) {
        let mut found = self.axe().await;
        found.retain(|violation| violation.impact >= Impact::Serious);
        let found: Vec<_> = found.iter().map(|violation| format!("\n  {violation}")).collect();
        assert!(found.is_empty(), "{} is not for everybody:{}", self.url().await, found.concat());
    }
}

impl Browser {
    async fn allow_scripts(&self, script: Script) {
        let (command, parameters) = script.emulation();
        self.driver.devtools(command, parameters).await.expect("Chromium takes it");
    }
}

impl BrowserSettings {
    /// How Chromium is told, command by command.
    fn emulation(self) -> Vec<(&'static str, Value)> {
        let (width, height) = match self.window {
            Window::Desktop => (1280, 900),
            Window::Phone => (390, 844),
            Window::Width(width) => (width, 900),
        };
        let is_phone = width < 600;
        let screen = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone,
        });
        let scheme = match self.scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        // What moves looks different each time.
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        let zone = self.time_zone.unwrap_or("UTC");
        vec![
            ("Emulation.setDeviceMetricsOverride", screen),
            ("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone})),
            ("Emulation.setEmulatedMedia", media),
            ("Emulation.setTimezoneOverride", json!({"timezoneId": zone})),
            self.script.emulation(),
        ]
    }
}

impl Script {
    /// How Chromium is told. The setting that people have for it would silence our scripts as well.
    fn emulation(self) -> (&'static str, Value) {
        ("Emulation.setScriptExecutionDisabled", json!({"value": self == Self::Off}))
    }
}

impl Key {
    /// How WebDriver has it: keys that are held, and the key.
    const fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Tab => &["\u{e004}"],
            Self::BackTab => &["\u{e008}", "\u{e004}"],
            Self::Enter => &["\u{e007}"],
            Self::Escape => &["\u{e00c}"],
            Self::Space => &[" "],
            Self::Up => &["\u{e013}"],
            Self::Down => &["\u{e015}"],
        }
    }
}
