//! What is compared.

use clap::ValueEnum;

use crate::bare::Yardstick;

/// A column of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// (1) HTTP, RabbitMQ, HTTP
    Bare,
    /// (2) with a mark in Redis and a row in PostgreSQL for each delivery
    Stores,
    /// (2b) as (2), with one message for all deliveries of an event
    FanOut,
    /// (3) as (2b), with up to 64 events in a message
    Bundles,
    /// (4) Ringback
    Ours,
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "(1) bare",
            Self::Stores => "(2) bare + stores",
            Self::FanOut => "(2b) + fan-out at the worker",
            Self::Bundles => "(3) bundles + stores",
            Self::Ours => "(4) Ringback",
        }
    }

    /// Whether it differs from the other columns with so many callbacks.
    pub(super) fn tells(self, fan_out: usize) -> bool {
        self != Self::FanOut || fan_out > 1
    }

    /// None for Ringback.
    pub(super) fn yardstick(self) -> Option<Yardstick> {
        match self {
            Self::Bare => Some(Yardstick::Bare),
            Self::Stores => Some(Yardstick::Stores),
            Self::FanOut => Some(Yardstick::FanOut),
            Self::Bundles => Some(Yardstick::Bundles),
            Self::Ours => None,
        }
    }
}
