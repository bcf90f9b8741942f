//! The task of a consumer: connect, take, hand over, and all of it again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use super::{Command, Handed, Handler, Kept, Received};
use crate::rabbitmq::error::{ConnectError, Lost};
use crate::rabbitmq::link::{Link, Taken};
use crate::rabbitmq::prefetch::Prefetch;
use crate::rabbitmq::retry::Retry;
use crate::rabbitmq::settle::Receipts;
use crate::rabbitmq::{Shared, connection};

/// A server that does not answer must not hold up a process that stops.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(3);

/// The task of one consumer.
pub(super) struct Task<H: Handler> {
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
    pub(super) fn new(
        shared: Arc<Shared>,
        handler: H,
        hand_over: mpsc::Sender<Handed<H::Item>>,
        inbox: mpsc::Receiver<Command>,
    ) -> Self {
        Self { shared, handler, hand_over, inbox, retry: Retry::new(H::NAME) }
    }

    /// Runs until the consumer is finished, or nobody has it any more.
    pub(super) async fn run(mut self) {
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
    receipts: HashSet<u64>,
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
