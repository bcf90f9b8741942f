//! Retries through RabbitMQ's delay ladder, by the queue's adapter and without workers: all due at the same moment, and
//! as many a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use ringback_broker::rabbitmq::{Rabbitmq, Settings};
use ringback_broker::{Broker, Delayed};
use ringback_core::secret::Secret;
use ringback_core::{Dispatch, Event, Target, Timestamp};
use ringback_runtime::{Clock, Shutdown, SystemClock};
use ringback_testkit::builders;

use super::Bench;
use crate::measure::cpu_seconds;
use crate::producer::PADDING_BYTES;
use crate::receiver::{say, start};

const RETRIES: usize = 100_000;
const PER_SECOND: usize = 20_000;
/// Retries are published together that are decided together.
const TOGETHER: usize = 20;

/// What came of it.
struct Run {
    published_per_second: f64,
    arriving_per_second: f64,
    late_p50: Duration,
    late_p99: Duration,
    late_most: Duration,
    mean_bundle: f64,
    rabbitmq_cpu: f64,
    own_cpu: f64,
}

pub(super) async fn measure(bench: &Bench) -> Result<()> {
    say(&format!(
        "\n{RETRIES} retries through the ladder\n\n\
         | | published/s | arriving/s | late p50 ms | p99 ms | most ms | mean bundle | RabbitMQ CPU-s/10k | publisher and consumer |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    ))?;
    for (name, pace) in [
        ("published as fast as it goes, all due 5 s after the first", Pace::AllDueAtOnce),
        ("20,000 a second, each due after 5 s", Pace::Steady),
    ] {
        let run = run(bench, pace).await?;
        let ms = |late: Duration| format!("{:.0}", late.as_secs_f64() * 1_000.0);
        say(&format!(
            "| {name} | {:.0} | {:.0} | {} | {} | {} | {:.1} | {:.3} | {:.3} |\n",
            run.published_per_second,
            run.arriving_per_second,
            ms(run.late_p50),
            ms(run.late_p99),
            ms(run.late_most),
            run.mean_bundle,
            run.rabbitmq_cpu,
            run.own_cpu,
        ))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Pace {
    AllDueAtOnce,
    Steady,
}

const DELAY: Duration = Duration::from_secs(5);

async fn run(bench: &Bench, pace: Pace) -> Result<Run> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = Settings::new(Secret::new(bench.servers.rabbitmq.url()));
    let broker = Rabbitmq::connect(&settings, clock.clone()).await?;
    let shutdown = Shutdown::new();
    let (running, until) = (broker.clone(), shutdown.clone());
    let (stopped, has_stopped) = tokio::sync::oneshot::channel();
    start(async move {
        let _ended = running.run(until).await;
        let _nobody_waits = stopped.send(());
    });
    let cpu = || -> Result<[f64; 2]> {
        let rabbitmq = bench.servers.rabbitmq.cpu()?.as_secs_f64();
        Ok([rabbitmq, cpu_seconds(std::process::id())?])
    };
    let before = cpu()?;
    let began = Instant::now();
    let mut all_due = None;
    if let Pace::AllDueAtOnce = pace {
        all_due = Some(clock.now() + DELAY);
    }
    let publishing = publish(&*broker, all_due, &*clock);
    let arriving = arrive(&*broker, &*clock);
    let (published, arrived) = tokio::try_join!(publishing, arriving)?;
    // Acks take effect soon after.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = cpu()?;
    shutdown.request();
    has_stopped.await?;
    let for_10k = |part: usize| (after[part] - before[part]) * 10_000.0 / RETRIES as f64;
    let Arrived { mut late, first, last, messages } = arrived;
    late.sort_unstable();
    Ok(Run {
        published_per_second: RETRIES as f64 / (published - began).as_secs_f64(),
        arriving_per_second: RETRIES as f64 / (last - first).as_secs_f64(),
        late_p50: late[RETRIES / 2],
        late_p99: late[RETRIES * 99 / 100],
        late_most: late[RETRIES - 1],
        mean_bundle: RETRIES as f64 / messages as f64,
        rabbitmq_cpu: for_10k(0),
        own_cpu: for_10k(1),
    })
}

/// Publishes all of them, and says when the last was confirmed: as fast as they are if they are due at one moment,
/// otherwise steadily.
async fn publish(
    broker: &dyn Broker,
    all_due: Option<Timestamp>,
    clock: &dyn Clock,
) -> Result<Instant> {
    const LANES: usize = 64;
    let variables = format!(r#"{{"COMMENT_ID":178,"PAD":"{}"}}"#, "x".repeat(PADDING_BYTES));
    let variables = builders::variables(&variables);
    let target = Target::first(builders::callback_id()).next_attempt();
    let began = tokio::time::Instant::now();
    let lanes = (0..LANES).map(|lane| {
        let variables = variables.clone();
        async move {
            // Each lane does each 64th batch.
            for number in (lane..RETRIES / TOGETHER).step_by(LANES) {
                if all_due.is_none() {
                    let share = (number * TOGETHER) as f64 / PER_SECOND as f64;
                    tokio::time::sleep_until(began + Duration::from_secs_f64(share)).await;
                }
                let due = all_due.unwrap_or_else(|| clock.now() + DELAY);
                let retry = || {
                    // Its time says when it is due, for whoever takes it.
                    let event = Event {
                        variables: variables.clone(),
                        time: due,
                        ..builders::event("RETRY")
                    };
                    Delayed { due, dispatch: Dispatch::to_target(Arc::new(event), target) }
                };
                let batch = std::iter::repeat_with(retry).take(TOGETHER).collect();
                broker.publish_after(batch).await?;
            }
            anyhow::Ok(())
        }
    });
    for lane in join_all(lanes).await {
        lane?;
    }
    Ok(Instant::now())
}

struct Arrived {
    late: Vec<Duration>,
    first: Instant,
    last: Instant,
    messages: usize,
}

async fn arrive(broker: &dyn Broker, clock: &dyn Clock) -> Result<Arrived> {
    let mut consumer = broker.consume().await?;
    let mut late = Vec::with_capacity(RETRIES);
    let (mut first, mut messages) = (None, 0);
    while late.len() < RETRIES {
        let message = consumer.next().await.context("the queue has ended")?;
        let now = clock.now();
        first.get_or_insert_with(Instant::now);
        messages += 1;
        for dispatch in &message.dispatches {
            let due = dispatch.event.time;
            ensure!(now >= due, "a retry came {:?} early", due.since(now));
            late.push(now.since(due));
        }
        broker.ack(message.receipt);
    }
    let first = first.context("there are some")?;
    let arrived = Arrived { late, first, last: Instant::now(), messages };
    consumer.stop().await;
    consumer.finish().await;
    Ok(arrived)
}
