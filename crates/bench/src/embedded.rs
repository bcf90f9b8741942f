//! The embedded pipeline against the bare HTTP client: rates, processor time, latency, memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::measure::{cpu_seconds, memory_mb};
use crate::producer::{closed_loop, event, form, open_loop};
use crate::receiver::say;
use crate::server::{ADMIN_KEY, Receiver, Ringback};

const PRODUCERS: usize = 64;

/// How much is sent.
#[derive(Args)]
pub(crate) struct Options {
    /// Events of the run with one callback; the others follow from it
    #[arg(long, default_value_t = 50_000)]
    events: usize,
    /// How often each rate is measured; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Leave out latency and memory
    #[arg(long)]
    rates_only: bool,
}

/// One measured run.
#[derive(Clone, Copy, Debug)]
struct Run {
    deliveries_per_second: f64,
    /// Seconds of processor time for 10,000 deliveries: of Ringback, of the receiver, of the producers.
    cpu: [f64; 3],
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (mut bare, mut one, mut five) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        bare.push(bare_client(&receiver, options.events * 2).await?);
        one.push(pipeline(&receiver, 1, options.events).await?);
        five.push(pipeline(&receiver, 5, options.events * 2 / 5).await?);
    }
    let (bare, one, five) = (median(bare), median(one), median(five));
    say(
        "| | deliveries/s | ratio to (a) | Ringback CPU-s/10k | receiver | producers |\n|---|---|---|---|---|---|\n",
    )?;
    for (name, run) in [
        ("(a) bare reqwest, 64 at once", bare),
        ("(b) embedded, 1 callback, 64 producers", one),
        ("(c) embedded, 5 callbacks, 64 producers", five),
    ] {
        let ratio = run.deliveries_per_second / bare.deliveries_per_second;
        let [ringback, receiver, producers] = run.cpu;
        let rate = run.deliveries_per_second;
        say(&format!(
            "| {name} | {rate:.0} | {ratio:.2} | {ringback:.2} | {receiver:.2} | {producers:.2} |\n"
        ))?;
    }
    if !options.rates_only {
        latency(&receiver).await?;
        memory(&receiver, "/fail", "failed once, waiting for their retry").await?;
        memory(&receiver, "/hang", "to one endpoint that hangs").await?;
    }
    Ok(())
}

/// (a): the same client that Ringback sends with, in a loop.
async fn bare_client(receiver: &Receiver, requests: usize) -> Result<Run> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_certs_only([])
        .build()?;
    let url = format!("http://{}/bare", receiver.address);
    let before = receiver.count().await?;
    let cpu = Cpu::now(None, receiver)?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..PRODUCERS {
        let (client, url) = (client.clone(), url.clone());
        tasks.spawn(async move {
            for _ in 0..requests / PRODUCERS {
                let request = client
                    .post(&url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .timeout(Duration::from_secs(15))
                    .body(form());
                request.send().await?.bytes().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let took = began.elapsed();
    let done = receiver.count().await? - before;
    cpu.run(None, receiver, done, took)
}

/// (b) and (c): from the producers' first event to the last delivery.
async fn pipeline(receiver: &Receiver, callbacks: usize, events: usize) -> Result<Run> {
    let ringback = Ringback::start().await?;
    for number in 0..callbacks {
        let url = format!("http://{}/callback/{number}", receiver.address);
        ringback.create_callback(&json!({ "url": url, "account": "bench" })).await?;
    }
    // Connections, statements and caches are warm after this.
    let warm_up = 1_000;
    let before = receiver.count().await?;
    closed_loop(ringback.address, ADMIN_KEY, PRODUCERS, warm_up, &Arc::default()).await?;
    receiver.wait_for(before + (warm_up * callbacks) as u64).await?;

    let before = receiver.count().await?;
    let deliveries = (events * callbacks) as u64;
    let cpu = Cpu::now(Some(&ringback), receiver)?;
    let began = Instant::now();
    closed_loop(ringback.address, ADMIN_KEY, PRODUCERS, events, &Arc::default()).await?;
    let took = receiver.wait_for(before + deliveries).await? - began;
    // What is written after the last delivery counts too.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cpu.run(Some(&ringback), receiver, deliveries, took)
}

async fn latency(receiver: &Receiver) -> Result<()> {
    let ringback = Ringback::start().await?;
    let url = format!("http://{}/latency", receiver.address);
    ringback.create_callback(&json!({ "url": url, "account": "bench" })).await?;
    let warm_up = Duration::from_secs(2);
    let send = |lasting| open_loop(ringback.address, ADMIN_KEY, 200, lasting, |_| event());
    send(warm_up).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    receiver.latencies_ms().await?;
    let before = receiver.count().await?;
    let events = send(Duration::from_secs(10)).await?;
    receiver.wait_for(before + events as u64).await?;
    let (p50, p99) = receiver.latencies_ms().await?;
    say(&format!(
        "\n200 events/s for 10 s ({events} events), sent → received: p50 {p50:.1} ms, p99 {p99:.1} ms\n"
    ))?;
    Ok(())
}

async fn memory(receiver: &Receiver, path: &str, state: &str) -> Result<()> {
    const EVENTS: usize = 100_000;
    let ringback = Ringback::start().await?;
    let url = format!("http://{}{path}", receiver.address);
    let callback = json!({ "url": url, "account": "bench", "retry": { "delay_seconds": 3_600 } });
    ringback.create_callback(&callback).await?;
    closed_loop(ringback.address, ADMIN_KEY, PRODUCERS, EVENTS, &Arc::default()).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    say(&format!("\n{EVENTS} events {state}: {:.0} MB\n", memory_mb(ringback.pid())?))?;
    Ok(())
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.deliveries_per_second.total_cmp(&b.deliveries_per_second));
    runs[runs.len() / 2]
}

/// Processor time used so far.
struct Cpu([f64; 3]);

impl Cpu {
    fn now(ringback: Option<&Ringback>, receiver: &Receiver) -> Result<Self> {
        let ringback = ringback.map_or(Ok(0.0), |ringback| cpu_seconds(ringback.pid()))?;
        Ok(Self([ringback, cpu_seconds(receiver.pid())?, cpu_seconds(std::process::id())?]))
    }

    fn run(
        self,
        ringback: Option<&Ringback>,
        receiver: &Receiver,
        deliveries: u64,
        took: Duration,
    ) -> Result<Run> {
        let Self(now) = Self::now(ringback, receiver)?;
        let mut cpu = [0.0; 3];
        for (index, used) in cpu.iter_mut().enumerate() {
            *used = (now[index] - self.0[index]) * 10_000.0 / deliveries as f64;
        }
        Ok(Run { deliveries_per_second: deliveries as f64 / took.as_secs_f64(), cpu })
    }
}
