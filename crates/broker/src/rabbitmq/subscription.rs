//! A consumer's task. It keeps up a connection, takes deliveries and hands them over, so that whoever waits for the next
//! one can stop waiting at any moment and loses nothing.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lapin::Connection;
use lapin::message::Delivery;
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use super::error::{ConnectError, Lost};
use super::link::{Group, Link, Taken};
use super::prefetch::Prefetch;
use super::retry::Retry;
use super::settle::Receipts;
use super::{Shared, connection};

/// A server that does not answer must not hold up a process that stops.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(3);

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
        let task = Task {
            shared: Arc::clone(shared),
            handler,
            hand_over,
            inbox,
            retry: Retry::new(H::NAME),
        };
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

struct Task<H: Handler> {
    shared: Arc<Shared>,
    handler: H,
    hand_over: mpsc::Sender<Handed<H::Item>>,
    inbox: mpsc::Receiver<Command>,
    retry: Retry,
}

/// How the use of a connection ends.
enum End {
    /// It is to be made anew.
    Lost(Lost),
    /// For good; and who waits for that.
    Finished(Option<oneshot::Sender<()>>),
}

impl<H: Handler> Task<H> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let target = &shared.target;
        loop {
            let wait = tokio::select! {
                opened = open::<H>(&shared) => match opened {
                    Ok(link) => {
                        self.retry.connected(target);
                        match self.consume(link).await {
                            End::Lost(why) => self.retry.lost(target, &why),
                            End::Finished(done) => {
                                if let Some(done) = done {
                                    // Whoever asked may be gone.
                                    let _ = done.send(());
                                }
                                return;
                            }
                        }
                    }
                    Err(error) => self.retry.failed(&error),
                },
                // There is nothing to stop or to give back. The answer is that this task is gone.
                _ = self.inbox.recv() => return,
                () = shared.stopping.requested() => return,
            };
            tokio::select! {
                () = time::sleep(wait) => {}
                _ = self.inbox.recv() => return,
                () = shared.stopping.requested() => return,
            }
        }
    }

    /// Uses a connection until it is lost or this consumer ends.
    async fn consume(&mut self, mut link: Link<H::Kind>) -> End {
        let void = Arc::new(AtomicBool::new(false));
        let end = self.take_from(&mut link, &void).await;
        let settling = link.settling().clone();
        match &end {
            End::Finished(_) => link.finish().await,
            End::Lost(_) => void.store(true, Ordering::Release),
        }
        self.shared.receipts.void(&settling);
        end
    }

    async fn take_from(&mut self, link: &mut Link<H::Kind>, void: &Arc<AtomicBool>) -> End {
        let mut asides = Asides::default();
        let mut prefetches: Vec<_> = link.shares().into_iter().map(Prefetch::new).collect();
        // Looked at besides the deliveries: while nobody asks for messages, only this tells.
        let lost = link.lost();
        tokio::pin!(lost);
        loop {
            let (room, taken) = tokio::select! {
                command = self.inbox.recv() => return match command {
                    Some(Command::Stop(done)) => {
                        let given_back = give_back(&self.shared.receipts, link, asides, done);
                        // What is left over goes back with the connection.
                        let _ = time::timeout(GIVE_BACK_WITHIN, given_back).await;
                        stopped(&self.shared, &mut self.inbox, link).await
                    }
                    Some(Command::Finish(done)) => End::Finished(Some(done)),
                    None => End::Finished(None),
                },
                () = self.shared.stopping.requested() => return End::Finished(None),
                receipt = asides.next() => {
                    self.shared.receipts.ack(receipt);
                    continue;
                }
                lost = &mut lost => return End::Lost(lost),
                taken = next(&self.hand_over, link) => match taken {
                    Some((room, Ok(taken))) => (room, taken),
                    Some((_, Err(lost))) => return End::Lost(lost),
                    None => return End::Finished(None),
                },
            };
            let Taken { kind, lane, delivery } = taken;
            let bytes = delivery.data.len();
            let kept = match H::KEPT {
                Kept::Nothing => None,
                Kept::Properties => Some(Box::new(delivery.properties.clone())),
            };
            let receipts = &self.shared.receipts;
            let receipt = receipts.issue(link.settling(), lane, delivery.delivery_tag, kept);
            match self.handler.receive(&self.shared, kind, delivery, receipt) {
                Received::Aside(job) => asides.push(receipt, job),
                Received::HandOut { item, dispatches } => {
                    room.send(Handed { item, receipt, void: Arc::clone(void) });
                    let Some(dispatches) = dispatches else { continue };
                    let now = link.prefetch(lane);
                    if let Some(prefetch) = prefetches[lane].look(dispatches, bytes, now)
                        && let Err(lost) = link.set_prefetch(lane, prefetch).await
                    {
                        return End::Lost(lost);
                    }
                }
            }
        }
    }
}

/// Takes no more, and gives back what was not handed over.
async fn give_back<K: Copy>(
    receipts: &Receipts,
    link: &mut Link<K>,
    asides: Asides,
    done: oneshot::Sender<()>,
) {
    for (lane, delivery) in link.cancel().await {
        let receipt = receipts.issue(link.settling(), lane, delivery.delivery_tag, None);
        receipts.give_back(receipt);
    }
    for receipt in asides.receipts {
        receipts.give_back(receipt);
    }
    // Whoever asked may be gone.
    let _ = done.send(());
}

/// Waits for the end of a consumer that takes no more.
async fn stopped<K: Copy>(
    shared: &Shared,
    inbox: &mut mpsc::Receiver<Command>,
    link: &Link<K>,
) -> End {
    tokio::select! {
        command = inbox.recv() => match command {
            Some(Command::Stop(done) | Command::Finish(done)) => End::Finished(Some(done)),
            None => End::Finished(None),
        },
        () = shared.stopping.requested() => End::Finished(None),
        // Made anew it would take messages again.
        _ = link.lost() => End::Finished(None),
    }
}

async fn open<H: Handler>(shared: &Shared) -> Result<Link<H::Kind>, ConnectError> {
    let Shared { target, names, .. } = shared;
    let connection = connection::open_declared(target, names, H::NAME).await?;
    let groups = H::groups(shared, &connection).await?;
    Link::open(shared, connection, groups).await
}

/// Room for one more, then one more: what is taken from the connection is handed over at once. None if nobody takes
/// any more.
async fn next<'a, T, K: Copy>(
    hand_over: &'a mpsc::Sender<Handed<T>>,
    link: &mut Link<K>,
) -> Option<(mpsc::Permit<'a, Handed<T>>, Result<Taken<K>, Lost>)> {
    let room = hand_over.reserve().await.ok()?;
    Some((room, link.next().await))
}

/// What goes elsewhere, and its receipts.
#[derive(Default)]
struct Asides {
    jobs: FuturesUnordered<BoxFuture<'static, u64>>,
    receipts: std::collections::HashSet<u64>,
}

impl Asides {
    fn push(&mut self, receipt: u64, job: BoxFuture<'static, ()>) {
        self.receipts.insert(receipt);
        self.jobs.push(Box::pin(async move {
            job.await;
            receipt
        }));
    }

    /// The next that is done; never if there is none.
    async fn next(&mut self) -> u64 {
        match self.jobs.next().await {
            Some(receipt) => {
                self.receipts.remove(&receipt);
                receipt
            }
            None => std::future::pending().await,
        }
    }
}
