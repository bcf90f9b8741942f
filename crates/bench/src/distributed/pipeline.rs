//! A pipeline of processes: one that takes events in, and one or more that deliver them.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Bench;
use super::column::Column;
use super::table::Parts;
use crate::bare::{Queue, Yardstick, count_rows, create_tables};
use crate::measure::{cpu_seconds, machine_cpu_seconds};
use crate::process::Process;
use crate::server::{ADMIN_KEY, Management};

/// What events go to.
#[derive(Clone, Copy)]
pub(super) struct Subscribers {
    /// The first word of the paths that the receiver is called by.
    pub(super) behaviour: &'static str,
    /// Callbacks that each event goes to.
    pub(super) fan_out: usize,
    /// Requests at once to each.
    pub(super) max_in_flight: u32,
}

impl Subscribers {
    pub(super) const HEALTHY: Self = Self { behaviour: "callback", fan_out: 1, max_in_flight: 64 };

    /// So many, with about 64 requests at once in all, as the yardsticks have.
    pub(super) fn all(behaviour: &'static str, fan_out: usize) -> Self {
        let callbacks = u32::try_from(fan_out).expect("a few");
        let max_in_flight = Self::HEALTHY.max_in_flight.div_ceil(callbacks);
        Self { behaviour, fan_out, max_in_flight }
    }
}

pub(super) struct Pipeline {
    /// Where events are sent.
    pub(super) address: SocketAddr,
    ingest: Process,
    workers: Vec<Process>,
    console: Option<Process>,
    yardstick: Option<Traces>,
}

/// What a yardstick leaves behind: it shows whether it did its work.
struct Traces {
    yardstick: Yardstick,
    queue: Queue,
    database_url: String,
    /// The receiver's count before.
    received_before: u64,
}

impl Pipeline {
    pub(super) async fn start(bench: &Bench, column: Column, to: Subscribers) -> Result<Self> {
        match column.yardstick() {
            Some(yardstick) => Self::bare(bench, yardstick, to).await,
            None => Self::ringback(bench, to, 1).await,
        }
    }

    async fn bare(bench: &Bench, yardstick: Yardstick, to: Subscribers) -> Result<Self> {
        const QUEUE: &str = "bare";
        let servers = &bench.servers;
        let queue = Queue::connect(&servers.rabbitmq.url(), QUEUE).await?;
        queue.create().await?;
        let database_url = servers.postgres.create_database().await?;
        create_tables(&database_url).await?;
        let received_before = bench.receiver.count().await?;
        let arguments = [
            "--yardstick",
            yardstick.name(),
            "--amqp-url",
            &servers.rabbitmq.url(),
            "--queue",
            QUEUE,
            "--redis-url",
            &servers.redis.url(),
            "--database-url",
            &database_url,
            "--receiver",
            &bench.receiver.address.to_string(),
            "--behaviour",
            to.behaviour,
            "--fan-out",
            &to.fan_out.to_string(),
        ];
        let start = |half| [&[half], &arguments[..]].concat();
        let (worker, _) = Process::own(&start("bare-worker")).await?;
        let (ingest, address) = Process::own(&start("bare-ingest")).await?;
        Ok(Self {
            address: address.parse()?,
            ingest,
            workers: vec![worker],
            console: None,
            yardstick: Some(Traces { yardstick, queue, database_url, received_before }),
        })
    }

    pub(super) async fn ringback(bench: &Bench, to: Subscribers, workers: usize) -> Result<Self> {
        let callbacks: Vec<_> = (0..to.fan_out)
            .map(|number| {
                json!({
                    "url": format!("http://{}/{}/{number}", bench.receiver.address, to.behaviour),
                    "account": "bench",
                    "max_in_flight": to.max_in_flight,
                    "retry": { "delay_seconds": 1 },
                })
            })
            .collect();
        Self::with_callbacks(bench, &callbacks, workers, &[]).await
    }

    /// One with these callbacks, and with more settings.
    pub(super) async fn with_callbacks(
        bench: &Bench,
        callbacks: &[Value],
        workers: usize,
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        let servers = &bench.servers;
        let mut variables = vec![
            ("RINGBACK_DATABASE_URL", servers.postgres.create_database().await?),
            ("RINGBACK_AMQP_URL", servers.rabbitmq.url()),
            ("RINGBACK_REDIS_URL", servers.redis.url()),
            ("RINGBACK_MASTER_KEY", format!("{}=", "A".repeat(43))),
            ("RINGBACK_ADMIN_KEY", ADMIN_KEY.to_owned()),
            ("RINGBACK_LISTEN", "127.0.0.1:0".to_owned()),
            ("RINGBACK_ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
        ];
        variables.extend_from_slice(settings);
        let (console, management) = Process::ringback("console", &variables).await?;
        let management = Management::of(management)?;
        for callback in callbacks {
            management.create_callback(callback).await?;
        }
        let (ingest, address) = Process::ringback("ingest", &variables).await?;
        let mut worker_variables = variables.clone();
        worker_variables.push(("RINGBACK_METRICS_LISTEN", "127.0.0.1:0".to_owned()));
        let mut started = Vec::new();
        for _ in 0..workers {
            started.push(Process::ringback("worker", &worker_variables).await?.0);
        }
        Ok(Self { address, ingest, workers: started, console: Some(console), yardstick: None })
    }

    /// Seconds of processor time used so far.
    pub(super) fn cpu_seconds(&self, bench: &Bench) -> Result<Parts> {
        let mut worker = 0.0;
        for process in &self.workers {
            worker += process.cpu_seconds()?;
        }
        let [rabbitmq, redis, postgres] = bench.servers.cpu_seconds()?;
        let parts = Parts {
            ingest: self.ingest.cpu_seconds()?,
            worker,
            console: self.console.as_ref().map_or(Ok(0.0), Process::cpu_seconds)?,
            rabbitmq,
            redis,
            postgres,
            receiver: cpu_seconds(bench.receiver.pid())?,
            producers: cpu_seconds(std::process::id())?,
            others: 0.0,
        };
        let ours = parts.system() + parts.receiver + parts.producers;
        Ok(Parts { others: machine_cpu_seconds()? - ours, ..parts })
    }

    pub(super) async fn stop(self, bench: &Bench) -> Result<()> {
        self.ingest.stop().await?;
        for worker in self.workers {
            worker.stop().await?;
        }
        if let Some(console) = self.console {
            console.stop().await?;
        }
        match self.yardstick {
            Some(traces) => traces.check(bench).await,
            None => Ok(()),
        }
    }
}

impl Traces {
    /// Every message was acked, and every delivery written down.
    async fn check(self, bench: &Bench) -> Result<()> {
        self.queue.delete().await?;
        if self.yardstick.has_stores() {
            let received = bench.receiver.count().await? - self.received_before;
            let rows = count_rows(&self.database_url).await?;
            ensure!(rows == received, "{rows} rows of {received} deliveries");
        }
        Ok(())
    }
}
