//! How long a scrape takes with as many callbacks as have series of their own: `cargo run --release -p ringback-metrics
//! --example scrape`.

use std::time::{Duration, Instant};

use ringback_core::CallbackId;
use ringback_core::delivery::DeliveryState;
use ringback_metrics::{CALLBACKS_MAX_DEFAULT, Metrics, WorkerWatch};
use uuid::Uuid;

#[expect(clippy::print_stdout, reason = "for people at a terminal")]
fn main() {
    let ids: Vec<_> = (0..CALLBACKS_MAX_DEFAULT.get() as u128)
        .map(|number| CallbackId::from_uuid(Uuid::from_u128(number.wrapping_mul(u128::MAX / 7))))
        .collect();
    let metrics = Metrics::default();
    let circuits = ids.clone();
    metrics.watch_worker(WorkerWatch {
        circuits: Box::new(move || circuits.iter().map(|id| (*id, 0)).collect()),
        held: Box::new(|| 0),
        held_max: 2_000,
        now: Box::new(|| ringback_core::Timestamp::from_ms(1_800_000_000_000)),
    });
    let callbacks: Vec<_> = ids.into_iter().map(|id| metrics.callback(id)).collect();
    for callback in &callbacks {
        callback.stands(DeliveryState::Delivered);
        callback.delivered_after(Duration::from_millis(3));
    }
    for _ in 0..3 {
        let began = Instant::now();
        let text = metrics.to_text();
        let (callbacks, bytes, lines) = (callbacks.len(), text.len(), text.lines().count());
        println!("{callbacks} callbacks: {lines} lines, {bytes} bytes in {:?}", began.elapsed());
    }
    let counted = 1_000_000;
    let began = Instant::now();
    for number in 0..counted {
        callbacks[number % callbacks.len()].stands(DeliveryState::Delivered);
    }
    println!("counted once: {:?}", began.elapsed() / u32::try_from(counted).unwrap_or(u32::MAX));
}
