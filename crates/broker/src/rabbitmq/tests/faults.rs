//! What somebody has to change, and how it is told.

use ringback_testkit::servers::RabbitmqSettings;

use super::*;
use crate::rabbitmq::facts;
use crate::rabbitmq::topology::{Difference, Kind};
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

/// Says why it does not start with these settings.
async fn refusal(settings: Settings) -> ConnectError {
    match Running::try_start(settings).await {
        Ok(_) => unreachable!("it can't start with these"),
        Err(error) => error,
    }
}

fn with_url(change: impl Fn(url::Url) -> String) -> Settings {
    let url = servers::amqp_url().expect("a server is there");
    settings_at(&change(url.parse().expect("an URL")))
}

#[tokio::test]
async fn wrong_password_is_named_and_never_shown() {
    let settings = with_url(|mut url| {
        url.set_password(Some("hunter2")).expect("it can have one");
        url.into()
    });
    assert!(!format!("{settings:?}").contains("hunter2"));
    let error = refusal(settings).await;
    assert!(error.is_permanent());
    let told = format!("{} {error:?}", told(&error));
    assert!(told.contains("refused user `guest`") && told.contains("password"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn missing_virtual_host_is_named() {
    let error = refusal(with_url(|mut url| {
        url.set_path("nowhere");
        url.into()
    }))
    .await;
    let told = told(&error);
    assert!(error.is_permanent());
    assert!(told.contains("no virtual host `nowhere`") && told.contains("add_vhost"), "{told}");

    let error = refusal(with_url(|mut url| {
        url.set_path("/");
        url.into()
    }))
    .await;
    assert!(error.to_string().contains("ends in `/`"), "{error}");
}

#[tokio::test]
async fn queue_declared_otherwise_is_named_and_verified() {
    let settings = fresh_settings();
    let (connection, channel) = channel(&settings).await;
    let name = format!("{}.v1.intake", settings.prefix);
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
    declared.await.expect("declared");

    let error = refusal(settings.clone()).await;
    assert!(error.is_permanent());
    let told = told(&error);
    assert!(told.contains(&format!("`{name}` is declared otherwise")), "{told}");
    assert!(told.contains("ringback topology verify"), "{told}");

    let differences = topology::verify(&settings).await.expect("asked");
    let otherwise = |difference: &&Difference| {
        matches!(difference, Difference::DeclaredOtherwise { kind: Kind::Queue, name: its, detail }
            if *its == name && detail.starts_with("inequivalent arg"))
    };
    assert_eq!(differences.iter().filter(otherwise).count(), 1, "{differences:?}");
    topology::delete(&settings).await.expect("deleted");
    drop(connection);
}

#[tokio::test]
async fn verify_tells_what_is_missing_declared_otherwise_and_left_over() {
    let settings = sharded(fresh_settings(), 3);
    let running = Running::start(settings.clone()).await;
    publish(&running, 0..200).await;
    assert_eq!(topology::verify(&settings).await.expect("asked"), []);

    let one = sharded(settings.clone(), 1);
    let mut fewer = topology::verify(&one).await.expect("asked");
    let dispatch = format!("{}.v1.dispatch", settings.prefix);
    let missing = Difference::Missing { kind: Kind::Exchange, name: dispatch };
    assert_eq!(fewer.remove(0), missing);
    let left_over = |difference: &Difference| matches!(difference, Difference::LeftOver { .. });
    assert!(fewer.len() == 2 && fewer.iter().all(left_over), "{fewer:?}");

    let (_connection, channel) = channel(&settings).await;
    let poison = format!("{}.v1.poison", settings.prefix);
    delete_queue(&channel, &poison).await;
    channel.exchange_delete(poison.as_str().into(), Default::default()).await.expect("deleted");
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let kind = lapin::ExchangeKind::Direct;
    let declared =
        channel.exchange_declare(poison.as_str().into(), kind, options, FieldTable::default());
    declared.await.expect("declared");
    let told: Vec<_> =
        topology::verify(&settings).await.expect("asked").iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with(&format!("exchange `{poison}` is declared otherwise: ")),
        "{told:?}"
    );
    assert!(told[0].contains("type"), "{told:?}");
    assert_eq!(told[1], format!("queue `{poison}` is missing"));
}

#[tokio::test]
async fn missing_plugin_is_named_if_it_is_needed() {
    let server = RabbitmqSettings::default().without_plugins();
    let server = servers::Rabbitmq::start(server).await.expect("it is installed");
    let settings = settings_at(&server.url());
    let error = refusal(sharded(settings.clone(), 2)).await;
    assert!(error.is_permanent());
    let told = error.to_string();
    assert!(told.contains("rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"), "{told}");
    let running = Running::start(settings.clone()).await;
    publish(&running, [1]).await;
    let facts = facts::facts(&settings).await.expect("asked");
    assert!(!facts.consistent_hash);
}

#[tokio::test]
async fn server_tells_about_itself() {
    let running = Running::start(fresh_settings()).await;
    publish(&running, [1]).await;
    let facts = facts::facts(&running.settings).await.expect("asked");
    assert_eq!(facts.product, "RabbitMQ");
    assert!(facts.version.starts_with(|first: char| first.is_ascii_digit()), "{facts:?}");
    assert!(facts.consistent_hash);
    assert_eq!(facts.blocked, None);
    let shard = format!("{}.v1.dispatch.0", running.settings.prefix);
    let queue = facts.queues.iter().find(|queue| queue.name == shard).expect("it is declared");
    let found = queue.found.expect("it is there");
    assert_eq!((found.messages, found.consumers), (1, 0));

    let nothing = facts::facts(&fresh_settings()).await.expect("asked");
    assert!(nothing.queues.iter().all(|queue| queue.found.is_none()));
}

#[tokio::test]
async fn alarm_is_told() {
    let server = servers::Rabbitmq::start(RabbitmqSettings::default()).await;
    let server = server.expect("it is installed");
    server.ctl(&["set_vm_memory_high_watermark", "0"]).await.expect("it obeys");
    let facts = facts::facts(&settings_at(&server.url())).await.expect("asked");
    let reason = facts.blocked.expect("it is blocked");
    assert!(reason.contains("memory"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_no_permanent_fault() {
    let port = ringback_testkit::free_port().expect("there is one");
    let settings = settings_at(&format!("amqp://a:hush@127.0.0.1:{port}"));
    let error = topology::verify(&settings).await.expect_err("nobody is there");
    assert!(!error.is_permanent());
    let told = told(&error);
    assert!(told.contains(&format!("can't be reached at 127.0.0.1:{port}")), "{told}");
    assert!(told.contains("refused") && !told.contains("hush"), "{told}");
}
