//! RabbitMQ, Redis and PostgreSQL, that all columns share.

use anyhow::Result;
use ringback_testkit::servers::{
    Postgres, PostgresSettings, Rabbitmq, RabbitmqSettings, Redis, RedisSettings,
};

pub(super) struct Servers {
    pub(super) rabbitmq: Rabbitmq,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
}

impl Servers {
    pub(super) async fn start() -> Result<Self> {
        let (rabbitmq, redis, postgres) = tokio::try_join!(
            Rabbitmq::start(RabbitmqSettings::default()),
            Redis::start(RedisSettings::default()),
            Postgres::start(PostgresSettings::default()),
        )?;
        Ok(Self { rabbitmq, redis, postgres })
    }

    /// Seconds of processor time used so far by RabbitMQ, Redis and PostgreSQL.
    pub(super) fn cpu_seconds(&self) -> Result<[f64; 3]> {
        let cpu = [self.rabbitmq.cpu()?, self.redis.cpu()?, self.postgres.cpu()?];
        Ok(cpu.map(|time| time.as_secs_f64()))
    }
}
