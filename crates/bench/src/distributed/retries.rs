//! One delivery of 20 fails once and is made again a second later.

use anyhow::Result;

use super::column::Column;
use super::load::load;
use super::pipeline::{Pipeline, Subscribers};
use super::table::{median, shown, spread};
use super::{Bench, Options};
use crate::receiver::say;

/// The rate is taken until so many are there: the last retries come a second after the load.
const COUNTED: f64 = 0.95;

pub(super) async fn measure(bench: &Bench, options: &Options) -> Result<()> {
    if !options.columns().contains(&Column::Ours) {
        return Ok(());
    }
    say("\nRingback, fan-out 1; deliveries/s until 95 % are there\n\n\
         | | deliveries/s | ingest CPU-s/10k | worker | RabbitMQ | Redis | PostgreSQL | system |\n|---|---|---|---|---|---|---|---|\n")?;
    for (name, behaviour) in [("all healthy", "callback"), ("5 % fail once", "flaky")] {
        let mut runs = Vec::new();
        for _ in 0..options.rounds {
            let to = Subscribers { behaviour, ..Subscribers::HEALTHY };
            let pipeline = Pipeline::ringback(bench, to, 1).await?;
            runs.push(load(bench, &pipeline, 1, options.events, COUNTED).await?);
            pipeline.stop(bench).await?;
        }
        let cpu = runs.iter().map(|run| run.cpu);
        say(&format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
            spread(runs.iter().map(|run| run.deliveries_per_second), 0),
            shown(median(cpu.clone().map(|cpu| cpu.ingest))),
            shown(median(cpu.clone().map(|cpu| cpu.worker))),
            shown(median(cpu.clone().map(|cpu| cpu.rabbitmq))),
            shown(median(cpu.clone().map(|cpu| cpu.redis))),
            shown(median(cpu.clone().map(|cpu| cpu.postgres))),
            spread(cpu.map(|cpu| cpu.system()), 2),
        ))?;
    }
    Ok(())
}
