//! How many events a second go through the embedded queue: published by 64 producers, each waiting for its
//! confirmation, consumed and acked, with durability on.
//!
//! `cargo run --release -p ringback-broker --example throughput [events] [directory]`

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for a person to read"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ringback_broker::Broker;
use ringback_broker::embedded::Embedded;
use ringback_core::{Dispatch, Event, EventId, Timestamp};
use ringback_runtime::{Shutdown, SystemClock};
use ringback_sqlite::Database;

const PRODUCERS: u64 = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let directory = arguments.next().map_or_else(|| scratch.path().to_owned(), PathBuf::from);

    let database = Database::open(&directory).await?;
    let broker = Embedded::open(Arc::clone(&database), Arc::new(SystemClock)).await?;
    let shutdown = Shutdown::new();
    let writer = tokio::spawn(Arc::clone(&database).run_writer(shutdown.clone()));
    let feeder = tokio::spawn(Arc::clone(&broker).run(shutdown.clone()));

    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..PRODUCERS {
        let (broker, next) = (Arc::clone(&broker), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return;
                }
                broker.publish(vec![dispatch(number)]).await.expect("the disk is well");
            }
        });
    }
    let mut consumer = broker.consume().await?;
    let (mut consumed, mut messages) = (0, 0);
    while consumed < events {
        let Some(message) = consumer.next().await else {
            break;
        };
        consumed += u64::try_from(message.dispatches.len())?;
        messages += 1;
        broker.ack(message.receipt);
    }
    let took = begun.elapsed();
    println!(
        "{consumed} events in {messages} messages, {:.2} s: {:.0} events/s",
        took.as_secs_f64(),
        consumed as f64 / took.as_secs_f64()
    );
    shutdown.request();
    writer.await??;
    feeder.await??;
    Ok(())
}

/// An event of about 500 bytes.
fn dispatch(number: u64) -> Dispatch {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let variables = format!(r#"{{"COMMENT_ID":{number},"COMMENT":"{}"}}"#, "x".repeat(300));
    Dispatch::of_event(Arc::new(Event {
        id: EventId::from_parts(Timestamp::from_ms(1_767_323_045_678), random),
        name: "COMMENT_CREATED".parse().expect("a valid name"),
        account: "acme".parse().expect("a valid account"),
        time: Timestamp::from_ms(1_767_323_045_678),
        accepted_at: Timestamp::from_ms(1_767_323_045_678),
        variables: serde_json::from_str(&variables).expect("an object"),
    }))
}
