//! More workers, with a receiver that takes 50 ms to answer.

use anyhow::Result;

use super::column::Column;
use super::load::load;
use super::pipeline::{Pipeline, Subscribers};
use super::table::{median, shown, spread};
use super::{Bench, Options};
use crate::receiver::say;

pub(super) async fn measure(bench: &Bench, options: &Options) -> Result<()> {
    if !options.columns().contains(&Column::Ours) {
        return Ok(());
    }
    say("\nRingback, fan-out 1, a receiver that takes 50 ms, max_in_flight 1,000\n\n\
         | workers | deliveries/s | system CPU-s/10k | worker | backlog at the most |\n|---|---|---|---|---|\n")?;
    let to = Subscribers { behaviour: "slow", fan_out: 1, max_in_flight: 1_000 };
    for workers in [1, 2, 4] {
        let mut runs = Vec::new();
        for _ in 0..options.rounds {
            let pipeline = Pipeline::ringback(bench, to, workers).await?;
            runs.push(load(bench, &pipeline, 1, options.events, 1.0).await?);
            pipeline.stop(bench).await?;
        }
        say(&format!(
            "| {workers} | {} | {} | {} | {} |\n",
            spread(runs.iter().map(|run| run.deliveries_per_second), 0),
            spread(runs.iter().map(|run| run.cpu.system()), 2),
            shown(median(runs.iter().map(|run| run.cpu.worker))),
            runs.iter().flat_map(|run| run.backlog.iter().copied()).max().unwrap_or_default(),
        ))?;
    }
    Ok(())
}
