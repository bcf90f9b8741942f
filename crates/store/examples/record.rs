//! Measures how fast history is written: `cargo run --release -p ringback-store --example record [deliveries] [where]`.
//!
//! Where: `sqlite` (the default), `postgres` (a server of its own, whose processor time is measured, too), or the address
//! of a database; `postgres` and an address may be followed by a number of recorders. Each delivery is an event, a
//! delivered delivery and its one attempt, of realistic size; 64 callers hand in 4 at once.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringback_core::callback::{Format, Method};
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, Response, SentRequest};
use ringback_core::{CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use ringback_runtime::{Clock as _, Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::postgres::{PostgresStore, Settings};
use ringback_store::sqlite::SqliteStore;
use ringback_store::{HistoryRecord, MasterKey, Store};
use ringback_testkit::servers::{Postgres, PostgresSettings};

type Error = Box<dyn std::error::Error + Send + Sync>;

const CALLERS: u64 = 64;
const TOGETHER: u64 = 4;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let deliveries: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let place = arguments.next().unwrap_or_else(|| "sqlite".to_owned());
    let recorders = arguments.next().map(|text| text.parse()).transpose()?;
    match &*place {
        "sqlite" => in_sqlite(deliveries).await,
        "postgres" => {
            let server = Postgres::start(PostgresSettings::default()).await?;
            let url = server.create_database().await?;
            let before = server.cpu()?;
            let written = in_postgres(deliveries, &url, recorders).await?;
            let cpu = (server.cpu()? - before).as_secs_f64();
            println!("{:.3} s CPU of PostgreSQL for 10,000 deliveries", cpu / written * 1e4);
            Ok(())
        }
        url => in_postgres(deliveries, url, recorders).await.map(|_| ()),
    }
}

async fn in_sqlite(deliveries: u64) -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    let database = Database::open(directory.path()).await?;
    let key = MasterKey::from_random([7; 32]);
    let store = SqliteStore::open(Arc::clone(&database), key, Arc::new(SystemClock)).await?;
    let (shutdown, writer) = (Shutdown::new(), TaskGroup::new());
    let running = Arc::clone(&database).run_writer(shutdown.clone());
    writer.start(async move { running.await.expect("it never fails") });
    let written = record(deliveries, store).await?;
    shutdown.request();
    writer.drained().await;
    println!("{:.0} bytes of disk a delivery", size(directory.path())? / written);
    Ok(())
}

async fn in_postgres(
    deliveries: u64,
    url: &str,
    recorders: Option<NonZeroU32>,
) -> Result<f64, Error> {
    let mut settings = Settings::at(url)?;
    settings.recorders = recorders.unwrap_or(settings.recorders);
    let key = MasterKey::from_random([7; 32]);
    let store = PostgresStore::open(settings, key, Arc::new(SystemClock)).await?;
    let (shutdown, running) = (Shutdown::new(), TaskGroup::new());
    let run = Arc::clone(&store).run(shutdown.clone());
    running.start(async move {
        let Ok(()) = run.await;
    });
    let written = record(deliveries, store).await?;
    shutdown.request();
    running.drained().await;
    Ok(written)
}

/// Returns how many were written.
async fn record(deliveries: u64, store: Arc<dyn Store>) -> Result<f64, Error> {
    let callers = TaskGroup::new();
    let (cpu, began) = (cpu_seconds()?, Instant::now());
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        callers.start(async move {
            for round in 0..deliveries / CALLERS / TOGETHER {
                let numbers =
                    (0..TOGETHER).map(|i| (caller * 1_000_000_000) + round * TOGETHER + i);
                let records = numbers.flat_map(records).collect();
                store.record(records).await.expect("the disk has room");
            }
        });
    }
    callers.drained().await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let written = (deliveries / CALLERS / TOGETHER * CALLERS * TOGETHER) as f64;
    println!("{:.0} deliveries/s", written / seconds);
    println!(
        "{:.3} s CPU for 10,000 deliveries (building them is part of that)",
        cpu / written * 1e4
    );
    Ok(written)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn size(directory: &Path) -> Result<f64, Error> {
    let files = std::fs::read_dir(directory)?.map(|file| file?.metadata());
    let bytes: u64 = files.map(|file| file.map(|file| file.len())).sum::<Result<u64, _>>()?;
    Ok(bytes as f64)
}

/// User and system time of this process: fields 14 and 15 of `/proc/self/stat`, in hundredths of a second.
fn cpu_seconds() -> Result<f64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>).sum();
    Ok(ticks / 100.0)
}

fn records(number: u64) -> [HistoryRecord; 2] {
    let now = SystemClock.now();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let event = Event {
        id: EventId::from_parts(now, random),
        name: "COMMENT_CREATED".parse().expect("a name"),
        account: "acme".parse().expect("an account"),
        time: now,
        accepted_at: now,
        deliver_at: None,
        variables: serde_json::from_str(VARIABLES).expect("an object"),
        trace: None,
    };
    let callback = CallbackId::from_parts(Timestamp::from_ms(1_700_000_000_000), [3; 10]);
    let delivery = Delivery {
        id: DeliveryId::of(&event.account, event.id, callback, 0),
        event: event.id,
        event_name: event.name.clone(),
        account: event.account.clone(),
        callback,
        generation: 0,
        state: DeliveryState::Delivered,
        attempts: 1,
        series_start: NonZeroU32::MIN,
        created_at: now,
        updated_at: now,
    };
    let attempt = Attempt {
        delivery: delivery.id,
        number: NonZeroU32::MIN,
        started_at: now,
        duration: Duration::from_millis(3),
        request: SentRequest {
            method: Method::Post,
            url: "https://example.com/hooks/comments?project=178".to_owned(),
            headers: pairs(&[
                ("authorization", "***"),
                ("content-type", "application/x-www-form-urlencoded"),
                ("user-agent", "Ringback/0.1.0"),
                ("webhook-id", "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21"),
                ("webhook-timestamp", "1767323045"),
                ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
                ("ringback-callback", "018bcfe5-6800-7303-8303-030303030303"),
                ("ringback-attempt", "1"),
            ]),
            format: Some(Format::Form),
        },
        outcome: Outcome::Success { status: 200 },
        response: Some(Response {
            status: 200,
            headers: pairs(&[
                ("content-type", "text/plain"),
                ("content-length", "2"),
                ("date", "Fri, 02 Jan 2026 03:04:05 GMT"),
            ]),
            body: b"ok".to_vec(),
            body_truncated: false,
        }),
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

const VARIABLES: &str = r#"{"COMMENT_ID":178,"COMMENT":"Needs more cowbell","PROJECT_ID":4711,"ASSET_ID":815,
"ASSET_NAME":"Spring campaign, poster, second draft.pdf","REVIEW_ID":99,"REVIEW_NAME":"Spring campaign",
"USER_ID":1234,"USER_NAME":"Ada Lovelace","USER_EMAIL":"ada@example.com","PARENT_COMMENT_ID":177,
"CREATED":"2026-01-02T03:04:05.678Z","MODIFIED":"2026-01-02T03:04:05.678Z","PAGE":3,"MARKUP":"rectangle 10 20 30 40",
"URL":"https://acme.example.com/projects/4711/assets/815/comments/178"}"#;

fn pairs<T: From<&'static str>>(pairs: &[(&'static str, &'static str)]) -> Vec<(T, T)> {
    pairs.iter().map(|(name, value)| (T::from(name), T::from(value))).collect()
}
