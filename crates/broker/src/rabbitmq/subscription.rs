//! What consumers of all kinds have in common. A task of its own keeps up a connection, takes deliveries and hands them
//! over, so that whoever waits for the next one can stop waiting at any moment and loses nothing.

mod task;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use lapin::Connection;
use lapin::message::Delivery;
use tokio::sync::{mpsc, oneshot};

use self::task::Task;
use super::Shared;
use super::error::ConnectError;
use super::link::Group;

/// What is particular to a kind of consumer.
pub(super) trait Handler: Send + 'static {
    /// What it hands out.
    type Item: Send + 'static;
    /// The kinds of queues that it takes from.
    type Kind: Copy + Send + Sync + 'static;
    /// Its name, for the log and the server.
    const NAME: &'static str;
    /// How many wait, taken from the connection, for whoever asks for the next one.
    const AHEAD: usize;
    /// What is kept of a message until it is settled.
    const KEPT: Kept = Kept::Nothing;

    /// What it takes from, each in turn. Everything is declared.
    fn groups(
        shared: &Shared,
        connection: &Connection,
    ) -> impl Future<Output = Result<Vec<Group<Self::Kind>>, ConnectError>> + Send;

    /// What is done with a delivery.
    fn receive(
        &mut self,
        shared: &Arc<Shared>,
        kind: Self::Kind,
        delivery: Delivery,
        receipt: u64,
    ) -> Received<Self::Item>;
}

/// What is kept of a message until it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing but where it came from.
    Nothing,
    /// Its properties, to set it aside as it came.
    Properties,
}

/// What is done with a delivery.
pub(super) enum Received<T> {
    /// It is handed out.
    HandOut {
        item: T,
        /// How many dispatches are in it, if they count for the prefetch.
        dispatches: Option<usize>,
    },
    /// It goes elsewhere, and is acked once that is done.
    Aside(BoxFuture<'static, ()>),
}

/// The end that takes. Dropping it gives back what is not acked.
pub(super) struct Subscription<T> {
    shared: Arc<Shared>,
    items: mpsc::Receiver<Handed<T>>,
    commands: mpsc::Sender<Command>,
    stopped: bool,
}

struct Handed<T> {
    item: T,
    receipt: u64,
    /// Its connection is gone: it comes again.
    void: Arc<AtomicBool>,
}

enum Command {
    /// Take no more, and give back what was not handed over.
    Stop(oneshot::Sender<()>),
    /// Apply all acks, and close.
    Finish(oneshot::Sender<()>),
}

impl<T: Send + 'static> Subscription<T> {
    /// Starts the task.
    pub(super) fn start<H: Handler<Item = T>>(shared: &Arc<Shared>, handler: H) -> Self {
        let (hand_over, items) = mpsc::channel(H::AHEAD);
        let (commands, inbox) = mpsc::channel(1);
        let task = Task::new(Arc::clone(shared), handler, hand_over, inbox);
        shared.tasks.start(task.run());
        Self { shared: Arc::clone(shared), items, commands, stopped: false }
    }

    /// The next; none after [`stop`](Self::stop), and when the process stops.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> Option<T> {
        while !self.stopped && !self.shared.stopping.is_requested() {
            let handed = tokio::select! {
                handed = self.items.recv() => handed?,
                () = self.shared.stopping.requested() => return None,
            };
            if !handed.void.load(Ordering::Acquire) {
                return Some(handed.item);
            }
        }
        None
    }

    /// The next if it is here already.
    pub(super) fn try_next(&mut self) -> Option<T> {
        while !self.stopped
            && let Ok(handed) = self.items.try_recv()
        {
            if !handed.void.load(Ordering::Acquire) {
                return Some(handed.item);
            }
        }
        None
    }

    /// Takes no more; what was not handed out goes back.
    pub(super) async fn stop(&mut self) {
        self.stopped = true;
        self.order(Command::Stop).await;
        while let Ok(handed) = self.items.try_recv() {
            self.shared.receipts.give_back(handed.receipt);
        }
    }

    /// Returns once all acks are applied and the rest went back.
    pub(super) async fn finish(self) {
        self.order(Command::Finish).await;
    }

    async fn order(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, carried_out) = oneshot::channel();
        if self.commands.send(command(done)).await.is_ok() {
            // An error means that the task has ended, and with it its connection.
            let _ = carried_out.await;
        }
    }
}
