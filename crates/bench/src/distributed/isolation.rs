//! Twenty callbacks, one of which hangs: whether the others feel it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::pipeline::Pipeline;
use super::table::{median, spread};
use super::{Bench, Options};
use crate::producer::{event_named, open_loop};
use crate::receiver::say;
use crate::server::ADMIN_KEY;

const CALLBACKS: usize = 20;
const PER_SECOND: u32 = 1_000;
const WARM_UP: Duration = Duration::from_secs(2);
const LASTING: Duration = Duration::from_secs(10);
/// Without and with it, one after the other: the machine may do something else for a while.
const ROUNDS: usize = 5;
/// What the others may take with it, to what they take without: at most this, as the median of the rounds.
const FELT_MAX: f64 = 1.5;

/// What the last of the callbacks is: none of its requests counts.
#[derive(Clone, Copy)]
enum Last {
    Well,
    /// For 30 s on each request, when its time is over.
    Hangs,
}

pub(super) async fn measure(bench: &Bench, options: &Options) -> Result<()> {
    if !options.wants_ours() {
        return Ok(());
    }
    say(&format!(
        "\nRingback, {PER_SECOND} events/s for {} s, each to one of {CALLBACKS} callbacks in turn: from sending to \
         receiving, of {} of them\n\n\
         | the last one is well: p50 ms | p99 ms | it hangs for 30 s: p50 ms | p99 ms | p99 with to without |\n\
         |---|---|---|---|---|\n",
        LASTING.as_secs(),
        CALLBACKS - 1,
    ))?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let well = run(bench, Last::Well).await?;
        let hangs = run(bench, Last::Hangs).await?;
        let ratio = hangs.1 / well.1;
        say(&format!(
            "| {:.1} | {:.1} | {:.1} | {:.1} | {ratio:.2} |\n",
            well.0, well.1, hangs.0, hangs.1
        ))?;
        ratios.push(ratio);
    }
    say(&format!("\np99 with to without: {}\n", spread(ratios.iter().copied(), 2)))?;
    let median = median(ratios).unwrap_or_default();
    ensure!(
        median <= FELT_MAX,
        "a callback that hangs is felt by the others: {median:.2} times their p99"
    );
    Ok(())
}

/// Half of the latencies and 99 of 100 of them, in milliseconds.
async fn run(bench: &Bench, last: Last) -> Result<(f64, f64)> {
    let receiver = &bench.receiver;
    // What hangs is left on the queue: the next run has queues of its own.
    let prefix = ("RINGBACK_AMQP_PREFIX", ringback_testkit::servers::fresh_prefix());
    let callbacks: Vec<_> = (0..CALLBACKS).map(|number| callback(bench, number, last)).collect();
    let pipeline = Pipeline::with_callbacks(bench, &callbacks, 1, &[prefix]).await?;
    let send = |lasting, callbacks: usize| {
        let event = move |number: usize| event_named(&name_of(number % callbacks));
        open_loop(pipeline.address, ADMIN_KEY, PER_SECOND, lasting, event)
    };
    let before = receiver.count().await?;
    // Not to the last: the beginning of its hanging is measured as well.
    let warm_up = send(WARM_UP, CALLBACKS - 1).await? as u64;
    receiver.wait_for(before + warm_up).await?;
    receiver.latencies_ms().await?;

    let events = send(LASTING, CALLBACKS).await?;
    let events = (events / CALLBACKS * (CALLBACKS - 1)) as u64;
    receiver.wait_for(before + warm_up + events).await?;
    let latencies = receiver.latencies_ms().await?;
    let twice = receiver.count().await? - before - warm_up - events;
    ensure!(twice == 0, "{twice} requests came twice");
    pipeline.stop(bench).await?;
    Ok(latencies)
}

fn callback(bench: &Bench, number: usize, last: Last) -> Value {
    let behaviour = match last {
        _ if number < CALLBACKS - 1 => "callback",
        Last::Well => "apart",
        Last::Hangs => "hang",
    };
    json!({
        "url": format!("http://{}/{behaviour}/{number}", bench.receiver.address),
        "account": "bench",
        "events": [name_of(number)],
        "timeout_ms": 30_000,
    })
}

fn name_of(number: usize) -> String {
    format!("FOR_{number:02}")
}
