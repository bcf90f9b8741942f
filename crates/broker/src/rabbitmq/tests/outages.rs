//! Servers that are killed, stopped, short of memory, or not there yet. Each test has one of its own.

use ringback_testkit::servers::RabbitmqSettings;

use super::*;

async fn server() -> servers::Rabbitmq {
    servers::Rabbitmq::start(RabbitmqSettings::default()).await.expect("it is installed")
}

#[tokio::test]
async fn killed_server_loses_nothing_of_what_waits_in_the_ladder() {
    let mut server = server().await;
    let running = Running::start(settings_at(&server.url())).await;
    let begin = SystemClock.now();
    let delays = [2, 4, 7, 15];
    let due = |number: u32| begin + Duration::from_secs(delays[number as usize % delays.len()]);
    // Some become due before the kill, some while the server is gone, some after.
    let mut expected: BTreeSet<u32> = (0..400).collect();
    let all = expected.iter().map(|number| publish_after(&running, [(*number, due(*number))]));
    futures_util::future::join_all(all).await;
    tokio::time::sleep_until(Instant::now() + due(0).since(SystemClock.now())).await;
    server.kill9().await.expect("it ran");
    server.start_again().await.expect("it starts");

    let mut consumer = running.consumer().await;
    while !expected.is_empty() {
        let message = tokio::time::timeout(Duration::from_secs(60), consumer.next()).await;
        let message = message.expect("nothing is lost").expect("no shutdown");
        for number in numbers(&message) {
            assert!(SystemClock.now() >= due(number));
            expected.remove(&number);
        }
        running.broker.ack(message.receipt);
    }
}

#[tokio::test]
async fn queue_that_was_full_takes_messages_again_once_its_limit_is_lifted() {
    let server = server().await;
    let settings =
        Settings { shards: NonZeroU16::new(2).expect("two"), ..settings_at(&server.url()) };
    let running = Running::start(settings).await;
    // One of two shards, by whose name the other queue is not meant.
    let limit = ["set_policy", "full", r"\.dispatch\.0$", r#"{"max-length": 3}"#];
    server.ctl(&limit).await.expect("it is told");
    let mut accepted = BTreeSet::new();
    let mut numbers_tried = 0..;
    let mut publish_next = async || {
        let number = numbers_tried.next().expect("no end");
        let published = try_publish(&running, [number]).await;
        if published.is_ok() {
            accepted.insert(number);
        }
        published
    };
    eventually("it refuses", async || {
        publish_next()
            .await
            .is_err_and(|error| ringback_runtime::with_causes(&error).contains("basic.nack"))
    })
    .await;
    server.ctl(&["clear_policy", "full"]).await.expect("it is told");
    // By chance all of so many are for the other shard once in a thousand million times.
    let mut in_a_row = 0;
    eventually("it takes all messages again", async || {
        in_a_row = if publish_next().await.is_ok() { in_a_row + 1 } else { 0 };
        in_a_row == 30
    })
    .await;

    let mut consumer = running.consumer().await;
    while !accepted.is_empty() {
        let message = next(&mut *consumer).await;
        for number in numbers(&message) {
            accepted.remove(&number);
        }
        running.broker.ack(message.receipt);
    }
}

#[tokio::test]
async fn publisher_and_consumer_go_on_when_the_server_is_back() {
    let mut server = server().await;
    let running = Running::start(settings_at(&server.url())).await;
    let mut consumer = running.consumer().await;
    publish(&running, [1, 2]).await;
    let held = next(&mut *consumer).await;
    publish(&running, [3]).await;

    server.kill9().await.expect("it ran");
    let begin = Instant::now();
    let refused = try_publish(&running, [4]).await.expect_err("the server is gone");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(matches!(refused, PublishError::Unavailable(_)));
    assert!(running.broker.ready().await.is_err());
    // Of a connection that is gone: it does nothing, and its message comes again.
    running.broker.ack(held.receipt);

    server.start_again().await.expect("it starts");
    eventually("publishing", async || try_publish(&running, [5]).await.is_ok()).await;
    running.broker.ready().await.expect("it is back");
    let mut missing = BTreeSet::from([1, 2, 3, 5]);
    while !missing.is_empty() {
        let message = next(&mut *consumer).await;
        for number in numbers(&message) {
            missing.remove(&number);
            assert!(message.redelivered || ![1, 2].contains(&number), "it was handed out before");
        }
        running.broker.ack(message.receipt);
    }
}

#[tokio::test]
async fn blocked_connection_refuses_at_once_and_says_why() {
    let server = server().await;
    let running = Running::start(settings_at(&server.url())).await;
    let mut consumer = running.consumer().await;
    publish(&running, [1]).await;
    server.ctl(&["set_vm_memory_high_watermark", "0"]).await.expect("it obeys");

    for number in [2, 3] {
        let begin = Instant::now();
        let refused = try_publish(&running, [number]).await.expect_err("it takes nothing");
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        let told = told(&refused);
        assert!(told.contains("memory or disk alarm"), "{told}");
    }
    assert!(running.broker.ready().await.is_err());
    // Consumers go on meanwhile, and so do their acks.
    let message = next(&mut *consumer).await;
    assert_eq!(numbers(&message), [1]);
    running.broker.ack(message.receipt);
    consumer.stop().await;
    consumer.finish().await;

    server.ctl(&["set_vm_memory_high_watermark", "0.6"]).await.expect("it obeys");
    eventually("publishing", async || try_publish(&running, [4]).await.is_ok()).await;
    // One that was refused may be there all the same.
    let mut consumer = running.consumer().await;
    let came = numbers(&next(&mut *consumer).await);
    assert!(!came.contains(&1), "it was acked");
}

#[tokio::test]
async fn server_that_does_not_answer_keeps_nobody_waiting() {
    let server = server().await;
    let running = Running::start(settings_at(&server.url())).await;
    publish(&running, [1]).await;
    server.pause().await.expect("it runs");
    for number in [2, 3] {
        let begin = Instant::now();
        try_publish(&running, [number]).await.expect_err("nobody confirms");
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }
    server.resume().await.expect("it is there");
    eventually("publishing", async || try_publish(&running, [4]).await.is_ok()).await;
}

#[tokio::test]
async fn server_that_is_not_there_yet_is_waited_for() {
    let mut server = server().await;
    server.kill9().await.expect("it ran");
    let running = Running::start(settings_at(&server.url())).await;
    let mut consumer = running.consumer().await;
    let told = told(&running.broker.ready().await.expect_err("nobody is there"));
    assert!(told.contains("can't be reached"), "{told}");
    try_publish(&running, [1]).await.expect_err("nobody is there");

    server.start_again().await.expect("it starts");
    eventually("publishing", async || try_publish(&running, [2]).await.is_ok()).await;
    assert_eq!(numbers(&next(&mut *consumer).await), [2]);
}
