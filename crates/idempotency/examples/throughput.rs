//! How many bundles of 25 keys a second are claimed and forgotten, and what that costs Redis and us. Measured on a Redis
//! of its own.
//!
//! `cargo run --release -p ringback-idempotency --example throughput [bundles] [at once]`

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement for a person to read"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::{DeliveryId, Timestamp};
use ringback_idempotency::redis::{Redis, Settings};
use ringback_idempotency::{AttemptKey, Claim, Idempotency as _};
use ringback_testkit::servers::{self, RedisSettings};

const BUNDLE: u32 = 25;
const LEASE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bundles: u32 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let at_once: usize = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let server = servers::Redis::start(RedisSettings::default()).await?;
    let store = Redis::connect(Settings::new(Secret::new(server.url()))).await?;

    let (redis_before, us_before) = (server.cpu()?, own_cpu()?);
    let begun = Instant::now();
    futures_util::stream::iter(0..bundles)
        .map(|number| claim_and_forget(Arc::clone(&store), number))
        .buffer_unordered(at_once)
        .count()
        .await;
    let took = begun.elapsed().as_secs_f64();
    let (redis, us) = (server.cpu()? - redis_before, own_cpu()? - us_before);

    let keys = f64::from(bundles * BUNDLE);
    println!(
        "{bundles} bundles of {BUNDLE} keys claimed and forgotten, {at_once} at once, {took:.2} s:"
    );
    println!("{:>9.0} keys/s", keys / took);
    println!("{:>9.4} s of processor time of redis for 10,000 keys", per_10_000(redis, keys));
    println!("{:>9.4} s of our own", per_10_000(us, keys));
    Ok(())
}

async fn claim_and_forget(store: Arc<Redis>, bundle: u32) {
    let attempts: Vec<_> = (0..BUNDLE)
        .map(|number| {
            let mut random = [0; 10];
            random[6..].copy_from_slice(&(bundle * BUNDLE + number).to_be_bytes());
            AttemptKey {
                delivery: DeliveryId::from_parts(Timestamp::EPOCH, random),
                attempt: AttemptNumber::MIN,
            }
        })
        .collect();
    let claims = store.claim(&attempts, LEASE).await.expect("redis is there");
    let granted: Vec<_> = attempts
        .into_iter()
        .zip(claims)
        .map(|(attempt, claim)| match claim {
            Claim::Granted(fence) => (attempt, fence),
            Claim::Held { .. } | Claim::Settled => unreachable!("nobody else is there"),
        })
        .collect();
    store.forget(&granted).await.expect("redis is there");
}

/// The processor time that this process has used.
fn own_cpu() -> Result<Duration, Box<dyn std::error::Error>> {
    // Linux counts these in hundredths of a second, whatever the kernel's own tick.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no name in /proc/self/stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * ticks.sum::<Result<u32, _>>()?)
}

fn per_10_000(cpu: Duration, keys: f64) -> f64 {
    cpu.as_secs_f64() * 10_000.0 / keys
}
