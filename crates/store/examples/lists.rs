//! Measures how long the console's lists and charts take: `cargo run --release -p ringback-store --example lists
//! [deliveries] [--postgres URL]`.
//!
//! Fills a new SQLite database, or an empty one of PostgreSQL, with so many deliveries (a million) over three days, to a
//! thousand callbacks of a hundred accounts: 2 % exhausted, 1 % pending, the rest delivered, each of an event of its own.
//! Then each query is run twenty times: the median and the longest, in milliseconds.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringback_core::callback::Method;
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, SentRequest, WaitReason};
use ringback_core::{Account, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use ringback_runtime::{Clock as _, Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::postgres::{PostgresStore, Settings};
use ringback_store::sqlite::SqliteStore;
use ringback_store::{
    Cursor, DeliveryQuery, EventQuery, EventSearch, HistoryRecord, MasterKey, StatusFilter, Step,
    Store, TrafficOf, VariableIs,
};
use ringback_testkit::ManualClock;

type Error = Box<dyn std::error::Error + Send + Sync>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CALLBACKS: u32 = 1_000;
const ACCOUNTS: u32 = 100;
const RUNS: usize = 20;
const PAGE: usize = 50;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (mut deliveries, mut postgres) = (1_000_000, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--postgres" => postgres = Some(arguments.next().ok_or("--postgres URL")?),
            number => deliveries = number.parse()?,
        }
    }
    let filled = Filled { start: SystemClock.now() - DAY * 3, deliveries };
    match postgres {
        None => in_sqlite(filled).await,
        Some(url) => in_postgres(filled, &url).await,
    }
}

async fn in_sqlite(filled: Filled) -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    // Twice, so that what was added up is written.
    for is_full in [false, true] {
        let database = Database::open(directory.path()).await?;
        let clock = Arc::new(ManualClock::new(filled.start));
        let key = MasterKey::from_random([7; 32]);
        let store = SqliteStore::open(Arc::clone(&database), key, clock).await?;
        let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
        let running = Arc::clone(&database).run_writer(shutdown.clone());
        writer.start(async move { running.await.expect("it never fails") });
        if is_full {
            filled.measure(&*store).await?;
        } else {
            filled.fill(store).await?;
        }
        shutdown.request();
        writer.drained().await;
    }
    Ok(())
}

async fn in_postgres(filled: Filled, url: &str) -> Result<(), Error> {
    for is_full in [false, true] {
        // Partitions are made three days ahead: so that each of these days has one.
        let clock = Arc::new(ManualClock::new(filled.start));
        let key = MasterKey::from_random([7; 32]);
        let store = PostgresStore::open(Settings::at(url)?, key, clock).await?;
        let (shutdown, running) = (Shutdown::new(), TaskGroup::new());
        let run = Arc::clone(&store).run(shutdown.clone());
        running.start(async move {
            let Ok(()) = run.await;
        });
        if is_full {
            filled.measure(&*store).await?;
        } else {
            filled.fill(store).await?;
        }
        shutdown.request();
        running.drained().await;
    }
    Ok(())
}

/// What is in the database.
#[derive(Clone, Copy)]
struct Filled {
    start: Timestamp,
    deliveries: u32,
}

impl Filled {
    async fn fill(self, store: Arc<dyn Store>) -> Result<(), Error> {
        const CALLERS: u32 = 8;
        let (callers, began) = (TaskGroup::new(), Instant::now());
        for caller in 0..CALLERS {
            let store = Arc::clone(&store);
            callers.start(async move {
                let numbers: Vec<u32> = (caller..self.deliveries).step_by(8).collect();
                for numbers in numbers.chunks(250) {
                    let records = numbers.iter().flat_map(|number| self.records(*number));
                    store.record(records.collect()).await.expect("the disk has room");
                }
            });
        }
        callers.drained().await;
        println!("filled in {:.0} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn at(self, number: u32) -> Timestamp {
        let share = f64::from(number) / f64::from(self.deliveries);
        self.start + (DAY * 3).mul_f64(share)
    }

    fn records(self, number: u32) -> [HistoryRecord; 2] {
        let at = self.at(number);
        let callback = mixed(number) % CALLBACKS;
        let mut random = [0; 10];
        random[6..].copy_from_slice(&number.to_be_bytes());
        let name = if number % 50_000 == 7 { "RARE" } else { "COMMENT_CREATED" };
        let event = Event {
            id: EventId::from_parts(at, random),
            name: name.parse().expect("a name"),
            account: account(callback % ACCOUNTS),
            time: at,
            accepted_at: at,
            deliver_at: None,
            variables: serde_json::from_str(&variables(number)).expect("an object"),
            trace: None,
        };
        let (state, outcome) = match mixed(number.wrapping_add(1)) % 100 {
            0 | 1 => {
                (DeliveryState::Exhausted, Outcome::HttpError { status: 500, retry_after: None })
            }
            2 => {
                let next_attempt_at = at + Duration::from_secs(300);
                let waits = Some(WaitReason::Retry);
                let state = DeliveryState::Pending { next_attempt_at, waits };
                (state, Outcome::Timeout { reason: "no answer in 15 s".to_owned() })
            }
            _ => (DeliveryState::Delivered, Outcome::Success { status: 200 }),
        };
        let to = callback_id(callback);
        let delivery = Delivery {
            id: DeliveryId::of(&event.account, event.id, to, 0),
            event: event.id,
            event_name: event.name.clone(),
            account: event.account.clone(),
            callback: to,
            generation: 0,
            state,
            attempts: 1,
            series_start: NonZeroU32::MIN,
            created_at: at,
            updated_at: at + Duration::from_millis(3),
        };
        let attempt = Attempt {
            delivery: delivery.id,
            number: NonZeroU32::MIN,
            started_at: at,
            duration: Duration::from_millis(3),
            request: SentRequest {
                method: Method::Post,
                url: "https://example.com/hooks/comments".to_owned(),
                headers: Vec::new(),
                format: None,
            },
            outcome,
            response: None,
        };
        [
            HistoryRecord::Event(Arc::new(event)),
            HistoryRecord::Delivery {
                delivery: Arc::new(delivery),
                attempt: Some(Arc::new(attempt)),
                first: true,
            },
        ]
    }

    async fn measure(self, store: &dyn Store) -> Result<(), Error> {
        self.measure_deliveries(store).await?;
        self.measure_events(store).await?;
        for (of, account) in [("all", None), ("an account", Some(account(7)))] {
            timed(&format!("oldest pending of {of}"), async || {
                store.oldest_pending(account.as_ref()).await.map(|_| ())
            })
            .await?;
        }
        let callback = callback_id(7);
        timed("ahead of a callback", async || store.ahead(callback, PAGE).await.map(|_| ()))
            .await?;
        let (end, [short, long]) = (self.start + DAY * 3, Step::ALL);
        let day_ago = end - DAY;
        for (name, of) in [
            ("all", TrafficOf::All),
            ("an account", TrafficOf::Account(account(7))),
            ("a callback", TrafficOf::Callback(callback)),
        ] {
            timed(&format!("traffic of {name}, a day by five minutes"), async || {
                store.traffic(&of, short, day_ago).await.map(|_| ())
            })
            .await?;
        }
        timed("traffic of callbacks, a day by hours", async || {
            store.traffic_of_callbacks(long, day_ago).await.map(|_| ())
        })
        .await
    }

    async fn measure_deliveries(self, store: &dyn Store) -> Result<(), Error> {
        let (of_account, of_callback) = (Some(account(7)), Some(callback_id(7)));
        let all = DeliveryQuery::default;
        for (name, query) in [
            ("all", all()),
            ("an account", DeliveryQuery { account: of_account.clone(), ..all() }),
            ("a callback", DeliveryQuery { callback: of_callback, ..all() }),
        ] {
            for status in [None].into_iter().chain(StatusFilter::ALL.map(Some)) {
                let query = DeliveryQuery { status, ..query.clone() };
                let name = match status {
                    None => name.to_owned(),
                    Some(status) => format!("{name}, {}", status.as_str()),
                };
                for (page, after) in [("first", None), ("deep", Some(self.middle()))] {
                    timed(&format!("deliveries of {name}, {page} page"), async || {
                        store.deliveries(&query, PAGE, after.as_ref()).await.map(|_| ())
                    })
                    .await?;
                }
                timed(&format!("deliveries of {name}, counted to 10,000"), async || {
                    store.count_deliveries(&query, 10_000).await.map(|_| ())
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn measure_events(self, store: &dyn Store) -> Result<(), Error> {
        for (name, account) in [("all", None), ("an account", Some(account(7)))] {
            for (page, after) in [("first", None), ("deep", Some(self.middle()))] {
                let query = EventQuery { account: account.clone(), ..EventQuery::default() };
                timed(&format!("events of {name}, {page} page"), async || {
                    store.events(&query, PAGE, after.as_ref()).await.map(|_| ())
                })
                .await?;
                let rare = Some("NEVER".parse()?);
                let search =
                    EventSearch { account: account.clone(), name: rare, ..EventSearch::default() };
                timed(&format!("events of {name} by a rare name, {page} page"), async || {
                    store.search_events(&search, PAGE, after.as_ref()).await.map(|_| ())
                })
                .await?;
                let rare = VariableIs { name: "ORDER".to_owned(), value: "x".to_owned() };
                let search = EventSearch { name: None, variable: Some(rare), ..search };
                timed(&format!("events of {name} by a rare variable, {page} page"), async || {
                    store.search_events(&search, PAGE, after.as_ref()).await.map(|_| ())
                })
                .await?;
            }
        }
        Ok(())
    }

    fn middle(self) -> Cursor {
        let (at, id) = (self.at(self.deliveries / 2), DeliveryId::from_uuid(uuid::Uuid::nil()));
        Cursor { at, id: id.to_string() }
    }
}

async fn timed(
    name: &str,
    run: impl AsyncFn() -> Result<(), ringback_store::Error>,
) -> Result<(), Error> {
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let began = Instant::now();
        run().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    println!("{:8.2} {:8.2}  {name}", took[RUNS / 2], took[RUNS - 1]);
    Ok(())
}

/// Spreads numbers that follow each other.
fn mixed(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1).rotate_left(15).wrapping_mul(0x85EB_CA77) >> 8
}

fn account(number: u32) -> Account {
    format!("account-{number}").parse().expect("an account")
}

fn callback_id(number: u32) -> CallbackId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    CallbackId::from_parts(Timestamp::from_ms(1_700_000_000_000), random)
}

fn variables(number: u32) -> String {
    format!(
        r#"{{"COMMENT_ID":{number},"COMMENT":"Needs more cowbell,\nand \"less\" of the rest","PROJECT_ID":4711,
"ASSET_NAME":"Spring campaign, poster, second draft.pdf","ORDER":"order-{number}","REVIEW_NAME":"Spring campaign",
"USER_NAME":"Ada Lovelace","USER_EMAIL":"ada@example.com","CREATED":"2026-01-02T03:04:05.678Z","PAGE":3,
"URL":"https://acme.example.com/projects/4711/assets/815/comments/178"}}"#
    )
}
