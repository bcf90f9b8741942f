//! Servers of one's own start, answer, survive what tests do to them, and leave nothing behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ringback_testkit::servers::{
    self, Postgres, PostgresSettings, Prometheus, Rabbitmq, RabbitmqSettings, Redis, RedisSettings,
};

const SOON: Duration = Duration::from_secs(10);

/// A connection to the server at `url`.
fn connect(url: &str) -> TcpStream {
    let (_, address) = url.rsplit_once('@').or_else(|| url.split_once("://")).expect("a url");
    let (address, _) = address.split_once('/').expect("a url with a path");
    let stream = TcpStream::connect(address).expect("it takes connections");
    stream.set_read_timeout(Some(SOON)).expect("a valid time");
    stream
}

/// Sends `request` and checks the beginning of the answer.
fn assert_answers(mut stream: &TcpStream, request: &[u8], expected: &[u8]) {
    stream.write_all(request).expect("it is connected");
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).expect("it answers");
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(expected));
}

fn psql(url: &str, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--dbname", url, "--command", statement])
        .output()
        .expect("psql is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The processes at work in this directory. Those of a server are, each and all.
fn processes_in(directory: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes
        .filter(|process| {
            let place = fs::read_link(process.path().join("cwd")).unwrap_or_default();
            // Of a removed directory it says "(deleted)" behind the name.
            place.to_string_lossy().starts_with(&*directory.to_string_lossy())
        })
        .filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok())
        .filter(|command| !command.is_empty())
        .collect()
}

fn assert_gone(directory: &Path) {
    assert_eq!(processes_in(directory), [""; 0]);
    assert!(!directory.exists());
}

#[tokio::test]
async fn rabbitmq_answers_and_keeps_its_data_when_killed() {
    let mut rabbitmq = Rabbitmq::start(RabbitmqSettings::default()).await.expect("it starts");
    let url = rabbitmq.url();
    let connection_start = b"\x00\x0a\x00\x0a";
    let answers = |url: &str| {
        let mut stream = connect(url);
        stream.write_all(b"AMQP\x00\x00\x09\x01").expect("it is connected");
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer[7..], connection_start);
    };
    answers(&url);
    let name = fs::read_to_string(format!("/proc/{}/comm", rabbitmq.pid())).expect("it runs");
    assert_eq!(name.trim(), "beam.smp");
    rabbitmq.ctl(&["add_vhost", "kept"]).await.expect("it is told");

    rabbitmq.kill9().await.expect("it runs");
    assert_eq!(processes_in(rabbitmq.directory()), [""; 0]);
    assert!(rabbitmq.cpu().is_err());
    rabbitmq.start_again().await.expect("it starts again");
    assert_eq!(rabbitmq.url(), url);
    answers(&url);
    let hosts = rabbitmq.ctl(&["list_vhosts"]).await.expect("it is asked");
    assert!(hosts.contains("kept"), "{hosts}");
    assert!(rabbitmq.cpu().expect("it runs") > Duration::from_millis(100));

    let directory = rabbitmq.directory().to_owned();
    drop(rabbitmq);
    assert_gone(&directory);
}

#[tokio::test]
async fn rabbitmq_is_set_up_as_shipped_or_as_told() {
    const TIMEOUT: &str =
        "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).";
    const PREFETCH: &str = "application:get_env(rabbit, dead_letter_worker_consumer_prefetch).";
    const PLUGIN: &str = "rabbitmq_consistent_hash_exchange";
    let shipped = RabbitmqSettings::default();
    let mut bare = shipped.clone().without_plugins().without_advanced_config();
    bare.environment.push(("RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD", "none".to_owned()));
    for (settings, timeout, prefetch, plugin, busy_wait) in [
        (shipped, "{ok,5000}", "{ok,256}", PLUGIN, "short"),
        (bare, "{ok,180000}", "{ok,32}", "", "none"),
    ] {
        let mut rabbitmq = Rabbitmq::start(settings).await.expect("it starts");
        assert_eq!(rabbitmq.ctl(&["eval", TIMEOUT]).await.expect("it is asked").trim(), timeout);
        assert_eq!(rabbitmq.ctl(&["eval", PREFETCH]).await.expect("it is asked").trim(), prefetch);
        let plugins = rabbitmq.ctl(&["eval", "rabbit_plugins:active()."]).await;
        let plugins = plugins.expect("it is asked");
        assert_eq!(plugins.trim(), format!("[{plugin}]"));
        let command = fs::read_to_string(format!("/proc/{}/cmdline", rabbitmq.pid()));
        let command = command.expect("it runs").replace('\0', " ");
        assert!(command.contains(&format!("-sbwt {busy_wait} ")), "{command}");

        rabbitmq.stop().await.expect("it runs");
        assert!(rabbitmq.log().contains("SIGTERM received - shutting down"));
    }
}

#[tokio::test]
async fn redis_answers_and_keeps_its_data_when_killed() {
    let settings = RedisSettings { arguments: vec!["--appendfsync".into(), "always".into()] };
    let mut redis = Redis::start(settings).await.expect("it starts");
    let url = redis.url();
    assert_answers(&connect(&url), b"PING\r\n", b"+PONG\r\n");
    assert_answers(&connect(&url), b"SET kept yes\r\n", b"+OK\r\n");

    redis.kill9().await.expect("it runs");
    assert_eq!(processes_in(redis.directory()), [""; 0]);
    redis.start_again().await.expect("it starts again");
    assert_eq!(redis.url(), url);
    assert_answers(&connect(&url), b"GET kept\r\n", b"$3\r\nyes\r\n");

    redis.stop().await.expect("it runs");
    assert!(redis.stop().await.is_err(), "it is stopped already");
    redis.start_again().await.expect("it starts again");
    assert_answers(&connect(&url), b"GET kept\r\n", b"$3\r\nyes\r\n");

    let directory = redis.directory().to_owned();
    drop(redis);
    assert_gone(&directory);
}

#[tokio::test]
async fn paused_server_keeps_connections_and_answers_when_it_is_resumed() {
    let redis = Redis::start(RedisSettings::default()).await.expect("it starts");
    let mut connection = connect(&redis.url());
    redis.pause().await.expect("it runs");
    connection.write_all(b"PING\r\n").expect("it is connected");
    connection.set_read_timeout(Some(Duration::from_millis(200))).expect("a valid time");
    let silence = connection.read(&mut [0]).expect_err("nobody answers");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);

    redis.resume().await.expect("it runs");
    connection.set_read_timeout(Some(SOON)).expect("a valid time");
    assert_answers(&connection, b"", b"+PONG\r\n");

    redis.pause().await.expect("it runs");
    let directory = redis.directory().to_owned();
    drop(redis);
    assert_gone(&directory);
}

#[tokio::test]
async fn postgres_answers_and_keeps_its_data_when_killed() {
    let mut postgres = Postgres::start(PostgresSettings::default()).await.expect("it starts");
    let (first, second) = (postgres.create_database().await, postgres.create_database().await);
    let (first, second) = (first.expect("it is told"), second.expect("it is told"));
    assert_eq!(psql(&postgres.url(), "SELECT 1"), "1");
    psql(&first, "CREATE TABLE kept AS SELECT 'yes' AS answer");
    assert_eq!(psql(&second, "SELECT to_regclass('kept') IS NULL"), "t");
    for (setting, expected) in
        [("fsync", "on"), ("max_connections", "200"), ("shared_buffers", "256MB")]
    {
        assert_eq!(psql(&first, &format!("SHOW {setting}")), expected);
    }

    // A statement under way does not keep its process when the server is killed.
    let mut busy = Command::new("psql")
        .args(["--no-psqlrc", "--dbname", &first, "--command"])
        .arg("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$")
        .spawn()
        .expect("psql is installed");
    let under_way = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %'";
    let deadline = std::time::Instant::now() + SOON;
    while psql(&second, under_way) != "1" {
        assert!(std::time::Instant::now() < deadline, "the statement is under way");
    }
    postgres.kill9().await.expect("it runs");
    assert_eq!(processes_in(postgres.directory()), [""; 0]);
    assert!(!busy.wait().expect("it ends").success());

    postgres.start_again().await.expect("it starts again");
    assert_eq!(psql(&first, "SELECT answer FROM kept"), "yes");
    assert!(postgres.cpu().expect("it runs") > Duration::ZERO);

    postgres.pause().await.expect("it runs");
    let directory = postgres.directory().to_owned();
    drop(postgres);
    assert_gone(&directory);
}

#[tokio::test]
async fn postgres_is_set_up_as_told() {
    let settings = PostgresSettings { parameters: vec!["synchronous_commit=off".into()] };
    let mut postgres = Postgres::start(settings).await.expect("it starts");
    assert_eq!(psql(&postgres.url(), "SHOW synchronous_commit"), "off");
    postgres.stop().await.expect("it runs");
    assert!(postgres.log().contains("database system is shut down"));
}

#[tokio::test]
async fn prometheus_watches_a_rabbitmq_with_metrics_and_says_what_is_wrong_with_a_configuration() {
    let settings = RabbitmqSettings::default().with_metrics();
    let rabbitmq = Rabbitmq::start(settings).await.expect("it starts");
    let targets = rabbitmq.metrics_address();
    let prometheus = Prometheus::start(format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
         scrape_configs: [{{job_name: mq, static_configs: [{{targets: ['{targets}']}}]}}]"
    ));
    let prometheus = prometheus.await.expect("it starts");
    let address = prometheus.url().replace("http://", "");
    let deadline = Instant::now() + SOON;
    loop {
        let mut stream = TcpStream::connect(&address).expect("it takes connections");
        stream
            .write_all(b"GET /api/v1/query?query=rabbitmq_connections HTTP/1.0\r\n\r\n")
            .expect("it is connected");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        if answer.contains(&targets) {
            break;
        }
        assert!(Instant::now() < deadline, "it has no metrics of RabbitMQ: {answer}");
    }
    let directory = prometheus.directory().to_owned();
    drop(prometheus);
    assert_gone(&directory);

    let refused = Prometheus::start("scrape_configs: nothing".to_owned()).await;
    let error = refused.expect_err("that is no list").to_string();
    assert!(error.contains("cannot unmarshal"), "{error}");
}

#[tokio::test]
async fn shared_servers_answer_and_give_each_test_its_own_names() {
    assert_answers(
        &connect(&servers::redis_url().expect("it is started")),
        b"PING\r\n",
        b"+PONG\r\n",
    );
    connect(&servers::amqp_url().expect("it is started"));
    let first = servers::fresh_database().await.expect("it is created");
    let second = servers::fresh_database().await.expect("it is created");
    psql(&first, "CREATE TABLE theirs ()");
    assert_eq!(psql(&second, "SELECT to_regclass('theirs') IS NULL"), "t");

    let prefixes: std::collections::BTreeSet<_> =
        (0..100).map(|_| servers::fresh_prefix()).collect();
    assert_eq!(prefixes.len(), 100);
    let is_valid = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    assert!(prefixes.iter().all(|prefix| prefix.chars().all(is_valid)), "{prefixes:?}");
}
