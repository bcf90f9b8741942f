//! The Redis store under the conformance suite, and what only it promises: real servers, some of which are stopped,
//! filled up or taken away.

#![expect(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

mod claims;
mod cluster;
mod login;
mod outages;
mod proxy;
mod refusals;
mod sentinel;
mod server_facts;
mod traces;
mod versions;

use std::error::Error as _;

use ringback_core::retry::AttemptNumber;
use ringback_core::{DeliveryId, Timestamp};
use ringback_testkit::servers::{RedisSettings, fresh_prefix, redis_url};

use super::*;
use crate::conformance::{self, Harness};

type Server = ringback_testkit::servers::Redis;

/// How long a request may be in progress in these tests: a busy machine does not spend it between two calls.
const IN_PROGRESS: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);
const KEEP: Duration = Duration::from_secs(60 * 60);

/// Keys of its own on a server that others may use too.
struct RedisHarness {
    url: String,
    prefix: String,
    store: Option<Arc<Redis>>,
}

impl RedisHarness {
    async fn new(url: &str) -> Self {
        let prefix = fresh_prefix();
        let store = Some(connect_as(url, &prefix).await);
        Self { url: url.to_owned(), prefix, store }
    }
}

#[async_trait]
impl Harness for RedisHarness {
    fn store(&self) -> Arc<dyn Idempotency> {
        let store = self.store.as_ref().expect("it was started");
        Arc::clone(store) as Arc<dyn Idempotency>
    }

    /// Nobody tells Redis that a process died: its requests are given up when their lease is over.
    async fn restart(&mut self) {
        drop(self.store.take());
        self.advance(IN_PROGRESS).await;
        self.store = Some(connect_as(&self.url, &self.prefix).await);
    }

    async fn advance(&self, by: Duration) {
        // Redis counts whole milliseconds, and what ends in this one is still there.
        tokio::time::sleep(by + Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn redis_store_keeps_the_promises_of_the_port() {
    let url = redis_url().expect("a redis is running");
    conformance::run(|| RedisHarness::new(&url)).await;
}

/// A server of one's own that keeps nothing on disk, set up further with these arguments.
async fn server(arguments: &[&str]) -> Server {
    let arguments = ["--appendonly", "no"].iter().chain(arguments);
    let arguments = arguments.map(|argument| (*argument).to_owned()).collect();
    Server::start(RedisSettings { arguments }).await.expect("redis starts")
}

async fn connect(url: &str) -> Arc<Redis> {
    connect_as(url, &fresh_prefix()).await
}

async fn connect_as(url: &str, prefix: &str) -> Arc<Redis> {
    try_connect(url, prefix).await.expect("nothing is wrong with the settings")
}

async fn try_connect(url: &str, prefix: &str) -> Result<Arc<Redis>, ConnectError> {
    let settings = Settings { url: Secret::new(url), prefix: prefix.to_owned() };
    Redis::connect_with(settings, IN_PROGRESS).await
}

/// Sends a command past the store.
async fn command<T: redis::FromRedisValue>(url: &str, words: &[&[u8]]) -> T {
    let client = redis::Client::open(url).expect("a valid address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(*word);
    });
    command.query_async(&mut connection).await.expect("answered")
}

/// All keys with this prefix.
async fn keys(url: &str, prefix: &str) -> Vec<Vec<u8>> {
    command(url, &[b"KEYS", format!("{prefix}:*").as_bytes()]).await
}

/// What `look` finds as soon as it finds something: Redis does not tell when it is ready.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("no {what}"))
}

fn attempt(delivery: u32, attempt: u32) -> AttemptKey {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&delivery.to_be_bytes());
    AttemptKey {
        delivery: DeliveryId::from_parts(Timestamp::EPOCH, random),
        attempt: AttemptNumber::new(attempt).expect("from 1"),
    }
}

fn header(key: &str) -> RequestKey {
    RequestKey::Header { account: None, key: key.to_owned() }
}

async fn granted(store: &Redis, key: AttemptKey) -> Fence {
    match store.claim(&[key], LEASE).await.expect("claimed")[..] {
        [Claim::Granted(fence)] => fence,
        ref other => unreachable!("it is free: {other:?}"),
    }
}

async fn begin(store: &Redis, key: &str, mark: &str) -> Begun {
    store.begin(&header(key), "x", KEEP, mark).await.expect("begun")
}

/// Everything once: who can do this can do all.
async fn does_everything(store: &Arc<Redis>) {
    let fence = granted(store, attempt(1, 1)).await;
    store.settle(&[(attempt(1, 1), fence)]).await.expect("settled");
    let both = [attempt(1, 1), attempt(2, 1)];
    let claims = store.claim(&both, LEASE).await.expect("claimed");
    assert!(matches!(claims[..], [Claim::Settled, Claim::Granted(_)]), "{claims:?}");
    store.forget(&[(attempt(1, 1), fence)]).await.expect("forgotten");
    granted(store, attempt(1, 1)).await;

    assert_eq!(begin(store, "a", "mark").await, Begun::New);
    assert_eq!(begin(store, "a", "other").await, Begun::InProgress);
    store.leave_open(&header("a")).await.expect("left");
    assert_eq!(begin(store, "a", "other").await, Begun::Unfinished { mark: "mark".to_owned() });
    store.complete(&header("a"), "answer").await.expect("completed");
    assert_eq!(begin(store, "a", "other").await, Begun::Done { answer: "answer".to_owned() });
    assert_eq!(begin(store, "b", "mark").await, Begun::New);
    store.abandon(&header("b")).await.expect("abandoned");
    assert_eq!(begin(store, "b", "mark").await, Begun::New);

    let callback = CallbackId::from_parts(Timestamp::EPOCH, [1; 10]);
    let one = std::num::NonZeroU32::MIN;
    let limit = RateLimit { per_second: one, burst: one };
    let admit = || store.admit(callback, limit, Asking::First);
    assert_eq!(admit().await.expect("asked"), Admission::Now);
    assert!(matches!(admit().await.expect("asked"), Admission::Wait(_)));
    store.ready().await.expect("it can be written to");
}

/// The fault that an error is about.
fn fault(error: &Error) -> &Fault {
    let fault = error.source().and_then(|cause| cause.downcast_ref::<Fault>());
    match fault.expect("a fault") {
        Fault::Away(fault) => fault,
        fault => fault,
    }
}
