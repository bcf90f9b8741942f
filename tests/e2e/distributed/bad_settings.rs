//! What is wrong with a setting or a server is said, with the setting's name, and the process ends, or waits without
//! a fuss.

use std::time::Duration;

use ringback_testkit::servers::RabbitmqSettings;
use ringback_testkit::{Launch, Receiver};

use super::cluster::{Cluster, MASTER_KEY, Node, REDIS_REFUSALS, ServerSettings, Servers, Shape};
use super::producers::Amqp;
use crate::support::{ADMIN_KEY, SOON, callback, event, eventually, text};

/// Stands for any secret in an address.
const SECRET: &str = "open-sesame";

/// Starts a process that is to end by itself with this code, and checks that it says these words, and no secret.
async fn refuses(what: &str, launch: Launch, code: i32, words: &[&str]) {
    let mut process = launch.start().expect("it starts");
    let ended = process.wait_exit(SOON).await;
    let output = process.output();
    let ended = ended.unwrap_or_else(|error| panic!("{what}: {error:#}"));
    assert_eq!(ended.code(), Some(code), "{what}: {output}");
    for word in words {
        assert!(output.contains(word), "{what}: no `{word}` in {output}");
    }
    for secret in [SECRET, MASTER_KEY, ADMIN_KEY] {
        assert!(!output.contains(secret), "{what}: {output}");
    }
}

#[tokio::test]
async fn missing_settings_exit_64_and_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = ringback_testkit::ringback_binary().expect("the binary is built");
    let all = [
        ("RINGBACK_DATABASE_URL", "postgres://ringback@127.0.0.1:1/ringback"),
        ("RINGBACK_AMQP_URL", "amqp://127.0.0.1:1"),
        ("RINGBACK_REDIS_URL", "redis://127.0.0.1:1"),
        ("RINGBACK_MASTER_KEY", MASTER_KEY),
    ];
    for role in ["ingest", "worker", "console"] {
        for (missing, _) in all {
            let launch = Launch::new(&binary, directory.path()).arg(role);
            let given = all.into_iter().filter(|(name, _)| *name != missing);
            let launch = given.fold(launch, |launch, (name, value)| launch.env(name, value));
            let setting = missing.trim_start_matches("RINGBACK_").to_lowercase();
            refuses(&format!("{role} without {setting}"), launch, 64, &[&setting]).await;
        }
    }
}

#[tokio::test]
async fn what_rabbitmq_refuses_exits_69_and_says_how_to_mend_it() {
    let settings = RabbitmqSettings::default().without_plugins();
    let settings = ServerSettings { rabbitmq: settings, ..ServerSettings::default() };
    let servers = Servers::start_with(settings).await;
    let url = servers.rabbitmq.url();
    for role in ["ingest", "worker", "console"] {
        let wrong = url.replace("guest:guest", &format!("guest:{SECRET}"));
        let launch = servers.launch(role).env("RINGBACK_AMQP_URL", wrong);
        refuses("wrong password", launch, 69, &["amqp_url"]).await;
        let elsewhere = url.replace("%2f", "elsewhere");
        let launch = servers.launch(role).env("RINGBACK_AMQP_URL", elsewhere);
        refuses("no such vhost", launch, 69, &["amqp_url", "elsewhere"]).await;
        let launch = servers.launch(role).env("RINGBACK_SHARDS", "2");
        let words = ["shards", "rabbitmq_consistent_hash_exchange", "rabbitmq-plugins enable"];
        refuses("shards without the plugin", launch, 69, &words).await;
    }

    Amqp::connect(&servers).await.declare_classic_queue("other.rejected").await;
    let launch = servers.launch("worker").env("RINGBACK_AMQP_PREFIX", "other");
    refuses("another's queue", launch, 69, &["other.rejected"]).await;
    // The right settings work beside all that.
    let node = Node::start(servers.launch("worker")).await;
    assert_eq!(node.readiness().await.status, 200);
}

#[tokio::test]
async fn what_redis_refuses_for_good_exits_69_and_what_it_refuses_for_now_does_not_matter() {
    let cluster = Cluster::start(Shape::default()).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    let servers = &cluster.servers;
    for [refuse, take_again, said] in REDIS_REFUSALS {
        servers.tell_redis(refuse);
        let sent = cluster.ingest().send(&event("COMMENT_CREATED")).await;
        assert_eq!(cluster.api().settled_delivery(&sent).await["status"], "delivered");
        let readiness = eventually("degraded worker", SOON, async || {
            let readiness = cluster.workers[0].readiness().await.expect(200);
            (readiness["status"] == "degraded").then_some(readiness)
        })
        .await;
        let told = text(&readiness["checks"]["idempotency"]);
        assert!(told.contains(said), "{refuse}: {readiness}");
        servers.tell_redis(take_again);
        eventually("worker that is ready again", SOON, async || {
            (cluster.workers[0].readiness().await.body["status"] == "ready").then_some(())
        })
        .await;
    }

    servers.tell_redis("CONFIG SET requirepass right");
    let url = servers.redis.url();
    let wrong = url.replace("redis://", &format!("redis://:{SECRET}@"));
    for (what, url) in [("no password", url), ("wrong password", wrong)] {
        let launch = servers.launch("worker").env("RINGBACK_REDIS_URL", url);
        refuses(what, launch, 69, &["redis_url"]).await;
    }
}

#[tokio::test]
async fn what_postgresql_refuses_exits_with_the_settings_name() {
    let servers = Servers::start().await;
    // The first start makes the tables.
    drop(Node::start(servers.launch("console")).await);
    let url = &servers.database_url;
    let (server, _) = url.rsplit_once('/').expect("an address with a database");

    let launch = servers.launch("worker");
    let nowhere = format!("{server}/nowhere");
    let nowhere = launch.clone().env("RINGBACK_DATABASE_URL", nowhere);
    refuses("no such database", nowhere, 69, &["database_url", "nowhere"]).await;

    servers.seal_postgres();
    let wrong = url.replace("ringback@", &format!("sealed:{SECRET}@"));
    // The server reads its configuration a moment after it was told to.
    let wrong = launch.clone().env("RINGBACK_DATABASE_URL", wrong);
    refuses("wrong password", wrong, 69, &["database_url"]).await;

    let other_key = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let other_key = launch.clone().env("RINGBACK_MASTER_KEY", other_key);
    refuses("another master key", other_key, 64, &["master_key"]).await;

    one_migration_ahead(&servers);
    refuses("a database of a newer version", launch, 1, &["newer version", "start that version"])
        .await;
}

/// Has the database look as if a newer Ringback had been at work.
pub(super) fn one_migration_ahead(servers: &Servers) {
    let table = servers.psql(
        "SELECT table_name FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name LIKE '%migration%' AND column_name = 'version'",
    );
    let newest = servers.psql(&format!("SELECT max(version) FROM {table}"));
    let newest: u64 = newest.parse().expect("a number");
    let columns = servers.psql(&format!(
        "SELECT string_agg(column_name, ', ') FROM information_schema.columns \
         WHERE table_name = '{table}' AND column_name <> 'version'"
    ));
    let next = newest + 1;
    servers.psql(&format!(
        "INSERT INTO {table} (version, {columns}) SELECT {next}, {columns} FROM {table} WHERE version = {newest}"
    ));
}

#[tokio::test]
async fn servers_that_are_away_are_waited_for_without_spinning() {
    const MEASURED: Duration = Duration::from_secs(10);
    let mut servers = Servers::start().await;
    let node = Node::start(servers.launch("worker")).await;
    assert_eq!(node.readiness().await.status, 200);
    servers.rabbitmq.kill9().await.expect("it runs");
    servers.redis.kill9().await.expect("it runs");
    servers.postgres.kill9().await.expect("it runs");
    eventually("worker that is not ready", SOON, async || {
        (node.readiness().await.status == 503).then_some(())
    })
    .await;
    let readiness = node.readiness().await.expect(503);
    for check in ["broker", "store", "idempotency"] {
        assert_ne!(readiness["checks"][check], "ok", "{readiness}");
    }

    let (cpu, lines) =
        (node.process.usage().expect("it runs").cpu, node.process.output().lines().count());
    tokio::time::sleep(MEASURED).await;
    let cpu = node.process.usage().expect("it runs").cpu - cpu;
    let lines = node.process.output().lines().count() - lines;
    println!(
        "{cpu:?} of processor time and {lines} lines of log in {MEASURED:?} without any server"
    );
    assert!(cpu < MEASURED / 20, "{cpu:?} of processor time in {MEASURED:?}");
    assert!(lines < 100, "{lines} lines of log in {MEASURED:?}");
}

#[tokio::test]
async fn two_shards_share_the_events() {
    const EVENTS: usize = 400;
    let settings = vec![("RINGBACK_SHARDS", "2".to_owned())];
    let cluster = Cluster::start(Shape { workers: 2, settings, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    cluster.api().create_callback(&callback(&receiver.url("/hook"))).await;
    for _ in 0..EVENTS {
        cluster.ingest().send(&event("COMMENT_CREATED")).await;
    }
    receiver.wait_for_ended(EVENTS as u64, SOON).await;
    cluster.servers.wait_for_empty_queues().await;
    assert_eq!(receiver.total(), EVENTS as u64);
}
