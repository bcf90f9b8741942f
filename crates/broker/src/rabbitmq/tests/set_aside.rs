//! What can't be read, comes back again and again, or finds no queue.

use super::*;
use crate::rabbitmq::rejected::{self, Shelf};

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_not_in_the_way() {
    let running = Running::start(fresh_settings()).await;
    let (_connection, channel) = channel(&running.settings).await;
    let prefix = &running.settings.prefix;
    let properties = BasicProperties::default()
        .with_message_id("m-1".into())
        .with_expiration("1".into())
        .with_delivery_mode(2);
    let dispatch = format!("{prefix}.v1.dispatch");
    put(&channel, (&dispatch, "0"), (b"nonsense", Default::default())).await;
    put(&channel, (&dispatch, "0"), (b"\xff\xfe", Default::default())).await;
    put(&channel, (&dispatch, "0"), (b"", Default::default())).await;
    // It would expire where it is set aside, if it were set aside as it came in this.
    let mut consumer = running.consumer().await;
    put(&channel, (&format!("{prefix}.v1.delay.out"), "returned"), (b"{\"v\":99}", properties))
        .await;
    publish(&running, [1]).await;
    assert_eq!(numbers(&next(&mut *consumer).await), [1]);
    depth_becomes(&running, |depth| depth.poison >= 3).await;

    let shown = rejected::list(&running.settings, Shelf::Poison, 10).await.expect("asked");
    let found = shown.iter().find(|one| one.body == b"nonsense").expect("it is there");
    assert_eq!((found.reason.as_str(), found.routing_key.as_str()), ("unreadable", "0"));
    assert!(found.detail.contains("dispatch 0"), "{found:?}");
}

#[tokio::test]
async fn what_was_set_aside_can_be_put_in_again() {
    let running = Running::start(fresh_settings()).await;
    let (_connection, channel) = channel(&running.settings).await;
    let poison = format!("{}.v1.poison", running.settings.prefix);
    let text = ringback_core::dispatch::encode(&dispatch_of(7));
    put(&channel, (&poison, ""), (text.as_bytes(), Default::default())).await;
    put(&channel, (&poison, ""), (b"nonsense", Default::default())).await;

    for _ in 0..30 {
        let shown = rejected::list(&running.settings, Shelf::Poison, 10).await.expect("asked");
        assert_eq!(shown.len(), 2, "looking takes nothing away, however often");
        assert_eq!(shown[0].body, text.as_bytes(), "nor changes the order");
    }
    let done = rejected::requeue(&running.settings, Shelf::Poison, 1).await.expect("done");
    assert_eq!(done, 1);
    let mut consumer = running.consumer().await;
    assert_eq!(numbers(&next(&mut *consumer).await), [7]);
    let done = rejected::drop(&running.settings, Shelf::Poison, 10).await.expect("done");
    assert_eq!(done, 1);
    depth_becomes(&running, |depth| depth.poison == 0).await;
}

#[tokio::test]
async fn what_comes_back_too_often_is_set_aside() {
    let running = Running::start(fresh_settings()).await;
    publish(&running, [1]).await;
    let (_connection, channel) = channel(&running.settings).await;
    let queue = format!("{}.v1.dispatch.0", running.settings.prefix);
    let mut times = 0;
    eventually("poison", async || {
        let got = channel.basic_get(queue.as_str().into(), Default::default()).await;
        if let Some(message) = got.expect("asked") {
            times += 1;
            let options = lapin::options::BasicNackOptions { requeue: true, multiple: false };
            message.delivery.acker.nack(options).await.expect("given back");
        }
        running.broker.depth().await.expect("asked").poison == 1
    })
    .await;
    assert_eq!(times, 21);
    let shown = rejected::list(&running.settings, Shelf::Poison, 1).await.expect("asked");
    assert_eq!(shown[0].reason, "delivery_limit");
}

#[tokio::test]
async fn bundle_that_comes_back_again_and_again_is_taken_apart() {
    let running = Running::start(fresh_settings()).await;
    publish(&running, [1, 2, 3]).await;
    let due = SystemClock.now();
    publish_after(&running, [(4, due), (5, due)]).await;
    let mut together = 0;
    for round in 0..10 {
        let mut consumer = running.consumer().await;
        let message = next(&mut *consumer).await;
        if message.dispatches.len() == 1 {
            assert!(round >= 3, "it came back {round} times");
            break;
        }
        together += 1;
        // Its worker dies.
        drop(consumer);
    }
    assert!((3..=9).contains(&together), "{together}");
    let mut consumer = running.consumer().await;
    let mut missing = BTreeSet::from([1, 2, 3, 4, 5]);
    while !missing.is_empty() {
        let message = next(&mut *consumer).await;
        if message.dispatches.len() == 1 {
            let novelty = message.dispatches[0].novelty;
            assert_eq!(novelty, ringback_core::dispatch::Novelty::PerhapsRepeated);
        }
        for number in numbers(&message) {
            missing.remove(&number);
        }
        running.broker.ack(message.receipt);
    }
    depth_becomes(&running, |depth| depth == Depth::default()).await;
}

#[tokio::test]
async fn what_finds_no_queue_is_put_back() {
    let running = Running::start(fresh_settings()).await;
    let (_connection, channel) = channel(&running.settings).await;
    let name = |name: &str| format!("{}.v1.{name}", running.settings.prefix);
    let mut idle = running.consumer().await;
    publish(&running, [0]).await;
    take_all(&running, &mut *idle, BTreeSet::from([0])).await;
    idle.stop().await;
    idle.finish().await;

    // An operator deletes queues: all that is published meanwhile is confirmed.
    for queue in ["dispatch.0", "returned", "delay.00", "delay.02"] {
        delete_queue(&channel, &name(queue)).await;
    }
    publish(&running, [1, 2]).await;
    let now = SystemClock.now();
    publish_after(&running, [(3, now), (4, now + Duration::from_millis(200))]).await;
    publish_after(&running, [(5, now + Duration::from_millis(1_200))]).await;

    // Whoever connects declares them anew, and what is in `unrouted` goes where it was to go.
    let mut consumer = running.consumer().await;
    take_all(&running, &mut *consumer, (1..=5).collect()).await;
    assert_eq!(topology::verify(&running.settings).await.expect("asked"), []);

    // While consumers are there, too.
    delete_queue(&channel, &name("delay.03")).await;
    publish_after(&running, [(6, SystemClock.now() + Duration::from_millis(2_100))]).await;
    take_all(&running, &mut *consumer, BTreeSet::from([6])).await;
    assert_eq!(topology::verify(&running.settings).await.expect("asked"), []);
}
