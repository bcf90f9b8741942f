//! How many events a second go through a queue: published by so many producers, each waiting for its confirmation,
//! consumed and acked, with durability on.
//!
//! `cargo run --release -p ringback-broker --example throughput [events] [producers] [directory or amqp URL]`

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for a person to read"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ringback_broker::Broker;
use ringback_broker::embedded::Embedded;
use ringback_broker::rabbitmq::{Rabbitmq, Settings};
use ringback_core::secret::Secret;
use ringback_core::{Dispatch, Event, EventId, Timestamp};
use ringback_runtime::{Shutdown, SystemClock};
use ringback_sqlite::Database;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let producers: u64 = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let place = arguments.next().unwrap_or_else(|| scratch.path().to_string_lossy().into_owned());

    let shutdown = Shutdown::new();
    let mut tasks = JoinSet::new();
    let broker: Arc<dyn Broker> = if place.starts_with("amqp") {
        rabbitmq(&place, &shutdown, &mut tasks).await?
    } else {
        embedded(place.as_ref(), &shutdown, &mut tasks).await?
    };
    measure(&broker, events, producers).await?;
    shutdown.request();
    while let Some(stopped) = tasks.join_next().await {
        stopped??;
    }
    Ok(())
}

async fn embedded(
    directory: &Path,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<Arc<dyn Broker>, Failure> {
    let database = Database::open(directory).await?;
    let broker = Embedded::open(Arc::clone(&database), Arc::new(SystemClock)).await?;
    let (writer, feeder) = (database.run_writer(shutdown.clone()), broker.clone());
    let shutdown = shutdown.clone();
    tasks.spawn(async { Ok(writer.await?) });
    tasks.spawn(async { Ok(feeder.run(shutdown).await?) });
    Ok(broker)
}

async fn rabbitmq(
    url: &str,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<Arc<dyn Broker>, Failure> {
    let settings = Settings { prefix: "throughput".to_owned(), ..Settings::new(Secret::new(url)) };
    let broker = Rabbitmq::connect(&settings, Arc::new(SystemClock)).await?;
    let (publisher, shutdown) = (broker.clone(), shutdown.clone());
    tasks.spawn(async { Ok(publisher.run(shutdown).await?) });
    broker.ready().await?;
    Ok(broker)
}

async fn measure(broker: &Arc<dyn Broker>, events: u64, producers: u64) -> Result<(), Failure> {
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..producers {
        let (broker, next) = (Arc::clone(broker), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return;
                }
                broker.publish(vec![dispatch(number)]).await.expect("the queue is well");
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
    consumer.stop().await;
    consumer.finish().await;
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
        deliver_at: None,
        variables: serde_json::from_str(&variables).expect("an object"),
        trace: None,
    }))
}
