//! As fast as it goes, with one callback and with five, all healthy or not: every column in each round.

use anyhow::Result;

use super::column::Column;
use super::load::{Run, load};
use super::pipeline::{Pipeline, Subscribers};
use super::rounds::{each_round, of};
use super::table::{median, ratio, shown, spread};
use super::{Bench, Options};
use crate::receiver::say;

/// What the receiver does with a first attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    AllWell,
    /// One of 20 fails. Ringback tries again a second later, a yardstick at once.
    OneIn20Fails,
}

impl Answers {
    fn behaviour(self) -> &'static str {
        match self {
            Self::AllWell => "callback",
            Self::OneIn20Fails => "flaky",
        }
    }

    /// The share of the deliveries until whose last the rate is taken: the last retries come a second after the load.
    fn counted(self) -> f64 {
        match self {
            Self::AllWell => 1.0,
            Self::OneIn20Fails => 0.94,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AllWell => "all healthy",
            Self::OneIn20Fails => "5 % of first attempts fail (the rate until 94 % are there)",
        }
    }
}

/// The median deliveries a second of (2), with one callback and with five, where they were measured.
#[derive(Clone, Copy, Default)]
pub(super) struct Yardsticks {
    pub(super) one: Option<f64>,
    pub(super) five: Option<f64>,
}

/// Prints both tables.
pub(super) async fn measure(
    bench: &Bench,
    options: &Options,
    answers: Answers,
) -> Result<Yardsticks> {
    let one = with_callbacks(bench, options, answers, 1).await?;
    let five = with_callbacks(bench, options, answers, 5).await?;
    Ok(Yardsticks { one, five })
}

async fn with_callbacks(
    bench: &Bench,
    options: &Options,
    answers: Answers,
    fan_out: usize,
) -> Result<Option<f64>> {
    let runs = each_round(options, fan_out, async |column| {
        run(bench, column, answers, fan_out, options.events).await
    });
    let runs = runs.await?;
    print(&format!("Fan-out {fan_out}, {}", answers.name()), &runs)?;
    Ok(median(of(&runs, Column::Stores, |run| run.deliveries_per_second)))
}

async fn run(
    bench: &Bench,
    column: Column,
    answers: Answers,
    fan_out: usize,
    events: usize,
) -> Result<Run> {
    let to = Subscribers::all(answers.behaviour(), fan_out);
    let pipeline = Pipeline::start(bench, column, to).await?;
    // As many deliveries twice over with five callbacks: they take half as long.
    let events = if fan_out == 1 { events } else { events * 2 / fan_out };
    let run = load(bench, &pipeline, fan_out, events, answers.counted()).await?;
    pipeline.stop(bench).await?;
    Ok(run)
}

fn print(title: &str, runs: &[(Column, Vec<Run>)]) -> Result<()> {
    say(&format!(
        "\n{title}, 64 producers; CPU-s for 10,000 deliveries\n\n\
         | | deliveries/s | to (2) | to (2b) | to (3) | accepted/s | ingest | worker | RabbitMQ | Redis | PostgreSQL | system | to (2) | to (2b) | to (3) | receiver | producers | others |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
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
            to(Column::FanOut, rate),
            to(Column::Bundles, rate),
            format!("{:.0}", median(figure(&|run| run.accepted_per_second)).unwrap_or_default()),
            cpu(&|run| run.cpu.ingest),
            cpu(&|run| run.cpu.worker),
            cpu(&|run| run.cpu.rabbitmq),
            cpu(&|run| run.cpu.redis),
            cpu(&|run| run.cpu.postgres),
            spread(figure(&system), 2),
            to(Column::Stores, system),
            to(Column::FanOut, system),
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
