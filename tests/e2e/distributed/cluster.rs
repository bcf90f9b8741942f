//! A Ringback of many processes: servers of its own, and each role as often as a test wants it.

use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ringback_testkit::servers::{
    Postgres, PostgresSettings, Rabbitmq, RabbitmqSettings, Redis, RedisSettings,
};
use ringback_testkit::{Launch, Process, ringback_binary};
use tempfile::TempDir;

use super::duplicates::Kill;
use crate::support::{ADMIN_KEY, Answer, Api, READY, SOON};

/// Seals the secrets of all tests.
pub(super) const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What is put off comes back within 32 s, and after 37.5 s if its callback's circuit opened. The rest is for a loaded machine.
const BACK_BY_THEN: Duration = Duration::from_secs(75);

/// The three servers, with nobody using them yet.
pub(super) struct Servers {
    pub(super) rabbitmq: Rabbitmq,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    pub(super) database_url: String,
    directory: TempDir,
}

/// What has Redis refuse for now, what has it take commands again, and what is said meanwhile. A replica takes no writes; one
/// without memory neither.
pub(super) const REDIS_REFUSALS: [[&str; 3]; 2] = [
    ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read-only replica"],
    ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "raise its `maxmemory`"],
];

/// How the servers are set up.
#[derive(Default)]
pub(super) struct ServerSettings {
    pub(super) rabbitmq: RabbitmqSettings,
    pub(super) redis: RedisSettings,
    pub(super) postgres: PostgresSettings,
}

impl Servers {
    /// Starts all three.
    pub(super) async fn start() -> Self {
        Self::start_with(ServerSettings::default()).await
    }

    /// Starts all three in another way.
    pub(super) async fn start_with(settings: ServerSettings) -> Self {
        let (rabbitmq, redis, postgres) = futures_util::join!(
            Rabbitmq::start(settings.rabbitmq),
            Redis::start(settings.redis),
            Postgres::start(settings.postgres),
        );
        let postgres = postgres.expect("PostgreSQL starts");
        let database_url = postgres.create_database().await.expect("an empty database");
        Self {
            rabbitmq: rabbitmq.expect("RabbitMQ starts"),
            redis: redis.expect("Redis starts"),
            postgres,
            database_url,
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// How a command is started that works with these servers.
    pub(super) fn launch(&self, command: &str) -> Launch {
        self.bare_launch(command)
            .env("RINGBACK_DATABASE_URL", &self.database_url)
            .env("RINGBACK_AMQP_URL", self.rabbitmq.url())
            .env("RINGBACK_REDIS_URL", self.redis.url())
            .env("RINGBACK_MASTER_KEY", MASTER_KEY)
            // Unoptimised, a batch takes so long that on a single thread requests would time out meanwhile.
            .env("RINGBACK_THREADS", "2")
            .env("RINGBACK_ADMIN_KEY", ADMIN_KEY)
            .env("RINGBACK_ALLOW_NETWORKS", "127.0.0.0/8")
    }

    /// How a command is started that is told of nothing but a port.
    pub(super) fn bare_launch(&self, command: &str) -> Launch {
        // Its own, and the same at each start, so that whoever calls it finds it again.
        let listen = format!("127.0.0.1:{}", free_port());
        let variable = match command {
            "worker" => "RINGBACK_METRICS_LISTEN",
            _ => "RINGBACK_LISTEN",
        };
        Launch::new(ringback_binary().expect("the binary is built"), self.directory())
            .arg(command)
            .env(variable, listen)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The queues that are not empty, with how many messages each has.
    pub(super) async fn queues_with_messages(&self) -> Vec<(String, u64)> {
        let listed = self.rabbitmq.ctl(&["list_queues", "name", "messages"]).await;
        let listed = listed.expect("it answers");
        let queues = listed.lines().filter_map(|line| {
            let (name, messages) = line.split_once('\t')?;
            Some((name.to_owned(), messages.trim().parse().ok()?))
        });
        queues.filter(|(_, messages)| *messages > 0).collect()
    }

    /// Returns once no queue has a message.
    pub(super) async fn wait_for_empty_queues(&self) {
        let deadline = Instant::now() + BACK_BY_THEN;
        loop {
            let left = self.queues_with_messages().await;
            if left.is_empty() {
                return;
            }
            // Each look starts a process of Erlang, which is pause enough.
            assert!(Instant::now() < deadline, "messages are left: {left:?}");
        }
    }

    /// What `redis-cli` answers to a command.
    pub(super) fn redis_cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-u", &self.redis.url()])
            .args(arguments)
            .output()
            .expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Has Redis do what it answers `OK` to.
    pub(super) fn tell_redis(&self, command: &str) {
        let words: Vec<_> = command.split(' ').collect();
        assert_eq!(self.redis_cli(&words), "OK", "{command}");
    }

    /// Makes a user of PostgreSQL, `sealed`, whose password is asked for: it is `right`.
    pub(super) fn seal_postgres(&self) {
        let hba = self.postgres.directory().join("data/pg_hba.conf");
        let trusting = fs::read_to_string(&hba).expect("it is there");
        let sealed = format!("host all sealed 127.0.0.1/32 scram-sha-256\n{trusting}");
        fs::write(&hba, sealed).expect("it can be written");
        self.psql("CREATE ROLE sealed LOGIN PASSWORD 'right'");
        self.psql("SELECT pg_reload_conf()");
    }

    /// What `psql` answers to a statement.
    pub(super) fn psql(&self, statement: &str) -> String {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--dbname", &self.database_url, "--command", statement])
            .output()
            .expect("psql is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// A loopback port that nobody listens on now, nor is given by the system while its process is down, nor is chosen by a
/// private server.
fn free_port() -> u16 {
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).expect("the system has random numbers");
        let port = 10_000 + u16::from_le_bytes(random) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// How many of each role there are, and what all of them are told besides.
pub(super) struct Shape {
    pub(super) ingests: usize,
    pub(super) workers: usize,
    pub(super) consoles: usize,
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) servers: ServerSettings,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            ingests: 1,
            workers: 1,
            consoles: 1,
            settings: Vec::new(),
            servers: ServerSettings::default(),
        }
    }
}

/// A Ringback of many processes.
pub(super) struct Cluster {
    // First, so that they go before the servers that they work with.
    pub(super) ingests: Vec<Node>,
    pub(super) workers: Vec<Node>,
    pub(super) consoles: Vec<Node>,
    pub(super) servers: Servers,
}

impl Cluster {
    /// Starts the servers, and then all processes at once.
    pub(super) async fn start(shape: Shape) -> Self {
        let servers = Servers::start_with(shape.servers).await;
        let nodes = |role: &'static str, count: usize| {
            let launches: Vec<_> = (0..count)
                .map(|_| {
                    let launch = servers.launch(role);
                    shape
                        .settings
                        .iter()
                        .fold(launch, |launch, (name, value)| launch.env(name, value))
                })
                .collect();
            join_all(launches.into_iter().map(Node::start))
        };
        let (ingests, workers, consoles) = futures_util::join!(
            nodes("ingest", shape.ingests),
            nodes("worker", shape.workers),
            nodes("console", shape.consoles),
        );
        Self { ingests, workers, consoles, servers }
    }

    /// The management API.
    pub(super) fn api(&self) -> &Api {
        &self.consoles[0].api
    }

    /// Where producers send their events.
    pub(super) fn ingest(&self) -> &Api {
        &self.ingests[0].api
    }

    /// Kills a part (SIGKILL), as a loss of power would.
    pub(super) async fn kill(&mut self, part: Part) -> Kill {
        let asked = Instant::now();
        match part {
            Part::Ingest(index) => self.ingests[index].kill9().await,
            Part::Worker(index) => self.workers[index].kill9().await,
            Part::Console(index) => self.consoles[index].kill9().await,
            Part::Rabbitmq => self.servers.rabbitmq.kill9().await.expect("it runs"),
            Part::Redis => self.servers.redis.kill9().await.expect("it runs"),
            Part::Postgres => self.servers.postgres.kill9().await.expect("it runs"),
        }
        let dead = Instant::now();
        Kill { part, asked, dead, back: dead }
    }

    /// Starts a part again that was killed, and waits until it works.
    pub(super) async fn start_again(&mut self, part: Part) {
        let started = match part {
            Part::Ingest(index) => return self.ingests[index].start_again().await,
            Part::Worker(index) => return self.workers[index].start_again().await,
            Part::Console(index) => return self.consoles[index].start_again().await,
            Part::Rabbitmq => self.servers.rabbitmq.start_again().await,
            Part::Redis => self.servers.redis.start_again().await,
            Part::Postgres => self.servers.postgres.start_again().await,
        };
        started.expect("it starts again");
    }

    /// Kills a part and starts it again at once.
    pub(super) async fn kill_and_start_again(&mut self, part: Part) -> Kill {
        let mut kill = self.kill(part).await;
        self.start_again(part).await;
        kill.back = Instant::now();
        kill
    }
}

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Ingest(usize),
    Worker(usize),
    Console(usize),
    Rabbitmq,
    Redis,
    Postgres,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ingest(_) => "ingest",
            Self::Worker(_) => "worker",
            Self::Console(_) => "console",
            Self::Rabbitmq => "RabbitMQ",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// One process of Ringback.
pub(super) struct Node {
    launch: Launch,
    /// What its processes before this one said.
    said_before: String,
    pub(super) process: Process,
    pub(super) api: Api,
}

impl Node {
    /// Starts one and waits until it takes requests.
    pub(super) async fn start(launch: Launch) -> Self {
        let (process, url) = launch.start_ready(READY, SOON).await.expect("it starts");
        Self { launch, said_before: String::new(), process, api: Api::new(url, ADMIN_KEY) }
    }

    /// Kills it (SIGKILL).
    pub(super) async fn kill9(&mut self) {
        self.process.kill9().await.expect("it runs");
    }

    /// Starts it again at the same port, after its process has ended.
    pub(super) async fn start_again(&mut self) {
        let (process, _) = self.launch.start_ready(READY, SOON).await.expect("it starts again");
        self.said_before.push_str(&self.process.output());
        self.process = process;
    }

    /// What it has said, in all its starts.
    pub(super) fn said(&self) -> String {
        self.said_before.clone() + &self.process.output()
    }

    /// Asks it to stop and waits until it has, with exit code 0.
    pub(super) async fn stop(&mut self) {
        self.process.terminate().await.expect("it runs");
        let status = self.process.wait_exit(SOON).await.expect("it stops");
        assert_eq!(status.code(), Some(0), "{}", self.process.output());
    }

    /// Stops it in the middle of what it does (SIGSTOP).
    pub(super) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub(super) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &id]).status();
        assert!(status.expect("there is a shell").success(), "kill {signal} {id}");
    }

    /// What it says of itself, and of what it needs.
    pub(super) async fn readiness(&self) -> Answer {
        self.api.get("/readyz").await
    }
}
