//! The distributed pipeline against bare ones, all on the same servers: rates, processor time by process, latency,
//! retries, workers, an endpoint that hangs.

mod column;
mod isolation;
mod ladder;
mod latency;
mod load;
mod pipeline;
mod rates;
mod rounds;
mod servers;
mod table;
mod workers;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::column::Column;
use self::pipeline::Subscribers;
use self::rates::{Answers, Yardsticks};
use self::servers::Servers;
use crate::server::Receiver;

/// What is measured, and how much is sent.
#[derive(Args)]
pub(crate) struct Options {
    /// Events of a run with one callback; the others follow from it
    #[arg(long, default_value_t = 30_000)]
    events: usize,
    /// How often each figure is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// These parts alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// These columns alone
    #[arg(long, value_delimiter = ',')]
    columns: Vec<Column>,
    /// Deliveries a second for the latency [default: a fifth of what (2) takes]
    #[arg(long)]
    per_second: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// As fast as it goes, to one callback and to five
    Rates,
    /// From sending to receiving, at a rate that all can take
    Latency,
    /// As fast as it goes, where one of 20 first attempts fails
    Retries,
    /// 100,000 retries due at the same time
    Ladder,
    /// 1, 2 and 4 workers, and a receiver that takes 50 ms
    Workers,
    /// 1,000 events a second to 20 callbacks, without and with one of them hanging
    Isolation,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn wants_ours(&self) -> bool {
        self.columns(Subscribers::HEALTHY.fan_out).any(|column| column == Column::Ours)
    }

    /// The columns that are wanted and tell something with so many callbacks.
    fn columns(&self, fan_out: usize) -> impl Iterator<Item = Column> {
        let wanted: &[Column] = match self.columns.as_slice() {
            [] => Column::value_variants(),
            some => some,
        };
        wanted.iter().copied().filter(move |column| column.tells(fan_out))
    }
}

/// What every run is made with.
struct Bench {
    servers: Servers,
    receiver: Receiver,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let bench = Bench { servers: Servers::start().await?, receiver: Receiver::start().await? };
    let mut yardsticks = Yardsticks::default();
    if options.wants(Part::Rates) {
        yardsticks = rates::measure(&bench, &options, Answers::AllWell).await?;
    }
    if options.wants(Part::Latency) {
        latency::measure(&bench, &options, yardsticks).await?;
    }
    if options.wants(Part::Retries) {
        rates::measure(&bench, &options, Answers::OneIn20Fails).await?;
    }
    if options.wants(Part::Ladder) {
        ladder::measure(&bench).await?;
    }
    if options.wants(Part::Workers) {
        workers::measure(&bench, &options).await?;
    }
    if options.wants(Part::Isolation) {
        isolation::measure(&bench, &options).await?;
    }
    Ok(())
}
