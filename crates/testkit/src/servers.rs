//! RabbitMQ, Redis and PostgreSQL for tests and benchmarks: real ones, of the programs installed on this machine.
//!
//! Two ways to have one. Most tests share the three that `cargo xtask test` has started ([`amqp_url`], [`redis_url`],
//! [`fresh_database`]) and keep out of each other's way with names of their own ([`fresh_prefix`]). A test that kills a
//! server, or wants it set up in its own way, starts one for itself: [`Rabbitmq`] (about 4 s), [`Postgres`]
//! (about 1 s), [`Redis`].
//!
//! Somebody who watches them and Ringback is here too: [`Prometheus`].
//!
//! A private server has its own directory, ports and names, listens on the loopback interface only, and takes no notice
//! of a server that the system runs. It is gone when its value is dropped, and also when the process that started it is
//! killed.

mod chromedriver;
mod postgres;
mod programs;
mod prometheus;
mod rabbitmq;
mod redis;
mod server;
mod tree;

use anyhow::Context as _;

pub(crate) use chromedriver::Chromedriver;
pub use postgres::{Postgres, PostgresSettings};
pub use programs::find_program;
pub use prometheus::Prometheus;
pub use rabbitmq::{Rabbitmq, RabbitmqCluster, RabbitmqSettings};
pub use redis::{Redis, RedisSettings};
pub use server::Server;

/// The environment variable with the address of the shared RabbitMQ.
pub const AMQP_URL: &str = "RINGBACK_TEST_AMQP_URL";
/// The environment variable with the address of the shared Redis.
pub const REDIS_URL: &str = "RINGBACK_TEST_REDIS_URL";
/// The environment variable with the address of a database on the shared PostgreSQL, whose user may create others.
pub const POSTGRES_URL: &str = "RINGBACK_TEST_POSTGRES_URL";

/// The address of the RabbitMQ that tests share.
///
/// # Errors
/// If nobody has started one.
pub fn amqp_url() -> anyhow::Result<String> {
    shared(AMQP_URL)
}

/// The address of the Redis that tests share.
///
/// # Errors
/// If nobody has started one.
pub fn redis_url() -> anyhow::Result<String> {
    shared(REDIS_URL)
}

/// The address of a database on the PostgreSQL that tests share. A test wants [`fresh_database`].
///
/// # Errors
/// If nobody has started one.
pub fn postgres_url() -> anyhow::Result<String> {
    shared(POSTGRES_URL)
}

/// Creates a database on the PostgreSQL that tests share, and gives its address. It goes when the server does.
///
/// # Errors
/// If nobody has started a server, or it does not create one.
pub async fn fresh_database() -> anyhow::Result<String> {
    let url = postgres_url()?;
    blocking(move || postgres::create_database(&url)).await
}

/// A name that nobody else has, for queues and keys on shared servers: a letter and then letters and digits, all of
/// `[a-z0-9]`, 13 in all.
///
/// # Panics
/// If the system gives no random bytes.
#[must_use]
pub fn fresh_prefix() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = [0; 12];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let letters = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    ['t'].into_iter().chain(letters).collect()
}

fn shared(variable: &str) -> anyhow::Result<String> {
    std::env::var(variable).with_context(|| {
        format!(
            "{variable} is not set: run the tests by `cargo xtask test`, which starts the servers, or set it to the \
             address of one (`cargo xtask servers` starts them and prints the variables)"
        )
    })
}

/// Does what waits for other processes where no task of the runtime waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a panic while waiting for a server")?
}
