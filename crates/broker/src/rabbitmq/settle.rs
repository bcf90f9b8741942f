//! Receipts, and what becomes of the messages behind them: acked, or given back.

mod ledger;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use self::ledger::{Frame, Ledger, Verdict};

/// Acks wait this long for others: those that end without a gap are one frame.
const LINGER: Duration = Duration::from_millis(5);
/// A channel of the server sends 32 settlements on to a quorum queue before it waits for those to be applied. Below half
/// of that nothing is kept back.
const TOLD_AT_ONCE: usize = 16;
/// What was told this long ago is applied.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// So many orders are looked at together.
const BATCH_MAX: usize = 4_096;

/// Which receipt stands for which message of which connection.
#[derive(Default)]
pub(super) struct Receipts(Mutex<Open>);

#[derive(Default)]
struct Open {
    last: u64,
    places: HashMap<u64, Place>,
}

struct Place {
    link: u64,
    lane: usize,
    tag: u64,
    properties: Option<Box<BasicProperties>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Where the receipts of one connection lead.
#[derive(Clone)]
pub(super) struct Settling {
    link: u64,
    orders: mpsc::UnboundedSender<Order>,
}

/// What is to be done with a message of a connection.
enum Order {
    Ack {
        lane: usize,
        tag: u64,
    },
    GiveBack {
        lane: usize,
        tag: u64,
    },
    /// All before it are applied when this is answered.
    Flush(oneshot::Sender<()>),
}

impl Receipts {
    /// A receipt for a message, which may keep its properties.
    pub(super) fn issue(
        &self,
        settling: &Settling,
        lane: usize,
        tag: u64,
        properties: Option<Box<BasicProperties>>,
    ) -> u64 {
        let mut open = self.lock();
        open.last += 1;
        let receipt = open.last;
        let orders = settling.orders.clone();
        let place = Place { link: settling.link, lane, tag, properties, orders };
        open.places.insert(receipt, place);
        receipt
    }

    /// What was kept of a message that is not settled yet.
    pub(super) fn properties(&self, receipt: u64) -> Option<BasicProperties> {
        self.lock().places.get(&receipt)?.properties.as_deref().cloned()
    }

    /// Acks a message. Nothing happens if it was settled already, or its connection is gone: it comes again then.
    pub(super) fn ack(&self, receipt: u64) {
        if let Some(Place { lane, tag, orders, .. }) = self.take(receipt) {
            // Gone with its connection.
            let _ = orders.send(Order::Ack { lane, tag });
        }
    }

    /// Gives a message back, for somebody else.
    pub(super) fn give_back(&self, receipt: u64) {
        if let Some(Place { lane, tag, orders, .. }) = self.take(receipt) {
            // Gone with its connection, and so given back.
            let _ = orders.send(Order::GiveBack { lane, tag });
        }
    }

    /// The receipts of this connection are void.
    pub(super) fn void(&self, settling: &Settling) {
        self.lock().places.retain(|_, place| place.link != settling.link);
    }

    fn take(&self, receipt: u64) -> Option<Place> {
        self.lock().places.remove(&receipt)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().expect("nobody panics holding it")
    }
}

impl Settling {
    /// For a connection of this number, and the task that carries out its orders on the connection's channels, one for
    /// each queue. The task ends when all orders of the connection are done and nobody can give more.
    pub(super) fn new(
        link: u64,
        lanes: Vec<(Channel, ShortString)>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (orders, inbox) = mpsc::unbounded_channel();
        let lane = |(channel, queue)| Lane { channel, queue, ledger: Ledger::default(), sent: 0 };
        (Self { link, orders }, carry_out(lanes.into_iter().map(lane).collect(), inbox))
    }

    /// Returns once all that was ordered before is applied, or the connection is gone.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).is_ok() {
            // An error means that the connection is gone.
            let _ = flushed.await;
        }
    }
}

/// A channel, and what of its messages is settled.
struct Lane {
    channel: Channel,
    queue: ShortString,
    ledger: Ledger,
    /// Frames since it was last idle.
    sent: usize,
}

async fn carry_out(mut lanes: Vec<Lane>, mut inbox: mpsc::UnboundedReceiver<Order>) {
    let mut orders = Vec::new();
    loop {
        let received = inbox.recv_many(&mut orders, BATCH_MAX);
        match time::timeout(IDLE_AFTER, received).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => {
                lanes.iter_mut().for_each(|lane| lane.sent = 0);
                if inbox.recv_many(&mut orders, BATCH_MAX).await == 0 {
                    return;
                }
            }
        }
        if !orders.iter().any(|order| matches!(order, Order::Flush(_))) {
            time::sleep(LINGER).await;
            while orders.len() < BATCH_MAX
                && let Ok(order) = inbox.try_recv()
            {
                orders.push(order);
            }
        }
        let mut flushed = Vec::new();
        for order in orders.drain(..) {
            match order {
                Order::Ack { lane, tag } => lanes[lane].ledger.note(tag, Verdict::Ack),
                Order::GiveBack { lane, tag } => lanes[lane].ledger.note(tag, Verdict::GiveBack),
                Order::Flush(done) => flushed.push(done),
            }
        }
        for lane in &mut lanes {
            lane.tell().await;
        }
        if !flushed.is_empty() {
            // An error means that the channel is gone.
            future::join_all(lanes.iter().map(Lane::applied)).await;
            for done in flushed {
                // Whoever asked may be gone.
                let _ = done.send(());
            }
        }
    }
}

impl Lane {
    /// Tells the server what was settled.
    async fn tell(&mut self) {
        let frames = self.ledger.frames();
        self.sent += frames.len();
        let channel = &self.channel;
        let frames = frames.into_iter().map(async |frame| match frame {
            Frame::Ack { tag, multiple } => {
                channel.basic_ack(tag, BasicAckOptions { multiple }).await
            }
            Frame::GiveBack { tag } => {
                let options = BasicNackOptions { multiple: false, requeue: true };
                channel.basic_nack(tag, options).await
            }
        });
        // An error means that the channel is gone: its messages come again.
        future::join_all(frames).await;
    }

    /// Returns once all that the server was told is applied. It is followed by the end of the connection.
    async fn applied(&self) -> lapin::Result<()> {
        // A channel does one thing after the other: when this is answered, it has read all that was sent before.
        self.channel.basic_qos(1, BasicQosOptions::default()).await?;
        if self.sent > TOLD_AT_ONCE {
            // But it has sent only the first ones on to the queue, and keeps the others back until those are applied. It
            // forgets them if it is closed before. A subscription is made by the queue itself, after what came before
            // it. A message that is fetched by it goes back when the connection closes.
            let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
            let consumer = self
                .channel
                .basic_consume(queue, "".into(), options, FieldTable::default())
                .await?;
            let options = BasicCancelOptions::default();
            self.channel.basic_cancel(consumer.tag(), options).await?;
        }
        Ok(())
    }
}
