//! The yardsticks of the distributed pipeline: the same way from HTTP over a queue to HTTP, and nothing besides. No keys,
//! no callbacks, no signatures, no look at what an event says. What fails is tried again at once, and once.
//!
//! Each is two programs, so that processor time can be told for each. They use one thread, besides those of lapin: more
//! would not make them faster, the pipeline is bound by what all processes together use.

mod frames;
mod ingest;
mod marks;
mod queue;
mod rows;
mod settle;
mod worker;

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

pub(crate) use ingest::serve as ingest;
pub(crate) use queue::Queue;
pub(crate) use rows::{count_rows, create_tables};
pub(crate) use worker::run as worker;

/// Which yardstick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Yardstick {
    /// A message for each delivery, and no store
    Bare,
    /// The same with a mark in Redis and a row in PostgreSQL for each delivery
    Stores,
    /// The same with one message for each event: the worker fans out
    FanOut,
    /// The same with up to 64 events in a message
    Bundles,
}

impl Yardstick {
    /// As it is given on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Stores => "stores",
            Self::FanOut => "fan-out",
            Self::Bundles => "bundles",
        }
    }

    pub(crate) fn has_stores(self) -> bool {
        self != Self::Bare
    }

    /// Whether each delivery is a message of its own.
    fn is_per_delivery(self) -> bool {
        matches!(self, Self::Bare | Self::Stores)
    }
}

/// Where a yardstick's two programs find what they need.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[arg(long)]
    pub(crate) yardstick: Yardstick,
    #[arg(long)]
    pub(crate) amqp_url: String,
    #[arg(long)]
    pub(crate) queue: String,
    #[arg(long)]
    pub(crate) redis_url: String,
    #[arg(long)]
    pub(crate) database_url: String,
    /// The receiver
    #[arg(long)]
    pub(crate) receiver: SocketAddr,
    /// The first word of the paths that it is called by
    #[arg(long)]
    pub(crate) behaviour: String,
    /// Requests for each event
    #[arg(long)]
    pub(crate) fan_out: u16,
}
