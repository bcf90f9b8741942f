//! Producers: each a connection of its own, over which it sends events one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::receiver::{now_ns, start};

/// Padding that makes an event about 500 bytes.
pub(crate) const PADDING_BYTES: usize = 380;

/// The event as JSON.
pub(crate) fn event() -> String {
    event_named("BENCH_EVENT")
}

/// The same with another name.
pub(crate) fn event_named(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","account":"bench","variables":{{"T0":{},"COMMENT_ID":178,"PAD":"{}"}}}}"#,
        now_ns(),
        "x".repeat(PADDING_BYTES),
    )
}

/// What the bare client sends: the body that Ringback makes of the same event, without the ids.
pub(crate) fn form() -> String {
    format!("T0={}&COMMENT_ID=178&PAD={}", now_ns(), "x".repeat(PADDING_BYTES))
}

/// One producer's connection.
pub(crate) struct Producer {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Producer {
    pub(crate) async fn connect(server: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        start(async move {
            let _server_gone = driver.await;
        });
        Ok(Self { connection, host: server.to_string(), authorization: format!("Bearer {key}") })
    }

    pub(crate) async fn send(&mut self, body: String) -> anyhow::Result<()> {
        let request = Request::post("/v1/events")
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        self.connection.ready().await?;
        let answer = self.connection.send_request(request).await?;
        ensure!(answer.status() == 202, "an event was answered {}", answer.status());
        answer.into_body().collect().await?;
        Ok(())
    }
}

/// Sends `events` events over `producers` connections, each as fast as it is answered. Counts those `accepted`.
pub(crate) async fn closed_loop(
    server: SocketAddr,
    key: &str,
    producers: usize,
    events: usize,
    accepted: &Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let left = Arc::new(AtomicUsize::new(events));
    let mut tasks = JoinSet::new();
    for _ in 0..producers {
        let mut producer = Producer::connect(server, key).await?;
        let (left, accepted) = (left.clone(), accepted.clone());
        tasks.spawn(async move {
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                producer.send(event()).await?;
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Sends `per_second` events a second for `duration`, whatever the answers take. `event` makes the one of a number.
pub(crate) async fn open_loop(
    server: SocketAddr,
    key: &str,
    per_second: u32,
    duration: Duration,
    event: impl Fn(usize) -> String,
) -> anyhow::Result<usize> {
    const LANES: usize = 32;
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.push(Arc::new(tokio::sync::Mutex::new(Producer::connect(server, key).await?)));
    }
    let events = (f64::from(per_second) * duration.as_secs_f64()) as usize;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..events {
        let due = began + Duration::from_secs_f64(number as f64 / f64::from(per_second));
        tokio::time::sleep_until(due.into()).await;
        let lane = lanes[number % LANES].clone();
        let body = event(number);
        tasks.spawn(async move { lane.lock().await.send(body).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(events)
}
