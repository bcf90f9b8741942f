//! Compares what is declared at the server with what Ringback would declare.

use std::fmt;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};

use super::{Exchange, Queue, Topology};
use crate::rabbitmq::connection;
use crate::rabbitmq::error::{ConnectError, is_not_found};
use crate::rabbitmq::facts::{self, Found};
use crate::rabbitmq::names::Names;
use crate::rabbitmq::settings::{Settings, Target};

/// What can be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Exchange => "exchange",
        })
    }
}

/// Where the server differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is not there. Ringback declares it when it starts.
    Missing {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// It is there, with other arguments. Ringback does not start with it.
    DeclaredOtherwise {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// How it differs, in the server's words.
        detail: String,
    },
    /// The queue of a shard that the settings no longer have. Workers empty it as long as it is there.
    LeftOver {
        /// Its name.
        name: String,
        /// How much is in it.
        messages: u32,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, name } => write!(f, "{kind} `{name}` is missing"),
            Self::DeclaredOtherwise { kind, name, detail } => {
                write!(f, "{kind} `{name}` is declared otherwise: {detail}")
            }
            Self::LeftOver { name, messages } => {
                write!(
                    f,
                    "queue `{name}` is of a shard no longer in the settings, and holds {messages} messages"
                )
            }
        }
    }
}

/// Where the server differs from what these settings would declare. Nothing is changed there.
///
/// Bindings can't be read over AMQP: they are not compared. Declaring makes them anew.
///
/// # Errors
/// [`ConnectError`] if the server can't be asked.
pub async fn verify(settings: &Settings) -> Result<Vec<Difference>, ConnectError> {
    settings.check()?;
    let target = Target::parse(&settings.url)?;
    let names = Names::new(&settings.prefix, settings.shards);
    let connection = connection::open(&target, "verify").await?;
    let verifier = Verifier { connection: &connection, target: &target, names: &names };
    let differences = verifier.run().await;
    connection::close(&connection).await;
    differences
}

struct Verifier<'a> {
    connection: &'a Connection,
    target: &'a Target,
    names: &'a Names,
}

impl Verifier<'_> {
    async fn run(&self) -> Result<Vec<Difference>, ConnectError> {
        let topology = Topology::new(self.names);
        let mut differences = Vec::new();
        for exchange in &topology.exchanges {
            differences.extend(self.exchange(exchange).await?);
        }
        for queue in &topology.queues {
            differences.extend(self.queue(queue).await?);
        }
        for shard in self.names.shards().. {
            let name = self.names.shard(shard);
            let channel = self.channel().await?;
            match facts::passive(&channel, &name).await {
                Ok(Found { messages, .. }) => {
                    differences.push(Difference::LeftOver { name, messages });
                }
                Err(error) if is_not_found(&error) => break,
                Err(error) => return Err(self.failed(&name, error)),
            }
        }
        Ok(differences)
    }

    async fn exchange(&self, exchange: &Exchange) -> Result<Option<Difference>, ConnectError> {
        let (kind, name) = (Kind::Exchange, exchange.name.clone());
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel().await?;
        let asked = channel.exchange_declare(
            name.as_str().into(),
            exchange.kind.clone(),
            passive,
            FieldTable::default(),
        );
        if let Err(error) = asked.await {
            return self.missing(kind, name, error);
        }
        match exchange.declare(&channel).await {
            Ok(()) => Ok(None),
            Err(error) => self.otherwise(kind, name, error),
        }
    }

    async fn queue(&self, queue: &Queue) -> Result<Option<Difference>, ConnectError> {
        let (kind, name) = (Kind::Queue, queue.name.clone());
        let passive = QueueDeclareOptions::default().passive();
        let channel = self.channel().await?;
        let asked = channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
        if let Err(error) = asked.await {
            return self.missing(kind, name, error);
        }
        match queue.declare(&channel).await {
            Ok(()) => Ok(None),
            Err(error) => self.otherwise(kind, name, error),
        }
    }

    fn missing(
        &self,
        kind: Kind,
        name: String,
        error: lapin::Error,
    ) -> Result<Option<Difference>, ConnectError> {
        if is_not_found(&error) {
            return Ok(Some(Difference::Missing { kind, name }));
        }
        Err(self.failed(&name, error))
    }

    fn otherwise(
        &self,
        kind: Kind,
        name: String,
        error: lapin::Error,
    ) -> Result<Option<Difference>, ConnectError> {
        match self.failed(&name, error) {
            ConnectError::DeclaredOtherwise { name, source } => {
                let detail = words(&source);
                Ok(Some(Difference::DeclaredOtherwise { kind, name, detail }))
            }
            other => Err(other),
        }
    }

    /// One for each question: the server closes a channel with the answer "no".
    async fn channel(&self) -> Result<Channel, ConnectError> {
        self.connection.create_channel().await.map_err(|error| self.failed("", error))
    }

    fn failed(&self, name: &str, error: lapin::Error) -> ConnectError {
        ConnectError::of_declaring(name, error, self.target)
    }
}

/// What the server said, without the name of the error before it.
fn words(error: &lapin::Error) -> String {
    let said = match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        _ => error.to_string(),
    };
    said.split_once(" - ").map_or(said.clone(), |(_, words)| words.to_owned())
}
