//! What the port promises, a sentence a function. Every adapter runs [`run`].

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{self, StreamExt as _};
use ringback_core::dispatch::{self, BUNDLE_LEN_MAX, Novelty};
use ringback_core::{CallbackId, Dispatch, EventId, Target, Targets, Timestamp};

use crate::{Broker, Consumer, Delayed, Depth, Message};

/// A queue under test, empty when it is made.
#[async_trait]
pub trait Harness: Send {
    /// The queue.
    fn broker(&self) -> Arc<dyn Broker>;

    /// Shuts the queue down in good order: consumers are told that there is nothing more, and acks take effect.
    async fn stop(&mut self);

    /// Opens the queue again after [`stop`](Self::stop). The old [`broker`](Self::broker) is of no use any more.
    async fn start(&mut self);

    /// The time by the queue's clock.
    fn now(&self) -> Timestamp;

    /// Moves the queue's clock on, or waits if it is that of the system.
    async fn advance(&self, by: Duration);

    /// Delays that differ by this end one after the other.
    fn step(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// By so many steps more or less, a delay ends where it has to.
    fn tolerance(&self) -> u32 {
        0
    }

    /// What the depth counts.
    fn counted(&self) -> Counted {
        Counted::Unacked
    }
}

/// What the depth of a queue counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All that is not acked, and it knows the age of the oldest.
    Unacked,
    /// What is not handed out.
    Waiting,
}

/// What should come comes within this.
const SOON: Duration = Duration::from_secs(10);

/// So much later than due is not late: queues round up.
const LATE: Duration = Duration::from_millis(30);

/// Runs the whole suite, each sentence on a queue of its own, so many at once.
///
/// # Panics
/// If the adapter breaks a promise.
pub async fn run<H, F>(make: impl Fn() -> F, at_once: usize)
where
    H: Harness,
    F: Future<Output = H>,
{
    stream::iter(sentences(&make)).for_each_concurrent(at_once, |sentence| sentence).await;
}

/// All that the port promises.
fn sentences<'a, H, F>(make: &'a impl Fn() -> F) -> Vec<LocalBoxFuture<'a, ()>>
where
    H: Harness + 'a,
    F: Future<Output = H> + 'a,
{
    macro_rules! boxed {
        ($($sentence:ident)*) => {
            vec![$(async { $sentence(make().await).await }.boxed_local()),*]
        };
    }
    boxed![
        published_is_consumed_to_the_letter
        acked_does_not_come_again
        unacked_comes_again_after_its_consumer_is_gone
        confirmed_survives_a_restart
        delayed_comes_when_due_and_never_early
        long_delay_does_not_hold_up_a_short_one
        delayed_survives_a_restart
        time_gone_by_means_now
        lanes_are_served_in_turn
        several_consumers_share_without_doubles
        many_and_large_dispatches_come_in_bounded_bundles
        depth_counts_what_waits
        waiting_consumer_is_woken
        stopped_consumer_gives_back_what_it_did_not_hand_out
        consumer_is_told_of_the_shutdown
    ]
}

/// A dispatch comes out as it went in.
async fn published_is_consumed_to_the_letter(harness: impl Harness) {
    let broker = harness.broker();
    broker.ready().await.expect("the queue is up");
    let mut sent = dispatch_of(1);
    let callback = CallbackId::from_parts(Timestamp::EPOCH, [7; 10]);
    sent.targets = Targets::These(vec![Target::first(callback).next_attempt().deferred()]);
    sent.novelty = Novelty::PerhapsRepeated;
    broker.publish(vec![sent.clone()]).await.expect("published");
    broker.publish(Vec::new()).await.expect("nothing is easily published");

    let message = next(&mut *consumer(&broker).await).await;
    assert_eq!(message.dispatches.len(), 1);
    assert_eq!(dispatch::encode(&message.dispatches[0]), dispatch::encode(&sent));
    assert!(!message.redelivered, "nobody had it before");
}

/// An acked message is not handed out again.
async fn acked_does_not_come_again(mut harness: impl Harness) {
    let broker = harness.broker();
    for number in 1..=3 {
        publish(&broker, &[number]).await;
    }
    let mut one = consumer(&broker).await;
    let mut left = BTreeSet::from([1, 2, 3]);
    for _ in 0..2 {
        let message = next(&mut *one).await;
        for number in numbers(&message) {
            assert!(left.remove(&number), "{number} came twice");
        }
        broker.ack(message.receipt);
        broker.ack(message.receipt);
    }
    drop(one);
    drop(broker);
    harness.stop().await;
    harness.start().await;

    let broker = harness.broker();
    let mut another = consumer(&broker).await;
    while !left.is_empty() {
        for number in numbers(&next(&mut *another).await) {
            assert!(left.remove(&number), "{number} came again");
        }
    }
    publish(&broker, &[9]).await;
    assert_eq!(numbers(&next(&mut *another).await), [9]);
}

/// A message that was handed out and not acked is handed out again after its consumer is gone, marked.
async fn unacked_comes_again_after_its_consumer_is_gone(harness: impl Harness) {
    let broker = harness.broker();
    publish(&broker, &[1]).await;
    let now = harness.now();
    publish_after(&broker, &[(2, now)]).await;
    let mut one = consumer(&broker).await;
    let taken = [next(&mut *one).await, next(&mut *one).await];
    assert_eq!(all_numbers(&taken), [1, 2]);
    one.stop().await;
    let mut another = consumer(&broker).await;
    publish(&broker, &[3]).await;
    assert_eq!(numbers(&next(&mut *another).await), [3], "one has the others");

    drop(one);
    let again = [next(&mut *another).await, next(&mut *another).await];
    assert_eq!(all_numbers(&again), [1, 2]);
    assert!(again.iter().all(|message| message.redelivered));
}

/// What was confirmed survives, whether it was handed out or not.
async fn confirmed_survives_a_restart(mut harness: impl Harness) {
    let broker = harness.broker();
    publish(&broker, &[1]).await;
    publish(&broker, &[2]).await;
    let mut one = consumer(&broker).await;
    let handed_out = numbers(&next(&mut *one).await);
    drop(one);
    drop(broker);
    harness.stop().await;
    harness.start().await;

    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    let mut came = Vec::new();
    while came.len() < 2 {
        let message = next(&mut *consumer).await;
        let before = numbers(&message).iter().any(|number| handed_out.contains(number));
        assert!(message.redelivered || !before, "it was handed out before");
        came.extend(numbers(&message));
    }
    came.sort_unstable();
    assert_eq!(came, [1, 2]);
}

/// A delayed dispatch is not handed out before its time, and is then.
async fn delayed_comes_when_due_and_never_early(harness: impl Harness) {
    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    let due = harness.now() + harness.step() * 10 + Duration::from_millis(10);
    publish_after(&broker, &[(1, due)]).await;
    for number in [2, 3] {
        publish(&broker, &[number]).await;
        assert_eq!(numbers(&next(&mut *consumer).await), [number], "the other is not due");
        harness.advance(harness.step() * 4).await;
    }
    harness.advance(due.since(harness.now()) + LATE).await;
    let message = next(&mut *consumer).await;
    assert!(harness.now() >= due);
    assert_eq!(numbers(&message), [1]);
    assert!(!message.redelivered, "waiting is not having been handed out");
}

/// Delays of all lengths, published longest first, end in the order of their ends.
async fn long_delay_does_not_hold_up_a_short_one(harness: impl Harness) {
    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    // Publishing takes a while, too.
    let head_start = harness.step() * 4;
    let begin = harness.now() + head_start;
    let after = |step: u32| begin + harness.step() * step;
    for step in (1..=8).rev() {
        publish_after(&broker, &[(step, after(step))]).await;
    }
    publish_after(&broker, &[(9, begin + Duration::from_secs(7 * 24 * 60 * 60))]).await;
    harness.advance(head_start).await;
    let mut came = BTreeSet::new();
    for step in 1..=8 {
        harness.advance(harness.step() + Duration::from_millis(20)).await;
        let message = next(&mut *consumer).await;
        for number in numbers(&message) {
            assert!(harness.now() >= after(number));
            assert!(number.abs_diff(step) <= harness.tolerance(), "{number} in place of {step}");
            assert!(came.insert(number), "{number} came twice");
        }
        broker.ack(message.receipt);
    }
    assert_eq!(came, (1..=8).collect());
}

/// A delay goes on over a restart.
async fn delayed_survives_a_restart(mut harness: impl Harness) {
    let broker = harness.broker();
    let due = harness.now() + harness.step() * 15;
    publish_after(&broker, &[(1, due)]).await;
    drop(broker);
    harness.stop().await;
    harness.start().await;

    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    publish(&broker, &[2]).await;
    assert_eq!(numbers(&next(&mut *consumer).await), [2], "the other is not due");
    harness.advance(due.since(harness.now()) + LATE).await;
    assert_eq!(numbers(&next(&mut *consumer).await), [1]);
    assert!(harness.now() >= due);
}

/// A due time in the past means now.
async fn time_gone_by_means_now(harness: impl Harness) {
    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    let past = harness.now() - Duration::from_secs(3_600);
    publish_after(&broker, &[(1, past), (2, Timestamp::EPOCH)]).await;
    let mut came = numbers(&next(&mut *consumer).await);
    if came.len() < 2 {
        came.extend(numbers(&next(&mut *consumer).await));
    }
    came.sort_unstable();
    assert_eq!(came, [1, 2]);
}

/// A consumer gets both lanes in turn.
async fn lanes_are_served_in_turn(harness: impl Harness) {
    let broker = harness.broker();
    let now = harness.now();
    for number in 0..20 {
        publish(&broker, &[number]).await;
    }
    for number in 100..120 {
        publish_after(&broker, &[(number, now)]).await;
    }
    let mut consumer = consumer(&broker).await;
    let mut returned = 0;
    for _ in 0..12 {
        let message = next(&mut *consumer).await;
        returned += u32::from(numbers(&message)[0] >= 100);
        broker.ack(message.receipt);
    }
    assert!((3..=9).contains(&returned), "{returned} of 12 were of the returned lane");
}

/// Several consumers share the messages between them.
async fn several_consumers_share_without_doubles(harness: impl Harness) {
    let broker = harness.broker();
    for number in 0..60 {
        publish(&broker, &[number]).await;
    }
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(consumer(&broker).await);
    }
    let mut came = BTreeMap::<u32, u32>::new();
    while came.len() < 60 {
        for consumer in &mut consumers {
            // One that took much ahead may leave nothing for the others.
            let Ok(Some(message)) =
                tokio::time::timeout(Duration::from_millis(200), consumer.next()).await
            else {
                continue;
            };
            for number in numbers(&message) {
                *came.entry(number).or_default() += 1;
            }
            broker.ack(message.receipt);
        }
    }
    assert!(came.values().all(|times| *times == 1), "{came:?}");
}

/// A publish of many dispatches comes whole, in messages of at most a bundle; so does a very large dispatch.
async fn many_and_large_dispatches_come_in_bounded_bundles(harness: impl Harness) {
    let broker = harness.broker();
    let now = harness.now();
    let sent: Vec<u32> = (0..1_000).collect();
    publish(&broker, &sent).await;
    let returned: Vec<_> = (1_000..1_200).map(|number| (number, now)).collect();
    publish_after(&broker, &returned).await;
    let large = vec![large_dispatch_of(2_000), dispatch_of(2_001), large_dispatch_of(2_002)];
    broker.publish(large).await.expect("published");

    let mut consumer = consumer(&broker).await;
    let mut came = BTreeSet::new();
    let mut count = 0;
    while count < 1_203 {
        let message = next(&mut *consumer).await;
        assert!((1..=BUNDLE_LEN_MAX).contains(&message.dispatches.len()));
        count += message.dispatches.len();
        came.extend(numbers(&message));
        broker.ack(message.receipt);
    }
    let expected = (0..1_200).chain(2_000..=2_002).collect();
    assert_eq!(came, expected);
}

/// The depth counts messages by lane.
async fn depth_counts_what_waits(harness: impl Harness) {
    let broker = harness.broker();
    assert_eq!(broker.depth().await.expect("asked"), Depth::default());
    let now = harness.now();
    for number in 1..=3 {
        publish(&broker, &[number]).await;
    }
    publish_after(&broker, &[(4, now)]).await;
    publish_after(&broker, &[(5, now + Duration::from_secs(1))]).await;
    let counts = |depth: Depth| (depth.fresh, depth.returned, depth.delayed, depth.poison);
    depth_becomes(&broker, |depth| counts(depth) == (3, 1, 1, 0)).await;

    harness.advance(Duration::from_millis(1_500)).await;
    let depth = depth_becomes(&broker, |depth| counts(depth) == (3, 2, 0, 0)).await;
    let mut consumer = consumer(&broker).await;
    let mut taken = vec![next(&mut *consumer).await];
    if harness.counted() == Counted::Unacked {
        let oldest = depth.oldest_due.expect("something is due");
        assert!(oldest >= Duration::from_millis(1_500), "{oldest:?}");
        let depth = broker.depth().await.expect("asked");
        assert_eq!(depth.fresh + depth.returned, 5, "what is handed out still counts");
    }
    for _ in 0..4 {
        taken.push(next(&mut *consumer).await);
    }
    for message in taken {
        broker.ack(message.receipt);
    }
    depth_becomes(&broker, |depth| depth == Depth::default()).await;
}

/// Returns the depth once it is as expected.
async fn depth_becomes(broker: &Arc<dyn Broker>, expected: impl Fn(Depth) -> bool) -> Depth {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let depth = broker.depth().await.expect("asked");
        if expected(depth) {
            return depth;
        }
        assert!(tokio::time::Instant::now() < deadline, "it stays at {depth:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A consumer that waits is woken by a publish.
async fn waiting_consumer_is_woken(harness: impl Harness) {
    let broker = harness.broker();
    let mut consumer = consumer(&broker).await;
    let publishing = async {
        // Once it waits.
        tokio::task::yield_now().await;
        publish(&broker, &[1]).await;
    };
    let (message, ()) = tokio::join!(next(&mut *consumer), publishing);
    assert_eq!(numbers(&message), [1]);
}

/// A consumer that was stopped gives back what it did not hand out. What it did, can be acked until it is finished.
async fn stopped_consumer_gives_back_what_it_did_not_hand_out(harness: impl Harness) {
    let broker = harness.broker();
    for number in 1..=9 {
        publish(&broker, &[number]).await;
    }
    let mut one = consumer(&broker).await;
    let held = [next(&mut *one).await, next(&mut *one).await];
    one.stop().await;
    let mut another = consumer(&broker).await;
    let mut came = all_numbers(&held);
    for _ in 0..7 {
        came.extend(numbers(&next(&mut *another).await));
    }
    came.sort_unstable();
    assert_eq!(came, (1..=9).collect::<Vec<_>>());

    broker.ack(held[0].receipt);
    one.finish().await;
    let again = next(&mut *another).await;
    assert_eq!(numbers(&again), numbers(&held[1]), "the other was acked");
    assert!(again.redelivered);
}

/// After a shutdown there is no next message, whatever waits.
async fn consumer_is_told_of_the_shutdown(mut harness: impl Harness) {
    let broker = harness.broker();
    publish(&broker, &[1]).await;
    publish(&broker, &[2]).await;
    let mut busy = consumer(&broker).await;
    next(&mut *busy).await;
    let mut idle = consumer(&broker).await;
    harness.stop().await;
    for consumer in [&mut idle, &mut busy] {
        let none = tokio::time::timeout(SOON, consumer.next()).await;
        assert!(none.expect("told soon").is_none());
    }
}

async fn consumer(broker: &Arc<dyn Broker>) -> Box<dyn Consumer> {
    broker.consume().await.expect("the queue is up")
}

async fn publish(broker: &Arc<dyn Broker>, numbers: &[u32]) {
    let dispatches = numbers.iter().copied().map(dispatch_of).collect();
    broker.publish(dispatches).await.expect("published");
}

async fn publish_after(broker: &Arc<dyn Broker>, delayed: &[(u32, Timestamp)]) {
    let delayed = delayed.iter().map(|(n, due)| Delayed { due: *due, dispatch: dispatch_of(*n) });
    broker.publish_after(delayed.collect()).await.expect("published");
}

async fn next(consumer: &mut dyn Consumer) -> Message {
    let message = tokio::time::timeout(SOON, consumer.next()).await;
    message.expect("a message comes in time").expect("the queue is not shut down")
}

fn all_numbers(messages: &[Message]) -> Vec<u32> {
    let mut all: Vec<_> = messages.iter().flat_map(numbers).collect();
    all.sort_unstable();
    all
}

/// The numbers that the dispatches of a message were made with.
pub(crate) fn numbers(message: &Message) -> Vec<u32> {
    let number = |dispatch: &Dispatch| {
        let bytes = dispatch.event.id.uuid().into_bytes();
        u32::from_be_bytes(bytes[12..].try_into().expect("four bytes"))
    };
    message.dispatches.iter().map(number).collect()
}

/// A new event, told from others by its number.
pub(crate) fn dispatch_of(number: u32) -> Dispatch {
    dispatch_with(number, "{}")
}

/// One that is larger than a bundle may be.
fn large_dispatch_of(number: u32) -> Dispatch {
    dispatch_with(number, &format!(r#"{{"a":"{}"}}"#, "x".repeat(200 * 1024)))
}

fn dispatch_with(number: u32, variables: &str) -> Dispatch {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    let id = EventId::from_parts(Timestamp::from_ms(1_767_323_045_678), random);
    let line = format!(
        r#"{{"v":1,"id":"{id}","name":"E","account":"acme","time_ms":1,"accepted_ms":2,"variables":{variables}}}"#
    );
    let mut dispatches = dispatch::decode(&line).expect("written by the same rules");
    dispatches.pop().expect("one line")
}
