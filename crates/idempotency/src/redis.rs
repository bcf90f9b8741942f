//! The idempotency store of many Ringbacks: a Redis that they share.
//!
//! Redis is a memory that may be lost, never the truth. Without it work goes on: nobody waits for it longer than half a
//! second, and while it is away calls fail at once. It comes back into use by itself.
//!
//! All times are Redis's own, so the clocks of the machines that share it need not agree. Each key has a time to live:
//! a Ringback that dies leaves nothing for ever.
//!
//! Needs Redis 6 or later, or Valkey, as one server, with Sentinel, or as a cluster. `maxmemory-policy` should be
//! `noeviction` ([`Facts::concerns`] says so): a claim that is evicted may be granted again.

mod address;
mod claims;
mod facts;
mod fault;
mod keys;
mod link;
mod rates;
mod requests;
mod script;
mod server;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringback_core::CallbackId;
use ringback_core::rate::{Admission, Asking, RateLimit};
use ringback_core::secret::Secret;

pub use self::address::InvalidAddress;
pub use self::facts::{Concern, Facts};
pub use self::fault::Fault;
pub use self::keys::InvalidPrefix;
pub use self::link::Reachability;

use self::address::Address;
use self::keys::Keys;
use self::link::{Link, Repeat};
use self::requests::Beginning;
use self::server::Server;
use self::tokens::Tokens;
use crate::{AttemptKey, Begun, Claim, Error, Fence, Idempotency, RequestKey};

/// A request that takes longer than this is taken for lost, and a repeat is told [`Begun::Unfinished`]: its process died,
/// or it waits for a queue that does not confirm. Publishing twice with the same mark makes the same ids.
const IN_PROGRESS_MAX: Duration = Duration::from_secs(10);

/// How long the key lives that is written to see whether it can be.
const PROBE_KEPT_MS: u64 = 1_000;

/// Where the Redis is, and under which names it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One of
    /// - `redis://USER:PASSWORD@HOST:PORT/DATABASE`, or `rediss://` for TLS. All but the host may be left out; the port
    ///   is 6379 then.
    /// - `unix:///PATH?user=USER&pass=PASSWORD&db=DATABASE`
    /// - `redis-cluster://USER:PASSWORD@HOST:PORT,HOST:PORT,…`, or `rediss-cluster://`: some nodes, which know the others.
    /// - `redis-sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT,…/PRIMARY/DATABASE`, or `rediss-sentinel://`: all
    ///   sentinels, on port 26379 unless said, and the name by which they know the primary. User and password are for
    ///   the primary; that of the sentinels follows as `?sentinel_password=…`.
    ///
    /// Certificates are checked against the system's authorities, or those of `SSL_CERT_FILE`.
    pub url: Secret,
    /// What keys begin with: 1 to 32 letters, digits and any of `-_.:`. Ringbacks that share a Redis and not their work
    /// have different ones.
    pub prefix: String,
}

impl Settings {
    /// With the usual prefix, `rb`.
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self { url, prefix: "rb".to_owned() }
    }
}

/// Redis can't be used like this, and will not be until a setting is changed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address can't be read.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The address can be read and leads nowhere.
    #[error("redis_url: no connection can be made with it")]
    Unusable(#[source] Fault),
    /// The prefix can't be used.
    #[error(transparent)]
    Prefix(#[from] InvalidPrefix),
    /// Redis is there, and this is what it said.
    #[error("redis can't be used")]
    Refused(#[source] Fault),
}

/// An idempotency store that several processes share.
pub struct Redis {
    link: Link,
    keys: Keys,
    tokens: Tokens,
    in_progress_max: Duration,
}

impl Redis {
    /// Connects, and sees whether it can be written to.
    ///
    /// A Redis that is away, or can't be written to for now, is no error: it is used once it can be, and
    /// [`reachability`](Self::reachability) and [`ready`](Idempotency::ready) tell.
    ///
    /// # Errors
    /// [`ConnectError`] if a setting has to be changed first.
    pub async fn connect(settings: Settings) -> Result<Arc<Self>, ConnectError> {
        Self::connect_with(settings, IN_PROGRESS_MAX).await
    }

    async fn connect_with(
        settings: Settings,
        in_progress_max: Duration,
    ) -> Result<Arc<Self>, ConnectError> {
        let keys = Keys::new(settings.prefix)?;
        let server = Server::new(Address::parse(settings.url.reveal())?);
        let server = server.map_err(|error| ConnectError::Unusable(error.into()))?;
        let redis = Self { link: Link::new(server), keys, tokens: Tokens::new(), in_progress_max };
        match redis.look().await {
            Err(fault) if fault.is_permanent() => Err(ConnectError::Refused(fault)),
            Ok(()) | Err(_) => Ok(Arc::new(redis)),
        }
    }

    /// How Redis was when it was last asked. Asks nothing.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        self.link.reachability()
    }

    async fn look(&self) -> Result<(), Fault> {
        if !self.link.is_cluster() {
            let keys = self.keys.probes();
            // A node of a cluster refuses to, as they lie on different ones.
            let read = |_turn| {
                let mut command = redis::cmd("MGET");
                command.arg(&keys);
                command
            };
            self.link.call(Repeat::Safe, read).await?;
        }
        self.probe().await
    }

    /// Writes something.
    async fn probe(&self) -> Result<(), Fault> {
        let [key, _] = self.keys.probes();
        let write = |_turn| {
            let mut command = redis::cmd("SET");
            command.arg(&key).arg(1).arg("PX").arg(PROBE_KEPT_MS);
            command
        };
        self.link.call(Repeat::Safe, write).await.map(drop)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

#[async_trait]
impl Idempotency for Redis {
    async fn claim(&self, attempts: &[AttemptKey], lease: Duration) -> Result<Vec<Claim>, Error> {
        Ok(self.claim_all(attempts, lease).await?)
    }

    async fn settle(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error> {
        Ok(self.settle_all(attempts).await?)
    }

    async fn forget(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error> {
        Ok(self.forget_all(attempts).await?)
    }

    async fn begin(
        &self,
        key: &RequestKey,
        fingerprint: &str,
        keep: Duration,
        mark: &str,
    ) -> Result<Begun, Error> {
        Ok(self.begin_one(key, Beginning { fingerprint, keep, mark }).await?)
    }

    async fn complete(&self, key: &RequestKey, answer: &str) -> Result<(), Error> {
        Ok(self.complete_one(key, answer).await?)
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), Error> {
        Ok(self.abandon_one(key).await?)
    }

    async fn leave_open(&self, key: &RequestKey) -> Result<(), Error> {
        Ok(self.leave_one_open(key).await?)
    }

    async fn admit(
        &self,
        callback: CallbackId,
        limit: RateLimit,
        asking: Asking,
    ) -> Result<Admission, Error> {
        Ok(self.admit_one(callback, limit, asking).await?)
    }

    async fn ready(&self) -> Result<(), Error> {
        Ok(self.probe().await?)
    }
}
