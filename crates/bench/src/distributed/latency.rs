//! From sending to receiving, at a rate that every column can take: a fifth of what (2) takes at the most.

use std::time::Duration;

use anyhow::Result;

use super::column::Column;
use super::pipeline::{Pipeline, Subscribers};
use super::rates::Yardsticks;
use super::rounds::{each_round, of};
use super::table::{Parts, median, ratio, shown, spread};
use super::{Bench, Options};
use crate::producer::{event, open_loop};
use crate::receiver::say;
use crate::server::ADMIN_KEY;

/// A fifth of this, if (2) was not measured in the same run.
const TOP_RATE_DEFAULT: f64 = 10_000.0;

const WARM_UP: Duration = Duration::from_secs(1);
const LASTING: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Run {
    p50_ms: f64,
    p99_ms: f64,
    /// For 10,000 deliveries.
    cpu: Parts,
}

/// With one callback and with five.
pub(super) async fn measure(
    bench: &Bench,
    options: &Options,
    yardsticks: Yardsticks,
) -> Result<()> {
    for (fan_out, top_rate) in [(1, yardsticks.one), (5, yardsticks.five)] {
        let fifth = top_rate.unwrap_or(TOP_RATE_DEFAULT) / 5.0;
        let deliveries = options.per_second.map_or(fifth, f64::from);
        let per_second = (deliveries / fan_out as f64) as u32;
        with_callbacks(bench, options, fan_out, per_second).await?;
    }
    Ok(())
}

async fn with_callbacks(
    bench: &Bench,
    options: &Options,
    fan_out: usize,
    per_second: u32,
) -> Result<()> {
    let runs =
        each_round(options, fan_out, async |column| run(bench, column, fan_out, per_second).await);
    let runs = runs.await?;
    say(&format!(
        "\n{per_second} events/s for {} s, fan-out {fan_out}: from sending to receiving\n\n\
         | | p50 ms | p99 ms | p99 to (2) | p99 to (2b) | p99 to (3) | system CPU-s/10k |\n|---|---|---|---|---|---|---|\n",
        LASTING.as_secs()
    ))?;
    let p99s = |column| of(&runs, column, |run| run.p99_ms);
    for (column, runs) in &runs {
        let p99 = p99s(*column);
        say(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            column.name(),
            spread(runs.iter().map(|run| run.p50_ms), 1),
            spread(p99.iter().copied(), 1),
            shown(ratio(&p99, &p99s(Column::Stores))),
            shown(ratio(&p99, &p99s(Column::FanOut))),
            shown(ratio(&p99, &p99s(Column::Bundles))),
            shown(median(runs.iter().map(|run| run.cpu.system()))),
        ))?;
    }
    Ok(())
}

async fn run(bench: &Bench, column: Column, fan_out: usize, per_second: u32) -> Result<Run> {
    let receiver = &bench.receiver;
    let to = Subscribers::all(Subscribers::HEALTHY.behaviour, fan_out);
    let pipeline = Pipeline::start(bench, column, to).await?;
    let before = receiver.count().await?;
    let send = |lasting| open_loop(pipeline.address, ADMIN_KEY, per_second, lasting, |_| event());
    let warm_up = (send(WARM_UP).await? * fan_out) as u64;
    receiver.wait_for(before + warm_up).await?;
    // Whatever the warm-up left to do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    receiver.latencies_ms().await?;

    let cpu = pipeline.cpu_seconds(bench)?;
    let deliveries = (send(LASTING).await? * fan_out) as u64;
    receiver.wait_for(before + warm_up + deliveries).await?;
    let cpu = (pipeline.cpu_seconds(bench)? - cpu).for_10k(deliveries);
    let (p50_ms, p99_ms) = receiver.latencies_ms().await?;
    // The last rows and acks.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pipeline.stop(bench).await?;
    Ok(Run { p50_ms, p99_ms, cpu })
}
