//! `ringback doctor`: what an operator asks first when something is wrong, and before anything is.

use std::time::{Duration, Instant};

use ringback_testkit::Launch;
use ringback_testkit::servers::{RabbitmqSettings, RedisSettings};

use super::bad_settings::one_migration_ahead;
use super::cluster::{MASTER_KEY, REDIS_REFUSALS, ServerSettings, Servers};
use super::producers::Amqp;
use crate::support::{ADMIN_KEY, SOON};

/// Stands for any secret in an address.
const SECRET: &str = "open-sesame";
/// How long a server that is not there holds up the rest.
const A_FEW_SECONDS: Duration = Duration::from_secs(5);
/// What the servers are called in the settings.
const SERVERS: [&str; 3] = ["amqp_url", "database_url", "redis_url"];

/// What a command said, and how it ended.
pub(super) struct Told {
    pub(super) code: Option<i32>,
    pub(super) output: String,
    took: Duration,
}

impl Told {
    /// Runs a command to its end.
    pub(super) async fn by(launch: &Launch) -> Self {
        let started = Instant::now();
        let mut process = launch.start().expect("it starts");
        let ended = process.wait_exit(SOON).await;
        let (output, took) = (process.output(), started.elapsed());
        let ended = ended.unwrap_or_else(|error| panic!("{error:#}"));
        for secret in [SECRET, MASTER_KEY, ADMIN_KEY, "guest:guest"] {
            assert!(!output.contains(secret), "{output}");
        }
        Self { code: ended.code(), output, took }
    }

    /// The lines that begin with this word.
    fn lines(&self, verdict: &str) -> Vec<&str> {
        self.output.lines().filter(|line| line.split(' ').next() == Some(verdict)).collect()
    }

    /// The one line that begins with this word and holds these.
    #[track_caller]
    fn line(&self, verdict: &str, words: &[&str]) -> &str {
        let lines = self.lines(verdict);
        let found: Vec<_> =
            lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).collect();
        assert_eq!(found.len(), 1, "{verdict} … {words:?} in\n{}", self.output);
        found[0]
    }

    /// That it ended well and found nothing in the way.
    #[track_caller]
    fn assert_works(&self) {
        assert_eq!((self.code, self.lines("FAIL").len()), (Some(0), 0), "{}", self.output);
    }

    /// That it found these things, and nothing else, in the way, and its exit code says so.
    #[track_caller]
    fn assert_in_the_way(&self, expected: &[&[&str]]) {
        for words in expected {
            self.line("FAIL", words);
        }
        assert_eq!(self.lines("FAIL").len(), expected.len(), "{}", self.output);
        assert_eq!(self.code, Some(1), "{}", self.output);
        let summary = format!("{} in the way", expected.len());
        assert!(self.output.contains(&summary), "no `{summary}` in {}", self.output);
    }
}

/// What `ringback doctor` is told of these servers: no master key, which it has no use for.
fn doctor(servers: &Servers) -> Launch {
    without_master_key(servers, "doctor")
}

/// How a command is started that looks at these servers and opens no secrets.
pub(super) fn without_master_key(servers: &Servers, command: &str) -> Launch {
    servers
        .bare_launch(command)
        .env("RINGBACK_AMQP_URL", servers.rabbitmq.url())
        .env("RINGBACK_DATABASE_URL", &servers.database_url)
        .env("RINGBACK_REDIS_URL", servers.redis.url())
}

fn ctl(servers: &Servers) -> String {
    servers.rabbitmq.ctl_program().expect("it can be written").display().to_string()
}

async fn prepare(servers: &Servers) {
    for launch in [
        without_master_key(servers, "topology").arg("apply"),
        without_master_key(servers, "migrate"),
    ] {
        let told = Told::by(&launch).await;
        assert_eq!(told.code, Some(0), "{}", told.output);
    }
}

#[tokio::test]
async fn all_is_well_as_shipped_until_something_is_changed() {
    let redis = ["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"];
    let redis = RedisSettings { arguments: redis.map(str::to_owned).to_vec() };
    let servers = Servers::start_with(ServerSettings { redis, ..ServerSettings::default() }).await;
    let doctor = doctor(&servers).arg("--rabbitmqctl").arg(ctl(&servers));

    // Nothing was ever started there, which is no fault.
    let told = Told::by(&doctor).await;
    told.assert_works();
    told.line("look", &["queues are not there yet", "topology apply"]);
    told.line("look", &["tables", "are not there yet", "ringback migrate"]);

    prepare(&servers).await;
    let told = Told::by(&doctor).await;
    told.assert_works();
    assert_eq!(told.lines("look"), [""; 0], "{}", told.output);
    assert_eq!(told.output.lines().last(), Some("all is well"), "{}", told.output);
    let rabbitmq = servers.rabbitmq.ctl(&["version"]).await.expect("it answers");
    told.line("ok", &["RabbitMQ", rabbitmq.trim()]);
    told.line("ok", &["queues are as they should be"]);
    told.line("ok", &["dead_letter_worker_publisher_confirm_timeout is 5000 ms"]);
    let postgres = servers.psql("SHOW server_version");
    let schema = servers.psql("SELECT max(version) FROM schema_migration");
    told.line("ok", &["PostgreSQL", &postgres, &format!("schema {schema}")]);
    let info = servers.redis_cli(&["INFO", "server"]);
    let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    told.line("ok", &["Redis", redis.expect("it says").trim(), "standalone"]);

    // A queue that somebody else has declared, in his own way.
    Amqp::connect(&servers).await.declare_classic_queue("other.rejected").await;
    let other = doctor.clone().env("RINGBACK_AMQP_PREFIX", "other");
    let told = Told::by(&other).await;
    told.assert_in_the_way(&[&["`other.rejected`", "x-queue-type", "amqp_prefix"]]);

    one_migration_ahead(&servers);
    let told = Told::by(&doctor).await;
    told.assert_in_the_way(&[&["database_url", "newer version", "start that version"]]);
    told.line("ok", &["RabbitMQ"]);
    told.line("ok", &["Redis"]);
}

#[tokio::test]
async fn broker_without_our_files_is_told_what_it_lacks() {
    let rabbitmq = RabbitmqSettings::default().without_plugins().without_advanced_config();
    let settings = ServerSettings { rabbitmq, ..ServerSettings::default() };
    let servers = Servers::start_with(settings).await;
    prepare(&servers).await;
    let doctor = doctor(&servers);
    const TIMEOUT: &str = "dead_letter_worker_publisher_confirm_timeout";
    const CURE: &str = "put deploy/rabbitmq/advanced.config on every node";

    let told = Told::by(&doctor).await;
    told.assert_works();
    told.line("look", &["AMQP does not tell", TIMEOUT, "180 s", "--rabbitmqctl", CURE]);
    // Redis as it comes has its own.
    told.line("look", &["maxmemory is not set"]);
    assert!(told.output.ends_with("all works; 2 to look at\n"), "{}", told.output);

    let asked = doctor.clone().arg("--rabbitmqctl").arg(ctl(&servers));
    let told = Told::by(&asked).await;
    told.assert_works();
    told.line("look", &[TIMEOUT, "180000", CURE]);
    let wrong = doctor.clone().arg("--rabbitmqctl").arg("/nowhere/rabbitmqctl -n rabbit");
    Told::by(&wrong).await.assert_in_the_way(&[&["rabbitmqctl", "`/nowhere/rabbitmqctl`"]]);

    let told = Told::by(&doctor.env("RINGBACK_SHARDS", "2")).await;
    told.assert_in_the_way(&[&[
        "shards",
        "rabbitmq-plugins enable rabbitmq_consistent_hash_exchange",
    ]]);
    told.line("ok", &["PostgreSQL"]);
    told.line("ok", &["Redis"]);
}

#[tokio::test]
async fn server_that_refuses_or_is_away_is_named_and_the_others_are_looked_at_all_the_same() {
    let mut servers = Servers::start().await;
    prepare(&servers).await;
    let doctor = doctor(&servers);
    Told::by(&doctor).await.assert_works();

    for [refusal, take_again, said] in REDIS_REFUSALS {
        servers.tell_redis(refusal);
        let told = Told::by(&doctor).await;
        told.assert_in_the_way(&[&["redis_url", said]]);
        told.line("ok", &["RabbitMQ"]);
        told.line("ok", &["PostgreSQL"]);
        servers.tell_redis(take_again);
    }

    // Each with a wrong password, all at once.
    servers.seal_postgres();
    servers.tell_redis("CONFIG SET requirepass right");
    let with_password = |url: &str, from: &str, user: &str| {
        let wrong = url.replace(from, &format!("{user}:{SECRET}@"));
        assert_ne!(wrong, url);
        wrong
    };
    let wrong = doctor
        .clone()
        .env("RINGBACK_AMQP_URL", with_password(&servers.rabbitmq.url(), "guest:guest@", "guest"))
        .env("RINGBACK_DATABASE_URL", with_password(&servers.database_url, "ringback@", "sealed"))
        .env("RINGBACK_REDIS_URL", servers.redis.url().replace("//", &format!("//:{SECRET}@")));
    let told = Told::by(&wrong).await;
    told.assert_in_the_way(&[
        &["amqp_url", "user `guest`", "check user and password"],
        &["database_url", "user `sealed`", "check user and password"],
        &["redis_url", "refuses the user or password"],
    ]);
    let open = ["-a", "right", "CONFIG", "SET", "requirepass", ""];
    assert_eq!(servers.redis_cli(&open), "OK");

    // They take connections, and say nothing.
    for server in [&*servers.rabbitmq, &*servers.postgres, &*servers.redis] {
        server.pause().await.expect("it runs");
    }
    let told = Told::by(&doctor).await;
    told.assert_in_the_way(&[&["amqp_url"], &["database_url"], &["redis_url"]]);
    assert!(told.took < A_FEW_SECONDS * 3, "{:?}: {}", told.took, told.output);
    for server in [&*servers.rabbitmq, &*servers.postgres, &*servers.redis] {
        server.resume().await.expect("it runs");
    }

    servers.redis.kill9().await.expect("it runs");
    assert_away(&doctor, &["redis_url"]).await;
    servers.postgres.kill9().await.expect("it runs");
    assert_away(&doctor, &["database_url", "redis_url"]).await;
    servers.rabbitmq.kill9().await.expect("it runs");
    assert_away(&doctor, &SERVERS).await;
    servers.redis.start_again().await.expect("it starts");
    assert_away(&doctor, &["amqp_url", "database_url"]).await;
}

/// That these servers, and no others, are in the way, and that this is said soon.
async fn assert_away(doctor: &Launch, away: &[&str]) {
    let told = Told::by(doctor).await;
    let expected: Vec<_> = away.iter().map(std::slice::from_ref).collect();
    told.assert_in_the_way(&expected);
    for (setting, product) in SERVERS.into_iter().zip(["RabbitMQ", "PostgreSQL", "Redis"]) {
        if !away.contains(&setting) {
            told.line("ok", &[product]);
        }
    }
    assert!(told.took < A_FEW_SECONDS, "{:?}: {}", told.took, told.output);
}
