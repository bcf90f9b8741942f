//! Visitors of the console: an administrator, and somebody of one account.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use ringback_api::Keys;
use ringback_broker::embedded::Embedded;
use ringback_console::Console;
use ringback_core::ApiKeyId;
use ringback_core::address::AddressPolicy;
use ringback_core::secret::Secret;
use ringback_runtime::{Clock as _, Shutdown};
use ringback_sqlite::Database;
use ringback_store::{ApiKey, Cursor, KeyHash, Scope, Store};
use ringback_testkit::ManualClock;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::history::History;

/// Who looks.
#[derive(Clone, Copy)]
pub(super) enum Visitor {
    Administrator,
    /// Of the account that has a tenth of all.
    OfLargeAccount,
}

pub(super) struct Visits {
    router: Router,
    clock: Arc<ManualClock>,
    /// The administrator's session, and the account's.
    cookies: [String; 2],
    _at_work: JoinSet<Result<(), Infallible>>,
    _queue: TempDir,
}

/// A page, asked for some times.
pub(super) struct Visit {
    first: Duration,
    times: Vec<Duration>,
    pub(super) bytes: usize,
}

/// From one visit to the next: what is kept in memory for some seconds is read anew.
const BETWEEN: Duration = Duration::from_secs(10);
/// Of which the tasks of the process have so long, which begin with it.
const TASKS_TAKE: Duration = Duration::from_millis(100);

const ADMINISTRATOR: &str = "rbk_an-administrator-of-benchmarks";
const OF_ACCOUNT: &str = "rbk_somebody-of-the-large-account";

impl Visits {
    pub(super) async fn begin(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        history: &History,
    ) -> Result<Self> {
        let now = clock.now();
        let key = ApiKey {
            id: ApiKeyId::from_parts(now, [1; 10]),
            description: String::new(),
            scope: Scope::Account(history.large.clone()),
            hash: KeyHash::of(&Secret::new(OF_ACCOUNT)),
            created_at: now,
        };
        store.create_api_key(&key).await?;
        // Pages put nothing on it.
        let queue = tempfile::tempdir()?;
        let broker = Embedded::open(Database::open(queue.path()).await?, clock.clone()).await?;
        let bootstrap = Some(KeyHash::of(&Secret::new(ADMINISTRATOR)));
        let keys = Keys::new(Arc::clone(&store), bootstrap);
        let policy = AddressPolicy::allowing(Vec::new());
        let console = Console::new(store.clone(), broker, clock.clone(), policy, keys);
        let router = ringback_console::router(console.clone());
        let cookies = [cookie(&router, ADMINISTRATOR).await?, cookie(&router, OF_ACCOUNT).await?];
        let mut at_work = JoinSet::new();
        at_work.spawn(console.clone().keep_pages_ready(Shutdown::new()));
        at_work.spawn(ask_for_backlog(store, console, clock.clone()));
        // Nobody is faster than that to find the page.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Self { router, clock, cookies, _at_work: at_work, _queue: queue })
    }

    /// What is asked for: a name, the path, and by whom.
    pub(super) async fn pages(
        &self,
        history: &History,
    ) -> Result<Vec<(&'static str, String, Visitor)>> {
        use Visitor::{Administrator, OfLargeAccount};
        let History { busy, small, event, delivery, middle, .. } = history;
        let account = &history.large;
        // As a list gives it out, half way down.
        let deep = Cursor { at: *middle, id: event.to_string() };
        let console = |path: &str| format!("/console{path}");
        Ok(vec![
            ("Overview", console(""), Administrator),
            ("Overview, 30 days", console("?span=30d"), Administrator),
            ("Overview of an account", console(""), OfLargeAccount),
            ("Callbacks", console("/callbacks"), Administrator),
            ("Callbacks by success", console("/callbacks?sort=success"), Administrator),
            ("Callbacks of an account, searched", console("/callbacks?search=12"), OfLargeAccount),
            ("Callback", console(&format!("/callbacks/{busy}")), Administrator),
            ("Edit a callback", console(&format!("/callbacks/{busy}/edit")), Administrator),
            ("Events", console("/events"), Administrator),
            ("Events, half way down", console(&format!("/events?cursor={deep}")), Administrator),
            ("Events of an account", console("/events"), OfLargeAccount),
            ("Events of a rare name", console("/events?name=PACKAGE_COMPLETE"), Administrator),
            ("Events by a variable", console("/events?variable=COMMENT_ID&value=3"), Administrator),
            ("Event", console(&format!("/events/{event}")), Administrator),
            ("Deliveries", console("/deliveries"), Administrator),
            (
                "Deliveries, half way down",
                console(&format!("/deliveries?cursor={deep}")),
                Administrator,
            ),
            ("Deliveries of an account", console("/deliveries"), OfLargeAccount),
            (
                "Deliveries of a small account",
                console(&format!("/deliveries?account={small}")),
                Administrator,
            ),
            ("Deliveries that wait", console("/deliveries?status=pending"), Administrator),
            (
                "Deliveries to a callback that failed",
                console(&format!("/deliveries?callback={busy}&status=exhausted")),
                Administrator,
            ),
            (
                "Deliveries of a small account that were delivered",
                console(&format!("/deliveries?account={small}&status=delivered")),
                Administrator,
            ),
            ("Delivery", console(&format!("/deliveries/{delivery}")), Administrator),
            ("Failed", console("/failed"), Administrator),
            ("Failed of an account", console("/failed"), OfLargeAccount),
            (
                "Failed of a small account",
                console(&format!("/failed?account={small}")),
                Administrator,
            ),
            ("Failed of a callback", console(&format!("/failed?callback={busy}")), Administrator),
            ("Integrations", console("/integrations"), Administrator),
            (
                "Event Notification",
                console(&format!("/event-notification?account={account}")),
                Administrator,
            ),
            ("Reference", console("/reference"), Administrator),
            ("Log", console("/log"), Administrator),
            ("Settings", console("/settings"), Administrator),
        ])
    }

    /// Asks for a page as often, and once before.
    pub(super) async fn visit(&self, visitor: Visitor, path: &str, runs: usize) -> Result<Visit> {
        let [administrator, of_account] = &self.cookies;
        let cookie = match visitor {
            Visitor::Administrator => administrator,
            Visitor::OfLargeAccount => of_account,
        };
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..=runs {
            self.clock.advance(BETWEEN);
            tokio::time::sleep(TASKS_TAKE).await;
            let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty())?;
            let began = Instant::now();
            let response = self.router.clone().oneshot(request).await?;
            ensure!(response.status() == 200, "{path}: {}", response.status());
            let body = to_bytes(response.into_body(), usize::MAX).await?;
            times.push(began.elapsed());
            bytes = body.len();
        }
        let first = times.remove(0);
        times.sort_unstable();
        Ok(Visit { first, times, bytes })
    }
}

/// As a process does for its metrics.
async fn ask_for_backlog(
    store: Arc<dyn Store>,
    console: Console,
    clock: Arc<ManualClock>,
) -> Result<(), Infallible> {
    loop {
        let now = clock.now();
        // If it fails pages ask themselves.
        if let Ok(backlog) = store.backlog(now).await {
            console.backlog_was(now, backlog);
        }
        clock.sleep_until(clock.now() + BETWEEN / 2).await;
    }
}

/// Signs in.
async fn cookie(router: &Router, key: &str) -> Result<String> {
    let form = Request::post("/console/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("key={key}")))?;
    let response = router.clone().oneshot(form).await?;
    let cookie = response.headers().get(header::SET_COOKIE).context("a session")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

impl Visit {
    pub(super) fn first_ms(&self) -> f64 {
        ms(self.first)
    }

    pub(super) fn median_ms(&self) -> f64 {
        self.times.get(self.times.len() / 2).copied().map_or(0.0, ms)
    }

    pub(super) fn worst_ms(&self) -> f64 {
        self.times.last().copied().map_or(0.0, ms)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
