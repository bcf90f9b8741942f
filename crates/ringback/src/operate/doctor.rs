//! `ringback doctor`: is everything there, and as it should be? If not, what to do.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;

use clap::Args;
use ringback_broker::rabbitmq::{self, facts::Facts, topology};
use ringback_idempotency::redis::{self, Redis};
use ringback_runtime::SystemClock;
use ringback_store::postgres;

use super::say;
use crate::exit::Failure;
use crate::settings::{
    BrokerSettings, Given, IdempotencySettings, Openness, Settings, StoreSettings,
};

/// Check every server: is it there, as it should be, and if not, what to do. Exit code 1 if something is in the way.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// How rabbitmqctl is run here, such as "docker exec mq rabbitmqctl": what AMQP does not tell is asked there
    #[arg(long, env = "RINGBACK_RABBITMQCTL", value_name = "COMMAND")]
    rabbitmqctl: Option<String>,
    #[command(flatten)]
    given: Given,
}

/// Longer than this from crash to recovery, and retries come minutes late.
const DEAD_LETTER_TIMEOUT_MS_MAX: u64 = 30_000;
/// A clock further off than this gives times in the history that nobody can make sense of.
const CLOCK_OFF_MS_MAX: u64 = 2_000;

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let settings = self.given.without_master_key().check(Openness::Guarded);
        let settings = settings.map_err(Failure::Usage)?;
        let mut report = Report::default();
        report.check_shape(&settings);
        if !settings.is_all_remote() {
            report.check_directory(&settings.data_dir);
        }
        match &settings.broker {
            BrokerSettings::Embedded => report.embedded("queue", &settings),
            BrokerSettings::Rabbitmq(rabbitmq) => {
                report.check_rabbitmq(rabbitmq, self.rabbitmqctl.as_deref()).await;
            }
        }
        match &settings.store {
            StoreSettings::Sqlite => report.embedded("configuration and history", &settings),
            StoreSettings::Postgres(postgres) => report.check_postgres(postgres).await,
        }
        match &settings.idempotency {
            IdempotencySettings::Embedded => report.embedded("claims and keys", &settings),
            IdempotencySettings::Redis(redis) => report.check_redis(redis).await,
        }
        report.end()
    }
}

/// What was found, told as it is found.
#[derive(Default)]
struct Report {
    in_the_way: usize,
    to_look_at: usize,
}

impl Report {
    fn well(&self, what: impl Display) {
        say(format_args!("ok    {what}"));
    }

    /// Something that works, and should be otherwise.
    fn look(&mut self, what: impl Display) {
        self.to_look_at += 1;
        say(format_args!("look  {what}"));
    }

    /// Something that does not work.
    fn fail(&mut self, what: impl Display) {
        self.in_the_way += 1;
        say(format_args!("FAIL  {what}"));
    }

    fn fail_with(&mut self, setting: &str, error: impl Into<anyhow::Error>) {
        self.fail(format_args!("{setting}: {:#}", error.into()));
    }

    fn end(self) -> Result<(), Failure> {
        match (self.in_the_way, self.to_look_at) {
            (0, 0) => say("all is well"),
            (0, look) => say(format_args!("all works; {look} to look at")),
            (fail, _) => {
                return Err(Failure::Other(anyhow::anyhow!("{fail} in the way of doing the job")));
            }
        }
        Ok(())
    }

    fn check_shape(&mut self, settings: &Settings) {
        let missing = settings.missing_servers();
        if !missing.is_empty() && missing.len() < 3 {
            self.look(format_args!(
                "{} not set: only `ringback serve`, one process, can work like this",
                missing.join(" and ")
            ));
        }
    }

    fn embedded(&self, what: &str, settings: &Settings) {
        self.well(format_args!("{what}: in {}", settings.data_dir.display()));
    }

    /// Beside a process that works in it: nothing is opened, and what is written is deleted again.
    fn check_directory(&mut self, directory: &Path) {
        let shown = directory.display();
        if !directory.exists() {
            return self
                .look(format_args!("data_dir: {shown} is not there; the first start makes it"));
        }
        if let Err(error) = write_and_delete(directory) {
            self.fail(format_args!(
                "data_dir: {shown} can't be written to ({error}): make room, or give it to the user that runs ringback"
            ));
        }
        match is_database(&directory.join(ringback_sqlite::FILE)) {
            Ok(true) => {}
            Ok(false) => self.fail(format_args!(
                "data_dir: {} in {shown} is no SQLite database: restore a backup of it",
                ringback_sqlite::FILE
            )),
            Err(error) => self.fail(format_args!("data_dir: the database can't be read: {error}")),
        }
    }

    async fn check_rabbitmq(&mut self, settings: &rabbitmq::Settings, ctl: Option<&str>) {
        let facts = match rabbitmq::facts::facts(settings).await {
            Ok(facts) => facts,
            Err(error) => return self.fail_with("amqp_url", error),
        };
        self.well(format_args!("{} {}", facts.product, facts.version));
        if version(&facts.version) < (3, 10) {
            self.fail("RabbitMQ 3.10 or later is needed: dead letters of older ones get lost");
        }
        if let Some(why) = &facts.blocked {
            self.fail(format_args!(
                "RabbitMQ takes no messages ({why}): free memory or disk, see `rabbitmqctl status`, alarms"
            ));
        }
        if settings.shards.get() > 1 && !facts.consistent_hash {
            self.fail(
                "shards: more than one needs `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange` on every node",
            );
        }
        self.check_topology(settings).await;
        self.check_queues(&facts);
        self.check_dead_letter_timeout(ctl).await;
    }

    async fn check_topology(&mut self, settings: &rabbitmq::Settings) {
        let differences = match topology::verify(settings).await {
            Ok(differences) => differences,
            Err(error) => return self.fail_with("amqp_url", error),
        };
        let mut missing = 0;
        for difference in &differences {
            match difference {
                topology::Difference::Missing { .. } => missing += 1,
                topology::Difference::DeclaredOtherwise { .. } => self.fail(format_args!(
                    "{difference}; drain and delete it, or set another amqp_prefix"
                )),
                topology::Difference::LeftOver { .. } => {
                    self.look(format_args!("{difference}; workers empty it"));
                }
            }
        }
        match missing {
            0 if differences.is_empty() => self.well("exchanges and queues are as they should be"),
            0 => {}
            missing => self.look(format_args!(
                "{missing} exchanges and queues are not there yet: the first start makes them, or `ringback topology apply`"
            )),
        }
    }

    fn check_queues(&mut self, facts: &Facts) {
        for queue in &facts.queues {
            let Some(found) = queue.found.filter(|found| found.messages > 0) else { continue };
            let messages = found.messages;
            let name = &queue.name;
            if name.ends_with(".rejected") {
                self.look(format_args!(
                    "{messages} messages of producers could not be taken: `ringback rejected list` says why"
                ));
            } else if name.ends_with(".poison") {
                self.look(format_args!(
                    "{messages} messages can't be read or came back too often: `ringback rejected list --poison`"
                ));
            } else if name.ends_with(".unrouted") && found.consumers == 0 {
                self.look(format_args!(
                    "{messages} messages found no queue: a worker puts them back, and none is running"
                ));
            }
        }
    }

    /// The trap of 180 s: after a crash of the broker its dead-letter workers wait so long before they try again.
    async fn check_dead_letter_timeout(&mut self, ctl: Option<&str>) {
        const ASK: &str =
            "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).";
        const CURE: &str = "put deploy/rabbitmq/advanced.config on every node and restart it";
        let Some(ctl) = ctl else {
            return self.look(format_args!(
                "AMQP does not tell dead_letter_worker_publisher_confirm_timeout: unless it was set, retries stall for 180 s \
                 after a crash of RabbitMQ. Give --rabbitmqctl to have it asked, or {CURE}"
            ));
        };
        let mut words = ctl.split_whitespace();
        let Some(program) = words.next() else { return self.fail("rabbitmqctl: empty") };
        let asked = tokio::process::Command::new(program)
            .args(words)
            .args(["eval", ASK])
            .stdin(Stdio::null())
            .output()
            .await;
        let answer = match asked {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return self.fail(format_args!("rabbitmqctl: {}: {said}", output.status));
            }
            Err(error) => return self.fail(format_args!("rabbitmqctl: `{program}`: {error}")),
        };
        let ms = answer.strip_prefix("{ok,").and_then(|rest| rest.strip_suffix('}'));
        match ms.and_then(|ms| ms.parse::<u64>().ok()) {
            Some(ms) if ms <= DEAD_LETTER_TIMEOUT_MS_MAX => {
                self.well(format_args!("dead_letter_worker_publisher_confirm_timeout is {ms} ms"));
            }
            _ => self.look(format_args!(
                "dead_letter_worker_publisher_confirm_timeout is {answer} (180000 unless set): retries stall so long after a \
                 crash of RabbitMQ; {CURE}"
            )),
        }
    }

    async fn check_postgres(&mut self, settings: &postgres::Settings) {
        let facts = match postgres::facts(settings, &SystemClock).await {
            Ok(facts) => facts,
            Err(error) => return self.fail_with("database_url", error),
        };
        let (schema, known) = (facts.schema, facts.schema_known);
        let found = match schema {
            0 => "without tables".to_owned(),
            schema => format!("schema {schema}"),
        };
        self.well(format_args!("PostgreSQL {}, {found}", facts.version));
        if schema > known {
            self.fail_with("database_url", ringback_store::Error::TooNew { found: schema, known });
        } else if schema < known {
            self.look(format_args!(
                "this version's tables, of schema {known}, are not there yet: its first start makes them, or `ringback \
                 migrate`"
            ));
        }
        if version(&facts.version) < (14, 0) {
            self.fail("PostgreSQL 14 or later is needed");
        }
        for (setting, value) in
            [("fsync", &facts.fsync), ("synchronous_commit", &facts.synchronous_commit)]
        {
            if value == "off" {
                self.look(format_args!(
                    "{setting} is off: history that was recorded may be lost at a crash, and deliveries be repeated; set it on"
                ));
            }
        }
        if facts.clock_ahead_ms.unsigned_abs() > CLOCK_OFF_MS_MAX {
            self.look(format_args!(
                "PostgreSQL's clock is {} ms ahead of ours: see that both are synchronised",
                facts.clock_ahead_ms
            ));
        }
        if facts.stray_events > 0 {
            self.look(format_args!(
                "{} events are of days without a partition: some machine's clock is or was wrong; they are deleted by rows",
                facts.stray_events
            ));
        }
        if facts.connections_max < 50 {
            self.look(format_args!(
                "max_connections is {}: each process takes up to 10",
                facts.connections_max
            ));
        }
    }

    async fn check_redis(&mut self, settings: &redis::Settings) {
        let redis = match Redis::connect(settings.clone()).await {
            Ok(redis) => redis,
            Err(error) => return self.fail_with("redis_url", error),
        };
        if let Err(error) = ringback_idempotency::Idempotency::ready(&*redis).await {
            return self.fail_with("redis_url", error);
        }
        match redis.facts(&SystemClock).await {
            Err(error) => self.fail_with("redis_url", error),
            Ok(nodes) => {
                for facts in nodes {
                    let node = facts
                        .node
                        .as_deref()
                        .map_or_else(String::new, |node| format!(" at {node}"));
                    self.well(format_args!("Redis {}{node}, {}", facts.version, facts.mode));
                    for concern in facts.concerns() {
                        self.look(format_args!("Redis{node}: {concern}"));
                    }
                }
            }
        }
    }
}

/// Whether a file of some size fits in there and reaches the disk.
fn write_and_delete(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(&[0; 64 * 1024])?;
        file.sync_all()
    });
    let deleted = std::fs::remove_file(&path);
    written.and(deleted)
}

/// Whether this is a SQLite database, by its first bytes; one that is not there yet will be.
///
/// # Source
/// <https://www.sqlite.org/fileformat.html>, section 1.3.1.
fn is_database(path: &Path) -> std::io::Result<bool> {
    let mut beginning = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(16).read_to_end(&mut beginning)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(beginning == b"SQLite format 3\0")
}

/// Major and minor.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(['.', ' ', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("3.9.27") < (3, 10));
        assert!(version("3.10.8") >= (3, 10));
        assert!(version("15.18 (Debian 15.18-0+deb12u1)") >= (14, 0));
    }
}
