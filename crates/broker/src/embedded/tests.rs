//! The embedded queue under the conformance suite, and what only it promises: a bounded memory, a full disk, poison.

#![expect(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

use std::path::Path;
use std::time::Duration;

use ringback_testkit::ManualClock;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::conformance::{self, Harness, dispatch_of, numbers};

const SOON: Duration = Duration::from_secs(10);

/// Room for next to nothing: most of what waits is on disk only.
pub(super) fn little_room() -> Room {
    Room { lane_max: buffer::Size { dispatches: 8, bytes: 64 * 1024 }, read_max: 3 }
}

/// A queue with the tasks it needs.
pub(super) struct Running {
    pub database: Arc<Database>,
    pub broker: Arc<Embedded>,
    feeder: (Shutdown, JoinHandle<Result<(), Error>>),
    writer: (Shutdown, JoinHandle<Result<(), ringback_sqlite::Error>>),
}

impl Running {
    pub(super) async fn start(directory: &Path, clock: &ManualClock, room: Room) -> Self {
        let database = Database::open(directory).await.expect("opened");
        let clock = Arc::new(clock.clone());
        let opened = Embedded::open_with(Arc::clone(&database), clock, room).await;
        let broker = opened.expect("set up");
        let (feeding, writing) = (Shutdown::new(), Shutdown::new());
        let feeder = tokio::spawn(Arc::clone(&broker).run(feeding.clone()));
        let writer = tokio::spawn(Arc::clone(&database).run_writer(writing.clone()));
        Self { database, broker, feeder: (feeding, feeder), writer: (writing, writer) }
    }

    pub(super) async fn stop(self) {
        let Self { database, broker, feeder, writer } = self;
        feeder.0.request();
        feeder.1.await.expect("no panic").expect("stopped");
        writer.0.request();
        writer.1.await.expect("no panic").expect("stopped");
        drop((broker, database));
    }

    async fn consumer(&self) -> Box<dyn Consumer> {
        self.broker.consume().await.expect("always")
    }
}

struct EmbeddedHarness {
    directory: TempDir,
    clock: ManualClock,
    room: Room,
    running: Option<Running>,
}

impl EmbeddedHarness {
    async fn new(room: Room) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::default();
        let running = Some(Running::start(directory.path(), &clock, room).await);
        Self { directory, clock, room, running }
    }
}

#[async_trait]
impl Harness for EmbeddedHarness {
    fn broker(&self) -> Arc<dyn Broker> {
        let running = self.running.as_ref().expect("it was started");
        Arc::clone(&running.broker) as Arc<dyn Broker>
    }

    async fn stop(&mut self) {
        self.running.take().expect("it was started").stop().await;
    }

    async fn start(&mut self) {
        self.running = Some(Running::start(self.directory.path(), &self.clock, self.room).await);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[tokio::test]
async fn embedded_queue_keeps_the_promises_of_the_port() {
    conformance::run(|| EmbeddedHarness::new(Room::default()), 1).await;
}

#[tokio::test]
async fn embedded_queue_keeps_them_with_little_memory() {
    conformance::run(|| EmbeddedHarness::new(little_room()), 1).await;
}

#[tokio::test]
async fn producers_that_publish_together_share_bundles() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path(), &ManualClock::default(), Room::default()).await;
    let publishes: Vec<_> = (0..64)
        .map(|number| {
            let broker = Arc::clone(&running.broker);
            tokio::spawn(async move { broker.publish(vec![dispatch_of(number)]).await })
        })
        .collect();
    for publish in publishes {
        publish.await.expect("no panic").expect("published");
    }
    let messages = running.broker.depth().await.expect("asked").fresh;
    assert!(messages <= 3, "64 dispatches in {messages} messages");
}

#[tokio::test]
async fn backlog_stays_on_disk_and_comes_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path(), &ManualClock::default(), little_room()).await;
    let bound = 2 * little_room().lane_max.dispatches;
    for number in 0..200 {
        running.broker.publish(vec![dispatch_of(number)]).await.expect("published");
    }
    let mut consumer = running.consumer().await;
    for number in 0..200 {
        let message = next(&mut *consumer).await;
        assert_eq!(numbers(&message), [number]);
        assert!(!message.redelivered);
        let in_memory = running.broker.shared.lock().in_memory().dispatches;
        assert!(in_memory <= bound, "{in_memory} dispatches in memory");
    }
}

#[tokio::test]
async fn full_disk_refuses_publishes_until_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::default();
    let running = Running::start(directory.path(), &clock, Room::default()).await;
    let mut confirmed = 0;
    limit_pages(&running, 60).await;
    let refused = loop {
        let batch = (confirmed..confirmed + 50).map(dispatch_of).collect();
        match running.broker.publish(batch).await {
            Ok(()) => confirmed += 50,
            Err(refused) => break refused,
        }
        assert!(confirmed < 100_000, "60 pages don't hold that many");
    };
    assert!(matches!(refused, PublishError::Full(_)), "{refused:?}");
    assert!(running.broker.ready().await.is_err(), "the disk is full");

    limit_pages(&running, 1_000_000).await;
    running.broker.publish(vec![dispatch_of(1_000_000)]).await.expect("there is room again");
    running.broker.ready().await.expect("there is room again");
    running.stop().await;

    let running = Running::start(directory.path(), &clock, Room::default()).await;
    let mut consumer = running.consumer().await;
    let mut came = Vec::new();
    while came.last() != Some(&1_000_000) {
        came.extend(numbers(&next(&mut *consumer).await));
    }
    assert_eq!(came, (0..confirmed).chain([1_000_000]).collect::<Vec<_>>());
}

#[tokio::test]
async fn ack_that_could_not_be_written_is_tried_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::default();
    let running = Running::start(directory.path(), &clock, Room::default()).await;
    running.broker.publish(vec![dispatch_of(1)]).await.expect("published");
    let mut consumer = running.consumer().await;
    let message = next(&mut *consumer).await;
    raw(&running, "ALTER TABLE message RENAME TO away").await;
    running.broker.ack(message.receipt);
    let refused = running.broker.publish(vec![dispatch_of(2)]).await;
    assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
    raw(&running, "ALTER TABLE away RENAME TO message").await;
    running.broker.publish(vec![dispatch_of(3)]).await.expect("published");
    running.stop().await;

    let running = Running::start(directory.path(), &clock, Room::default()).await;
    let mut consumer = running.consumer().await;
    assert_eq!(numbers(&next(&mut *consumer).await), [3]);
    assert_eq!(running.broker.depth().await.expect("asked").fresh, 1);
}

#[tokio::test]
async fn message_that_cannot_be_read_is_set_aside_and_not_in_the_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::default();
    let running = Running::start(directory.path(), &clock, Room::default()).await;
    running.broker.publish(vec![dispatch_of(1)]).await.expect("published");
    raw(&running, "INSERT INTO message VALUES (1000, NULL, 5, '{\"v\":99}')").await;
    raw(&running, "INSERT INTO message VALUES (1001, 5, 5, 'nonsense')").await;
    running.stop().await;

    let running = Running::start(directory.path(), &clock, Room::default()).await;
    running.broker.publish(vec![dispatch_of(2)]).await.expect("published");
    let mut consumer = running.consumer().await;
    assert_eq!(numbers(&next(&mut *consumer).await), [1]);
    assert_eq!(numbers(&next(&mut *consumer).await), [2]);
    // They are set aside when their turn comes, which may be after the two that can be read.
    let both_set_aside = async {
        while running.broker.depth().await.expect("asked").poison < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        message = consumer.next() => unreachable!("nothing else can be read: {message:?}"),
        set_aside = tokio::time::timeout(SOON, both_set_aside) => set_aside.expect("in time"),
    }
    let depth = running.broker.depth().await.expect("asked");
    assert_eq!((depth.fresh, depth.returned, depth.poison), (2, 0, 2));
    running.stop().await;

    let running = Running::start(directory.path(), &clock, Room::default()).await;
    let poison: Vec<(String, String)> =
        sqlx::query_as("SELECT payload, reason FROM poison ORDER BY payload")
            .fetch_all(running.database.readers())
            .await
            .expect("read");
    assert_eq!(poison[0].0, "nonsense");
    assert!(poison[1].1.contains("version 99"), "{poison:?}");
    let depth = running.broker.depth().await.expect("asked");
    assert_eq!((depth.fresh, depth.returned, depth.poison), (2, 0, 2));
}

#[tokio::test]
async fn publish_after_the_writer_stopped_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path(), &ManualClock::default(), Room::default()).await;
    let broker = Arc::clone(&running.broker);
    running.stop().await;
    let refused = broker.publish(vec![dispatch_of(1)]).await;
    assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
    assert!(broker.ready().await.is_err());
}

#[test]
fn due_time_is_rounded_up_and_never_down() {
    let now = Timestamp::from_ms(1_005);
    for (due, kept) in [(0, 1_005), (1_005, 1_005), (1_006, 1_020), (1_020, 1_020), (1_021, 1_040)]
    {
        assert_eq!(kept_due(Timestamp::from_ms(due), now), Timestamp::from_ms(kept), "{due}");
    }
    let end = Timestamp::from_ms(i64::MAX);
    assert_eq!(kept_due(end, now), end);
}

async fn next(consumer: &mut dyn Consumer) -> Message {
    let message = tokio::time::timeout(SOON, consumer.next()).await;
    message.expect("a message comes in time").expect("no shutdown")
}

async fn limit_pages(running: &Running, pages: u32) {
    running.database.limit_pages(pages).await.expect("it is valid");
}

async fn raw(running: &Running, sql: impl sqlx::SqlSafeStr) {
    let mut connection = running.database.writer().await;
    sqlx::raw_sql(sql).execute(&mut *connection).await.expect("it is valid");
}
