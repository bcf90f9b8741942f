//! A channel with confirms, and a few messages on their way on it.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Connection};
use ringback_runtime::{Clock, Shutdown};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{self, Instant};

use super::gather::{Gather, Waiting};
use super::ticket::Ticket;
use crate::rabbitmq::error::Unconfirmed;
use crate::rabbitmq::message::Outgoing;

/// Unconfirmed messages at once. What comes meanwhile gathers for the next bundle: a larger window makes bundles
/// smaller, a window of one waits for the disk each time.
const WINDOW: usize = 4;

/// A channel on which something was refused is opened anew, unless it is younger.
const REFUSING_MIN: Duration = Duration::from_secs(5);

/// A channel with confirms, renewed after the server has refused something on it.
///
/// A queue with a limit (policy `max-length`, `reject-publish`) refuses on a channel that once met the limit for ever, though
/// the limit be gone; other queues take what comes on the same channel.
///
/// # Source
/// <https://github.com/rabbitmq/rabbitmq-server/issues/12206>, seen with RabbitMQ 3.10.8.
pub(super) struct Outlet<'a> {
    connection: &'a Connection,
    channel: Channel,
    opened: Instant,
    has_refused: bool,
}

impl<'a> Outlet<'a> {
    pub(super) async fn open(connection: &'a Connection) -> lapin::Result<Self> {
        let channel = confirming(connection).await?;
        Ok(Self { connection, channel, opened: Instant::now(), has_refused: false })
    }

    fn note(&mut self, published: Published) {
        self.has_refused |= published == Published::Refused;
    }

    fn is_worn_out(&self) -> bool {
        self.has_refused && self.opened.elapsed() >= REFUSING_MIN
    }

    /// To be called when nothing is on its way on it: the channel closes with its last clone.
    async fn renew(&mut self) -> lapin::Result<()> {
        tracing::debug!("a channel on which RabbitMQ refused messages is opened anew");
        *self = Self::open(self.connection).await?;
        Ok(())
    }
}

/// What the server did with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Published {
    Taken,
    Refused,
}

/// What waits for a channel: it outlives the channel.
pub(super) struct Lane<G: Gather> {
    gather: G,
    inbox: UnboundedReceiver<G::Piece>,
}

impl<G: Gather> Lane<G> {
    pub(super) fn new(gather: G, inbox: UnboundedReceiver<G::Piece>) -> Self {
        Self { gather, inbox }
    }

    /// Publishes what comes until the shutdown is requested and nothing is left.
    ///
    /// # Errors
    /// The channel's; whoever waits for a message on it was told.
    pub(super) async fn run(
        &mut self,
        mut outlet: Outlet<'_>,
        clock: &dyn Clock,
        shutdown: &Shutdown,
    ) -> lapin::Result<()> {
        let mut on_the_way = FuturesUnordered::new();
        loop {
            while let Ok(piece) = self.inbox.try_recv() {
                self.gather.push(piece, clock.now());
            }
            // First what is on its way is answered: soon, or the connection is lost.
            let is_worn_out = outlet.is_worn_out();
            let is_empty = on_the_way.is_empty();
            if is_worn_out && is_empty && self.gather.waiting() != Waiting::Nothing {
                outlet.renew().await?;
            }
            let mut lingers = None;
            while (is_empty || !is_worn_out) && on_the_way.len() < WINDOW {
                lingers = match self.gather.waiting() {
                    Waiting::Until(end) if end > Instant::now() => Some(end),
                    Waiting::Nothing => break,
                    Waiting::Something | Waiting::Until(_) => None,
                };
                if lingers.is_some() {
                    break;
                }
                if let Some((message, tickets)) = self.gather.take(clock.now()) {
                    on_the_way.push(publish(outlet.channel.clone(), message, tickets));
                }
            }
            let idle = on_the_way.is_empty() && self.gather.waiting() == Waiting::Nothing;
            if idle && shutdown.is_requested() {
                return Ok(());
            }
            tokio::select! {
                Some(published) = on_the_way.next() => outlet.note(published?),
                Some(piece) = self.inbox.recv() => self.gather.push(piece, clock.now()),
                () = until(lingers) => {}
                () = shutdown.requested(), if !shutdown.is_requested() => {}
            }
        }
    }
}

/// Returns then; never if there is no such time.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// A channel that confirms.
pub(in crate::rabbitmq) async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Publishes a message and answers those who wait for it. An error is the channel's.
async fn publish(
    channel: Channel,
    message: Outgoing,
    tickets: Vec<Ticket>,
) -> lapin::Result<Published> {
    let Outgoing { exchange, routing_key, properties, body } = message;
    let options = BasicPublishOptions::default();
    let confirmed = async {
        channel.basic_publish(exchange, routing_key, options, &body, properties).await?.await
    };
    match confirmed.await {
        Ok(Confirmation::Ack(_)) => {
            tickets.iter().for_each(Ticket::confirm);
            Ok(Published::Taken)
        }
        Ok(Confirmation::Nack(_) | Confirmation::NotRequested) => {
            tickets.iter().for_each(|ticket| ticket.fail(&Unconfirmed::Refused));
            Ok(Published::Refused)
        }
        Err(error) => {
            tickets.iter().for_each(|ticket| ticket.fail(&Unconfirmed::Lost));
            Err(error)
        }
    }
}
