//! Consumers: their acks, how much they hold, shards.

use super::*;

#[tokio::test]
async fn acks_count_once_the_consumer_is_finished_whatever_their_order() {
    const COUNT: u32 = 1_200;
    let running = Running::start(fresh_settings()).await;
    // A message each.
    for numbers in (0..COUNT).collect::<Vec<_>>().chunks(100) {
        let each = numbers.iter().map(|number| publish_singly(&running, *number));
        futures_util::future::join_all(each).await;
    }
    let mut consumer = running.consumer().await;
    let mut held = Vec::new();
    while held.len() < COUNT as usize {
        held.push(next(&mut *consumer).await);
    }
    consumer.stop().await;
    // Every other one: none is next to another.
    let (odd, even): (Vec<_>, Vec<_>) =
        held.into_iter().enumerate().partition(|(place, _)| place % 2 == 1);
    for (_, message) in &odd {
        running.broker.ack(message.receipt);
    }
    consumer.finish().await;

    let mut consumer = running.consumer().await;
    let even = even.iter().flat_map(|(_, message)| numbers(message)).collect();
    take_all(&running, &mut *consumer, even).await;
    // What it fetched besides would be back in the queue then.
    consumer.stop().await;
    consumer.finish().await;
    depth_becomes(&running, |depth| depth == Depth::default()).await;
}

/// A message of its own for each: bundles are made of what waits together.
async fn publish_singly(running: &Running, number: u32) {
    let shared = &running.broker.shared;
    let text = ringback_core::dispatch::encode(&dispatch_of(number));
    let message = crate::rabbitmq::message::Outgoing::bundle(
        &shared.names.dispatch(),
        "0",
        "x",
        &[text.as_str()],
    );
    shared.publisher.publish_ready(message).await.expect("published");
}

#[tokio::test]
async fn dropped_consumer_gives_back_what_it_holds() {
    let running = Running::start(fresh_settings()).await;
    publish(&running, [1]).await;
    publish(&running, [2]).await;
    let mut one = running.consumer().await;
    let first = next(&mut *one).await;
    running.broker.ack(first.receipt);
    drop(one);
    let mut another = running.consumer().await;
    let came = next(&mut *another).await;
    assert!(numbers(&came) != numbers(&first), "it was acked");
}

#[tokio::test]
async fn many_producers_share_bundles_and_shards() {
    let settings = sharded(fresh_settings(), 3);
    let running = Running::start(settings.clone()).await;
    let all = (0..2_000).map(|number| publish(&running, [number]));
    futures_util::future::join_all(all).await;
    let waiting = running.broker.depth().await.expect("asked").fresh;
    assert!(waiting <= 2_000 / 32, "{waiting} messages");
    let one_each = (2_000..2_200).map(|number| publish_hashed(&running, number));
    futures_util::future::join_all(one_each).await;
    let queues = crate::rabbitmq::facts::facts(&settings).await.expect("asked").queues;
    let shards = queues.iter().filter(|queue| queue.name.contains(".dispatch."));
    let counts: Vec<_> = shards.map(|queue| queue.found.expect("it is there").messages).collect();
    assert_eq!(counts.len(), 3);
    assert!(counts.iter().all(|count| *count >= 30), "{counts:?}");

    // Fewer shards from now on: what is in the others is taken all the same.
    let mut fewer = Running::start(sharded(settings, 1)).await;
    publish(&fewer, [5_000]).await;
    let mut consumer = fewer.consumer().await;
    take_all(&fewer, &mut *consumer, (0..2_200).chain([5_000]).collect()).await;
    fewer.stop().await;
}

async fn publish_hashed(running: &Running, number: u32) {
    let shared = &running.broker.shared;
    let text = ringback_core::dispatch::encode(&dispatch_of(number));
    let id = shared.publisher.id();
    let exchange = shared.names.dispatch();
    let message = crate::rabbitmq::message::Outgoing::bundle(&exchange, &id, &id, &[text.as_str()]);
    shared.publisher.publish_ready(message).await.expect("published");
}

#[tokio::test]
async fn waiting_for_a_message_can_be_given_up_at_any_moment() {
    let running = Running::start(fresh_settings()).await;
    let mut consumer = running.consumer().await;
    let mut missing: BTreeSet<u32> = (0..300).collect();
    let (publishing, taking) = (publish_each(&running, 300), async {
        while !missing.is_empty() {
            // Mostly shorter than a message takes to come.
            let taken = tokio::time::timeout(Duration::from_micros(300), consumer.next()).await;
            let Ok(Some(message)) = taken else { continue };
            for number in numbers(&message) {
                assert!(missing.remove(&number), "{number} came twice");
            }
            running.broker.ack(message.receipt);
        }
    });
    let both = async { tokio::join!(publishing, taking) };
    tokio::time::timeout(2 * SOON, both).await.expect("none is lost");
}

async fn publish_each(running: &Running, count: u32) {
    for number in 0..count {
        publish(running, [number]).await;
    }
}
