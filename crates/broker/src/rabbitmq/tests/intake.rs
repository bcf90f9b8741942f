//! What producers publish straight.

use lapin::types::{AMQPValue, FieldTable};

use super::*;
use crate::rabbitmq::rejected::{self, Shelf};
use crate::{Incoming, Intake, IntakeConsumer, Rejection};

async fn intake(running: &Running) -> Box<dyn IntakeConsumer> {
    Intake::consume(&*running.broker).await.expect("always")
}

async fn incoming(intake: &mut dyn IntakeConsumer, count: usize) -> Vec<Incoming> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = tokio::time::timeout(SOON, intake.next(count - all.len())).await;
        let some = some.expect("they come in time");
        assert!(!some.is_empty(), "the queue is not shut down");
        all.extend(some);
    }
    all
}

fn properties(id: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString("00-1-2-01".into()));
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_message_id(id.into())
        .with_headers(headers)
        .with_user_id("guest".into())
}

#[tokio::test]
async fn events_of_producers_come_as_they_were_published() {
    let running = Running::start(fresh_settings()).await;
    let (_connection, channel) = channel(&running.settings).await;
    let events = format!("{}.events", running.settings.prefix);
    for number in 0..5 {
        let body = format!("{{\"n\":{number}}}");
        let id = format!("id-{number}");
        put(&channel, (&events, "acme.ORDER_PAID"), (body.as_bytes(), properties(&id))).await;
    }
    let mut one = intake(&running).await;
    assert!((1..=2).contains(&one.next(2).await.len()));
    // What it held and did not ack goes back, marked.
    drop(one);

    let mut another = intake(&running).await;
    let mut all = incoming(&mut *another, 5).await;
    all.sort_by_key(|incoming| incoming.body.clone());
    assert_eq!(all[3].body, b"{\"n\":3}");
    assert_eq!(all[3].content_type.as_deref(), Some("application/json"));
    assert_eq!(all[3].message_id.as_deref(), Some("id-3"));
    assert_eq!(all[3].routing_key, "acme.ORDER_PAID");
    assert!(all.iter().any(|incoming| incoming.redelivered));
    for incoming in &all[..4] {
        another.ack(incoming.receipt);
    }
    another.stop().await;
    assert!(another.next(1).await.is_empty());
    another.finish().await;

    let mut third = intake(&running).await;
    assert_eq!(incoming(&mut *third, 1).await[0].body, all[4].body);
}

#[tokio::test]
async fn what_is_rejected_is_set_aside_as_it_came() {
    let running = Running::start(fresh_settings()).await;
    let (_connection, channel) = channel(&running.settings).await;
    let settings = &running.settings;
    let events = format!("{}.events", settings.prefix);
    put(&channel, (&events, "acme.A"), (b"not JSON", properties("a"))).await;
    put(&channel, (&events, "acme.B"), (b"nor this", properties("b"))).await;
    let mut intake = intake(&running).await;
    let why = Rejection { reason: "not_json", detail: "expected value at line 1".to_owned() };
    for incoming in incoming(&mut *intake, 2).await {
        intake.reject(&incoming, &why).await.expect("set aside");
        intake.reject(&incoming, &why).await.expect("it is already");
    }

    let shown = rejected::list(settings, Shelf::Rejected, 10).await.expect("asked");
    assert_eq!(shown.len(), 2);
    assert_eq!((shown[0].reason.as_str(), shown[0].detail.as_str()), ("not_json", &*why.detail));
    assert_eq!((shown[0].routing_key.as_str(), &*shown[0].body), ("acme.A", &b"not JSON"[..]));
    assert_eq!(shown[0].message_id.as_deref(), Some("a"));
    let rejected = format!("{}.rejected", settings.prefix);
    let got = channel.basic_get(rejected.as_str().into(), Default::default()).await;
    let got = got.expect("asked").expect("it is there").delivery;
    let headers = got.properties.headers().clone().expect("it has some");
    let header = |name: &str| headers.inner().get(name).cloned();
    assert_eq!(header("traceparent"), Some(AMQPValue::LongString("00-1-2-01".into())));
    assert_eq!(header("x-ringback-reason"), Some(AMQPValue::LongString("not_json".into())));
    got.acker
        .nack(lapin::options::BasicNackOptions { requeue: true, multiple: false })
        .await
        .expect("back");

    // Put in again it comes as it first did, whichever is the first now.
    assert_eq!(rejected::requeue(settings, Shelf::Rejected, 1).await.expect("done"), 1);
    let again = incoming(&mut *intake, 1).await.remove(0);
    let first = [("acme.A", &b"not JSON"[..]), ("acme.B", &b"nor this"[..])];
    assert!(first.contains(&(again.routing_key.as_str(), &again.body)), "{again:?}");
    intake.ack(again.receipt);
    assert_eq!(rejected::drop(settings, Shelf::Rejected, 9).await.expect("done"), 1);
    assert_eq!(rejected::list(settings, Shelf::Rejected, 9).await.expect("asked"), []);
}
