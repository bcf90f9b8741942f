//! `ringback topology`: what is declared in RabbitMQ.

use clap::{Args, Subcommand};
use ringback_broker::rabbitmq::topology;

use super::{rabbitmq, say};
use crate::exit::Failure;
use crate::settings::{Given, Openness};

#[derive(Args, Debug)]
pub(crate) struct Topology {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Declare what is missing. Every start does so too; doing it twice changes nothing
    Apply(Given),
    /// Say what is missing or declared otherwise, and change nothing; exit code 1 if there is anything. Bindings are not
    /// among it, for AMQP does not tell them: `apply` makes them anew
    Verify(Given),
}

impl Topology {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Apply(given) => apply(given).await,
            Command::Verify(given) => verify(given).await,
        }
    }
}

async fn apply(given: Given) -> Result<(), Failure> {
    let settings = given.without_master_key().check(Openness::Guarded).map_err(Failure::Usage)?;
    let rabbitmq = rabbitmq(&settings)?;
    topology::declare(rabbitmq).await?;
    say(format_args!("exchanges and queues of `{}` are declared", rabbitmq.prefix));
    Ok(())
}

async fn verify(given: Given) -> Result<(), Failure> {
    let settings = given.without_master_key().check(Openness::Guarded).map_err(Failure::Usage)?;
    let rabbitmq = rabbitmq(&settings)?;
    let differences = topology::verify(rabbitmq).await?;
    for difference in &differences {
        say(difference);
    }
    match differences.len() {
        0 => {
            say(format_args!(
                "exchanges and queues of `{}` are as they should be",
                rabbitmq.prefix
            ));
            Ok(())
        }
        1 => Err(Failure::Other(anyhow::anyhow!("1 difference"))),
        count => Err(Failure::Other(anyhow::anyhow!("{count} differences"))),
    }
}
