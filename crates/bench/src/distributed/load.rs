//! Load as fast as it is taken, and what is measured of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use super::pipeline::Pipeline;
use super::table::Parts;
use crate::producer::closed_loop;
use crate::server::ADMIN_KEY;

pub(super) const PRODUCERS: usize = 64;

/// Connections, statements and caches are warm after so many events.
const WARM_UP: usize = 1_000;

/// Rows and acks that follow the last delivery count as well.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How often the backlog is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What came of a load.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// From the first event to the last delivery.
    pub(super) deliveries_per_second: f64,
    /// From the first event to the last that was taken.
    pub(super) accepted_per_second: f64,
    /// Seconds of processor time for 10,000 deliveries.
    pub(super) cpu: Parts,
    /// Deliveries to come, at each look.
    pub(super) backlog: Vec<u64>,
}

/// Sends `events` events over 64 connections, each as fast as it is answered.
///
/// `counted` is the share of the deliveries until whose last the rate is taken: of those that fail once, a few come
/// long after the others.
pub(super) async fn load(
    bench: &Bench,
    pipeline: &Pipeline,
    fan_out: usize,
    events: usize,
    counted: f64,
) -> Result<Run> {
    let receiver = &bench.receiver;
    let before = receiver.count().await?;
    closed_loop(pipeline.address, ADMIN_KEY, PRODUCERS, WARM_UP, &Arc::default()).await?;
    let before = before + (WARM_UP * fan_out) as u64;
    receiver.wait_for(before).await?;
    tokio::time::sleep(AFTERWARDS).await;

    let deliveries = (events * fan_out) as u64;
    let cpu = pipeline.cpu_seconds(bench)?;
    let began = Instant::now();
    let accepted = Arc::new(AtomicUsize::new(0));
    let sending = async {
        closed_loop(pipeline.address, ADMIN_KEY, PRODUCERS, events, &accepted).await?;
        anyhow::Ok(began.elapsed())
    };
    let receiving = receiver.wait_for(before + (deliveries as f64 * counted) as u64);
    let mut backlog = Vec::new();
    let looking = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let taken = accepted.load(Ordering::Relaxed) * fan_out;
            backlog.push((taken as u64).saturating_sub(receiver.count().await? - before));
        }
    };
    let (sent, received) = tokio::select! {
        both = async { tokio::try_join!(sending, receiving) } => both?,
        failed = looking => return failed,
    };
    receiver.wait_for(before + deliveries).await?;
    tokio::time::sleep(AFTERWARDS).await;
    let cpu = (pipeline.cpu_seconds(bench)? - cpu).for_10k(deliveries);
    let twice = receiver.count().await? - before - deliveries;
    ensure!(twice == 0, "{twice} requests came twice");
    Ok(Run {
        deliveries_per_second: deliveries as f64 * counted / (received - began).as_secs_f64(),
        accepted_per_second: events as f64 / sent.as_secs_f64(),
        cpu,
        backlog,
    })
}
