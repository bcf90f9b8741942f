//! The commands of those who run it: queues, tables, what was set aside, and whether all is well. They talk to the servers
//! and, all but `health`, not to a running Ringback.

mod backup;
mod doctor;
mod health;
mod migrate;
mod moving;
mod rejected;
mod topology;

use std::fmt::Display;
use std::io::Write as _;

use clap::Subcommand;
use ringback_broker::rabbitmq;

use crate::exit::Failure;
use crate::settings::{BrokerSettings, Settings};

/// The commands that talk to the servers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check every server: is it there, as it should be, and if not, what to do
    Doctor(doctor::Doctor),
    /// Ask a running process whether it can do its job: for health checks of containers
    Health(health::Health),
    /// Make RabbitMQ's exchanges and queues, or compare them
    Topology(topology::Topology),
    /// Look through what producers published and nobody could take
    Rejected(rejected::Rejected),
    /// Bring PostgreSQL's tables up to date
    Migrate(migrate::Migrate),
    /// Copy the embedded database into a file, also while Ringback runs
    Backup(backup::Backup),
    /// Write everything that an instance keeps into one file
    Export(moving::Export),
    /// Put what was exported into an empty instance
    Import(moving::Import),
}

/// Runs a command.
///
/// # Errors
/// Bad settings; a server that refuses or can't be reached; what a check found.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Doctor(doctor) => doctor.run().await,
        Command::Health(health) => health.run().await,
        Command::Topology(topology) => topology.run().await,
        Command::Rejected(rejected) => rejected.run().await,
        Command::Migrate(migrate) => migrate.run().await,
        Command::Backup(backup) => backup.run().await,
        Command::Export(export) => export.run().await,
        Command::Import(import) => import.run().await,
    }
}

/// The settings of RabbitMQ, without which a command about it has nothing to do.
fn rabbitmq(settings: &Settings) -> Result<&rabbitmq::Settings, Failure> {
    match &settings.broker {
        BrokerSettings::Rabbitmq(settings) => Ok(settings),
        BrokerSettings::Embedded => Err(Failure::Usage(anyhow::anyhow!(
            "amqp_url: this command is about RabbitMQ; set RINGBACK_AMQP_URL"
        ))),
    }
}

impl From<rabbitmq::ConnectError> for Failure {
    fn from(error: rabbitmq::ConnectError) -> Self {
        Self::Unavailable(anyhow::Error::from(error).context("amqp_url"))
    }
}

/// A line for people. A reader who has seen enough is no error.
fn say(line: impl Display) {
    let _reader_is_gone = writeln!(std::io::stdout().lock(), "{line}");
}
