//! Measures how fast history is written: `cargo run --release -p ringback-store --example record [deliveries]`.
//!
//! Each delivery is an event, a delivered delivery and its one attempt, of realistic size; 64 callers hand in 4 at once.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringback_core::callback::{Format, Method};
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, Response, SentRequest};
use ringback_core::{CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp};
use ringback_runtime::{Clock as _, Shutdown, SystemClock, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::sqlite::SqliteStore;
use ringback_store::{HistoryRecord, MasterKey, Store};

const CALLERS: u64 = 64;
const TOGETHER: u64 = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let deliveries: u64 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let database = Database::open(directory.path()).await?;
    let key = MasterKey::from_random([7; 32]);
    let store = SqliteStore::open(Arc::clone(&database), key, Arc::new(SystemClock)).await?;
    let shutdown = Shutdown::new();
    let writer = TaskGroup::new();
    let running = Arc::clone(&database).run_writer(shutdown.clone());
    writer.start(async move { running.await.expect("it never fails") });

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
    shutdown.request();
    writer.drained().await;

    let written = deliveries / CALLERS / TOGETHER * CALLERS * TOGETHER;
    let bytes: u64 = std::fs::read_dir(directory.path())?
        .map(|entry| entry?.metadata().map(|metadata| metadata.len()))
        .sum::<Result<u64, std::io::Error>>()?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each = |total: f64| total / written as f64;
    println!("{:.0} deliveries/s", 1.0 / each(seconds));
    println!("{:.1} µs CPU a delivery (building it is part of that)", each(cpu) * 1e6);
    println!("{} bytes of disk a delivery", bytes / written);
    Ok(())
}

/// User and system time of this process: fields 14 and 15 of `/proc/self/stat`, in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
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
        variables: serde_json::from_str(VARIABLES).expect("an object"),
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
        HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt: Some(Arc::new(attempt)) },
    ]
}

const VARIABLES: &str = r#"{"COMMENT_ID":178,"COMMENT":"Needs more cowbell","PROJECT_ID":4711,"ASSET_ID":815,
"ASSET_NAME":"Spring campaign, poster, second draft.pdf","REVIEW_ID":99,"REVIEW_NAME":"Spring campaign",
"USER_ID":1234,"USER_NAME":"Ada Lovelace","USER_EMAIL":"ada@example.com","PARENT_COMMENT_ID":177,
"CREATED":"2026-01-02T03:04:05.678Z","MODIFIED":"2026-01-02T03:04:05.678Z","PAGE":3,"MARKUP":"rectangle 10 20 30 40",
"URL":"https://acme.example.com/projects/4711/assets/815/comments/178"}"#;

fn pairs<N: From<&'static str>>(pairs: &[(&'static str, &str)]) -> Vec<(N, String)> {
    pairs.iter().map(|(name, value)| (N::from(name), (*value).to_owned())).collect()
}
