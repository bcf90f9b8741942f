//! More workers, with a receiver that takes 50 ms to answer: whether what they do grows with their number until the cores
//! are used up.
//!
//! Each worker may have 100 requests under way, so it makes 2,000 a second at the most, whatever the machine could do: as
//! long as there are cores left, it is the number of workers that is measured.

use anyhow::Result;

use super::load::load;
use super::pipeline::{Pipeline, Subscribers};
use super::table::{median, shown, spread};
use super::{Bench, Options};
use crate::receiver::{SLOW, say};

/// Requests that a worker may have under way.
const MAX_IN_FLIGHT: u32 = 100;

pub(super) async fn measure(bench: &Bench, options: &Options) -> Result<()> {
    if !options.wants_ours() {
        return Ok(());
    }
    let cores = std::thread::available_parallelism()?;
    say(&format!(
        "\nRingback, fan-out 1, a receiver that takes {} ms, max_in_flight {MAX_IN_FLIGHT}; {cores} cores\n\n\
         | workers | at the most | deliveries/s | of the most | accepted/s | cores used | system CPU-s/10k | worker \
         | backlog at the most |\n|---|---|---|---|---|---|---|---|---|\n",
        SLOW.as_millis()
    ))?;
    let to = Subscribers { behaviour: "slow", fan_out: 1, max_in_flight: MAX_IN_FLIGHT };
    for workers in [1, 2, 4] {
        let most = workers as f64 * f64::from(MAX_IN_FLIGHT) / SLOW.as_secs_f64();
        let mut runs = Vec::new();
        for _ in 0..options.rounds {
            let pipeline = Pipeline::ringback(bench, to, workers).await?;
            runs.push(load(bench, &pipeline, 1, options.events, 1.0).await?);
            pipeline.stop(bench).await?;
        }
        let used =
            |run: &super::load::Run| run.cpu.machine() / 10_000.0 * run.deliveries_per_second;
        say(&format!(
            "| {workers} | {most:.0} | {} | {} | {} | {} | {} | {} | {} |\n",
            spread(runs.iter().map(|run| run.deliveries_per_second), 0),
            shown(median(runs.iter().map(|run| run.deliveries_per_second / most))),
            spread(runs.iter().map(|run| run.accepted_per_second), 0),
            shown(median(runs.iter().map(used))),
            spread(runs.iter().map(|run| run.cpu.system()), 2),
            shown(median(runs.iter().map(|run| run.cpu.worker))),
            runs.iter().flat_map(|run| run.backlog.iter().copied()).max().unwrap_or_default(),
        ))?;
    }
    Ok(())
}
