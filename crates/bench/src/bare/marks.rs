//! Marks in Redis: of what is begun by nobody else.

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use redis::{ExistenceCheck, SetExpiry, SetOptions};

/// A day, in milliseconds.
const KEPT_MS: u64 = 86_400_000;

#[derive(Clone)]
pub(super) struct Marks(MultiplexedConnection);

impl Marks {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self(redis::Client::open(url)?.get_multiplexed_async_connection().await?))
    }

    /// Sets marks, in one pipeline. Says of each whether it was set by nobody before.
    pub(super) async fn set(&self, keys: &[String]) -> Result<Vec<bool>> {
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(KEPT_MS));
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.set_options(key, 1, options.clone());
        }
        let answers: Vec<Option<String>> = pipeline.query_async(&mut self.0.clone()).await?;
        Ok(answers.iter().map(Option::is_some).collect())
    }
}
