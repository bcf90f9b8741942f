//! As fast as it goes, with one callback and with five: every column in each round.

use anyhow::Result;

use super::column::Column;
use super::load::{Run, load};
use super::pipeline::{Pipeline, Subscribers};
use super::table::{median, ratio, shown, spread};
use super::{Bench, Options};
use crate::receiver::say;

/// Prints both tables. Gives the median rate of (2) with one callback, if that was measured.
pub(super) async fn measure(bench: &Bench, options: &Options) -> Result<Option<f64>> {
    let mut rate = None;
    for fan_out in [1, 5] {
        let columns = options.columns();
        let mut runs: Vec<(Column, Vec<Run>)> =
            columns.into_iter().map(|column| (column, Vec::new())).collect();
        for _ in 0..options.rounds {
            for (column, runs) in &mut runs {
                runs.push(run(bench, *column, fan_out, options.events).await?);
            }
        }
        print(fan_out, &runs)?;
        if fan_out == 1 {
            rate = median(of(&runs, Column::Stores, |run| run.deliveries_per_second));
        }
    }
    Ok(rate)
}

async fn run(bench: &Bench, column: Column, fan_out: usize, events: usize) -> Result<Run> {
    let pipeline = Pipeline::start(bench, column, Subscribers::healthy(fan_out)).await?;
    // As many deliveries twice over with five callbacks: they take half as long.
    let events = if fan_out == 1 { events } else { events * 2 / fan_out };
    let run = load(bench, &pipeline, fan_out, events, 1.0).await?;
    pipeline.stop(bench).await?;
    Ok(run)
}

fn print(fan_out: usize, runs: &[(Column, Vec<Run>)]) -> Result<()> {
    say(&format!(
        "\nFan-out {fan_out}, 64 producers; CPU-s for 10,000 deliveries\n\n\
         | | deliveries/s | to (2) | to (3) | accepted/s | ingest | worker | RabbitMQ | Redis | PostgreSQL | system | to (2) | to (3) | receiver | producers | others |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    ))?;
    let rate = |run: &Run| run.deliveries_per_second;
    let system = |run: &Run| run.cpu.system();
    for (column, of_column) in runs {
        let figure =
            |figure: &dyn Fn(&Run) -> f64| of_column.iter().map(figure).collect::<Vec<_>>();
        let cpu = |part: &dyn Fn(&Run) -> f64| shown(median(figure(part)));
        let to =
            |column, what: fn(&Run) -> f64| shown(ratio(&figure(&what), &of(runs, column, what)));
        let cells = [
            column.name().to_owned(),
            spread(figure(&rate), 0),
            to(Column::Stores, rate),
            to(Column::Bundles, rate),
            format!("{:.0}", median(figure(&|run| run.accepted_per_second)).unwrap_or_default()),
            cpu(&|run| run.cpu.ingest),
            cpu(&|run| run.cpu.worker),
            cpu(&|run| run.cpu.rabbitmq),
            cpu(&|run| run.cpu.redis),
            cpu(&|run| run.cpu.postgres),
            spread(figure(&system), 2),
            to(Column::Stores, system),
            to(Column::Bundles, system),
            cpu(&|run| run.cpu.receiver),
            cpu(&|run| run.cpu.producers),
            cpu(&|run| run.cpu.others),
        ];
        say(&format!("| {} |\n", cells.join(" | ")))?;
    }
    say("\nDeliveries to come, every 250 ms of the last round:\n\n")?;
    for (column, of_column) in runs {
        let backlog = of_column.last().map(|run| run.backlog.clone()).unwrap_or_default();
        let shown: Vec<_> = backlog.iter().map(u64::to_string).collect();
        say(&format!("- {}: {}\n", column.name(), shown.join(" ")))?;
    }
    Ok(())
}

/// A figure of each round of a column.
fn of(runs: &[(Column, Vec<Run>)], column: Column, figure: fn(&Run) -> f64) -> Vec<f64> {
    let of_column = runs.iter().filter(|(of, _)| *of == column);
    of_column.flat_map(|(_, runs)| runs.iter().map(figure)).collect()
}
