//! A connection that consumes: several queues, a channel each, taken from in turn.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::time;

use super::Shared;
use super::connection;
use super::error::{ConnectError, Lost};
use super::settings::Target;
use super::settle::Settling;

/// Longest wait for the last acks to be applied.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// Numbers connections: receipts of one that is gone must not be taken for those of the next.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// Queues that have one turn together: the shards.
pub(super) struct Group<K> {
    pub kind: K,
    pub queues: Vec<String>,
    pub prefetch: u16,
}

/// A connection with its subscriptions.
pub(super) struct Link<K> {
    connection: Arc<Connection>,
    lanes: Vec<Lane>,
    turns: Vec<Turn<K>>,
    /// Whose turn is next.
    next: usize,
    settling: Settling,
}

/// Lanes that take turns among themselves, and have one together.
struct Turn<K> {
    kind: K,
    lanes: Vec<usize>,
    next: usize,
}

/// A queue, and what was fetched from it.
struct Lane {
    queue: ShortString,
    channel: Channel,
    consumer: lapin::Consumer,
    /// Takes over when the one before has handed out all it fetched.
    follower: Option<lapin::Consumer>,
    prefetch: u16,
}

/// A delivery, and where it came from.
pub(super) struct Taken<K> {
    pub kind: K,
    pub lane: usize,
    pub delivery: Delivery,
}

impl<K: Copy> Link<K> {
    /// Subscribes on a connection that has all it needs declared.
    ///
    /// # Errors
    /// [`ConnectError`] if a queue can't be consumed from.
    pub(super) async fn open(
        shared: &Shared,
        connection: Connection,
        groups: Vec<Group<K>>,
    ) -> Result<Self, ConnectError> {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut turns = Vec::new();
        for Group { kind, queues, prefetch } in groups {
            let mut turn = Turn { kind, lanes: Vec::new(), next: 0 };
            for queue in queues {
                let opened = Lane::open(&connection, &queue, prefetch).await;
                let lane = opened.map_err(|error| failed(&queue, error, &shared.target))?;
                turn.lanes.push(lanes.len());
                lanes.push(lane);
            }
            turns.push(turn);
        }
        let channels =
            lanes.iter().map(|lane| (lane.channel.clone(), lane.queue.clone())).collect();
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let (settling, carry_out) = Settling::new(number, channels);
        shared.tasks.start(carry_out);
        Ok(Self { connection: Arc::new(connection), lanes, turns, next: 0, settling })
    }

    /// Where its receipts lead.
    pub(super) fn settling(&self) -> &Settling {
        &self.settling
    }

    /// The next delivery, of each group in turn.
    ///
    /// # Errors
    /// [`Lost`] if nothing more will come.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> Result<Taken<K>, Lost> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Taken<K>, Lost>> {
        for step in 0..self.turns.len() {
            let number = (self.next + step) % self.turns.len();
            let turn = &mut self.turns[number];
            for inner in 0..turn.lanes.len() {
                let place = (turn.next + inner) % turn.lanes.len();
                let lane = turn.lanes[place];
                let Poll::Ready(delivery) = self.lanes[lane].poll_next(context) else { continue };
                turn.next = place + 1;
                self.next = number + 1;
                let kind = turn.kind;
                return Poll::Ready(delivery.map(|delivery| Taken { kind, lane, delivery }));
            }
        }
        Poll::Pending
    }

    /// Returns once the connection is lost.
    pub(super) fn lost(&self) -> impl Future<Output = Lost> + Send + use<K> {
        let connection = Arc::clone(&self.connection);
        async move {
            connection::lost(&connection, |_| {}).await;
            Lost::Connection
        }
    }

    /// How many unacked messages a lane holds at most.
    pub(super) fn prefetch(&self, lane: usize) -> u16 {
        self.lanes[lane].prefetch
    }

    /// For each lane how many have a turn together with it.
    pub(super) fn shares(&self) -> Vec<usize> {
        let share = |lane| self.turns.iter().find(|turn| turn.lanes.contains(&lane));
        (0..self.lanes.len()).map(|lane| share(lane).map_or(1, |turn| turn.lanes.len())).collect()
    }

    /// Lets a lane hold so many unacked messages from now on.
    pub(super) async fn set_prefetch(&mut self, lane: usize, prefetch: u16) -> Result<(), Lost> {
        let lane = &mut self.lanes[lane];
        if lane.follower.is_some() {
            return Ok(());
        }
        lane.resubscribe(prefetch).await.map_err(Lost::Channel)
    }

    /// Takes no more from the server. Returns what was fetched.
    pub(super) async fn cancel(&mut self) -> Vec<(usize, Delivery)> {
        let mut fetched = Vec::new();
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let deliveries = lane.cancel().await;
            fetched.extend(deliveries.into_iter().map(|delivery| (number, delivery)));
        }
        fetched
    }

    /// Closes the connection once all acks are applied. What is not acked goes back.
    pub(super) async fn finish(self) {
        if self.connection.status().connected() {
            // What is not acked then comes again.
            let _ = time::timeout(FLUSH_WITHIN, self.settling.flush()).await;
        }
        connection::close(&self.connection).await;
    }
}

fn failed(queue: &str, error: lapin::Error, target: &Target) -> ConnectError {
    ConnectError::of_declaring(queue, error, target)
}

impl Lane {
    async fn open(connection: &Connection, queue: &str, prefetch: u16) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        let queue = ShortString::from(queue);
        let consumer = subscribe(&channel, &queue, prefetch).await?;
        Ok(Self { queue, channel, consumer, follower: None, prefetch })
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Delivery, Lost>> {
        loop {
            return match std::task::ready!(self.consumer.poll_next_unpin(context)) {
                Some(Ok(delivery)) => Poll::Ready(Ok(delivery)),
                Some(Err(error)) => Poll::Ready(Err(Lost::Channel(error))),
                None => match self.follower.take() {
                    Some(follower) => {
                        self.consumer = follower;
                        continue;
                    }
                    None => Poll::Ready(Err(Lost::Subscription(self.queue.to_string()))),
                },
            };
        }
    }

    /// A prefetch counts from the next subscription on.
    async fn resubscribe(&mut self, prefetch: u16) -> lapin::Result<()> {
        let options = BasicCancelOptions::default();
        self.channel.basic_cancel(self.consumer.tag(), options).await?;
        self.follower = Some(subscribe(&self.channel, &self.queue, prefetch).await?);
        self.prefetch = prefetch;
        Ok(())
    }

    async fn cancel(&mut self) -> Vec<Delivery> {
        let mut fetched = Vec::new();
        for consumer in std::iter::once(&mut self.consumer).chain(&mut self.follower) {
            let options = BasicCancelOptions::default();
            // An error means that the channel is gone, and with it what was fetched.
            if self.channel.basic_cancel(consumer.tag(), options).await.is_err() {
                return fetched;
            }
            // It ends with what was on its way when the server was told.
            while let Some(Ok(delivery)) = consumer.next().await {
                fetched.push(delivery);
            }
        }
        fetched
    }
}

async fn subscribe(
    channel: &Channel,
    queue: &ShortString,
    prefetch: u16,
) -> lapin::Result<lapin::Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.clone(), "".into(), options, FieldTable::default()).await
}
