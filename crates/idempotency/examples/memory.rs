//! How much memory a Redis needs: for each claim that is held and each that was, each callback with a rate, each event id
//! and each `Idempotency-Key` that clients chose. Measured on a Redis of its own.
//!
//! `cargo run --release -p ringback-idempotency --example memory [how many of each]`

#![allow(clippy::print_stdout, reason = "a measurement for a person to read")]

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ringback_core::rate::{Asking, RateLimit};
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::{CallbackId, DeliveryId, EventId, Timestamp};
use ringback_idempotency::redis::{Redis, Settings};
use ringback_idempotency::{AttemptKey, Claim, Fence, Idempotency as _, RequestKey};
use ringback_runtime::SystemClock;
use ringback_testkit::servers::{self, RedisSettings};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AT_ONCE: usize = 256;
/// To each callback with a rate of one a second: its count is kept for as many seconds.
const REQUESTS: u32 = 20;
/// So few that none of the counts is gone before the memory is looked at.
const CALLBACKS_MAX: u32 = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    println!("{count} of each, in a Redis of their own:");
    let claim = bytes_each(count, async |store| {
        for bundle in bundles(count) {
            granted(&store, &bundle).await;
        }
    });
    let claim = claim.await?;
    let waiting = bytes_each(count, async |store| {
        // What a worker does with what has to wait: for its retry, its turn, its callback.
        for bundle in bundles(count) {
            store.forget(&granted(&store, &bundle).await).await.expect("redis is there");
        }
    });
    let waiting = waiting.await?;
    let mark = bytes_each(count, async |store| {
        for bundle in bundles(count) {
            store.settle(&granted(&store, &bundle).await).await.expect("redis is there");
        }
    });
    let mark = mark.await?;
    let callbacks = (count / REQUESTS).clamp(1, CALLBACKS_MAX);
    let rate = bytes_each(callbacks, async |store| {
        each(callbacks, |number| one_rate(Arc::clone(&store), number)).await;
    });
    let rate = rate.await?;
    let id = bytes_each(count, async |store| {
        each(count, |number| one_request(Arc::clone(&store), event_id(number), None)).await;
    });
    let id = id.await?;
    let key = bytes_each(count, async |store| {
        each(count, |number| {
            let key = format!("order-{number:010}-2f4c61d0-9d6e-4c0e-8f8a");
            let key = RequestKey::Header { account: "acme".parse().ok(), key };
            one_request(Arc::clone(&store), key, Some(answer(number)))
        })
        .await;
    });
    let key = key.await?;
    println!("{claim:>5} bytes  claim held");
    println!("{waiting:>5} bytes  delivery that waits");
    println!("{mark:>5} bytes  mark of a slow attempt that was handed over");
    println!("{rate:>5} bytes  callback with a rate");
    println!("{id:>5} bytes  event id that its producer chose");
    println!("{key:>5} bytes  Idempotency-Key of a request with one event");
    println!();
    println!("bytes = {claim} x attempts under way at once");
    println!("      + {mark} x slow attempts handed over in ten minutes");
    println!("      + {rate} x callbacks with a rate that are sent to");
    println!("      + {id} x events a day that come with an id");
    println!("      + {key} x requests a day that come with an Idempotency-Key");
    println!(
        "A day, as ids and keys are remembered for 24 hours. A key with an array of events needs about"
    );
    println!("70 bytes more for each event after the first.");
    Ok(())
}

/// The memory that what `fill` puts into an empty Redis takes, for each of `count`.
async fn bytes_each<F: Future<Output = ()>>(
    count: u32,
    fill: impl FnOnce(Arc<Redis>) -> F,
) -> Result<u64> {
    let arguments = vec!["--appendonly".to_owned(), "no".to_owned()];
    let server = servers::Redis::start(RedisSettings { arguments }).await?;
    let store = Redis::connect(Settings::new(Secret::new(server.url()))).await?;
    let before = store.facts(&SystemClock).await?[0].memory_bytes;
    fill(Arc::clone(&store)).await;
    let after = store.facts(&SystemClock).await?[0].memory_bytes;
    Ok((after - before) / u64::from(count))
}

/// Attempts, as many as a worker claims with one call.
fn bundles(count: u32) -> Vec<Vec<AttemptKey>> {
    let attempt = |number| AttemptKey {
        delivery: DeliveryId::from_parts(Timestamp::EPOCH, random(number)),
        attempt: AttemptNumber::MIN,
    };
    let attempts: Vec<_> = (0..count).map(attempt).collect();
    attempts.chunks(25).map(<[_]>::to_vec).collect()
}

async fn granted(store: &Redis, bundle: &[AttemptKey]) -> Vec<(AttemptKey, Fence)> {
    let claims = store.claim(bundle, Duration::from_secs(600)).await.expect("redis is there");
    let fences = claims.into_iter().map(|claim| match claim {
        Claim::Granted(fence) => fence,
        Claim::Held { .. } | Claim::Settled => unreachable!("nobody else claims"),
    });
    bundle.iter().copied().zip(fences).collect()
}

/// All of them at once, so that the next one would have to wait.
async fn one_rate(store: Arc<Redis>, number: u32) {
    let limit = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::MAX };
    let callback = CallbackId::from_parts(Timestamp::EPOCH, random(number));
    for _ in 0..REQUESTS {
        store.admit(callback, limit, Asking::First).await.expect("redis is there");
    }
}

async fn one_request(store: Arc<Redis>, key: RequestKey, answer: Option<String>) {
    let fingerprint = if answer.is_some() { "of the body, 64 digits in fact" } else { "" };
    store.begin(&key, fingerprint, DAY, "1767323045678").await.expect("redis is there");
    store.complete(&key, answer.as_deref().unwrap_or("")).await.expect("redis is there");
}

async fn each<F: Future<Output = ()>>(count: u32, one: impl Fn(u32) -> F) {
    futures_util::stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).count().await;
}

fn event_id(number: u32) -> RequestKey {
    let account = "acme".parse().expect("a valid account");
    RequestKey::Event { account, id: EventId::from_parts(Timestamp::EPOCH, random(number)) }
}

/// As ingest answers.
fn answer(number: u32) -> String {
    let id = EventId::from_parts(Timestamp::EPOCH, random(number));
    format!(r#"{{"status":"accepted","id":"{id}"}}"#)
}

fn random(number: u32) -> [u8; 10] {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    random
}
