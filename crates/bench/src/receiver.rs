//! The receiver: answers 204 at once and counts. `/fail` answers 500, `/flaky` the first attempt of one event in 20;
//! `/slow` takes 50 ms; `/hang` does not answer; `/apart` answers and does not count.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// The field of an event that says when it was sent, in nanoseconds since 1970: in a form, and in JSON.
const SENT_AT: [&str; 2] = ["T0=", "T0\":"];

/// The header that says which attempt a request is. A yardstick's first says nothing.
pub(crate) const ATTEMPT: &str = "ringback-attempt";

/// What `/slow` takes.
pub(crate) const SLOW: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Seen {
    count: u64,
    latencies_us: Vec<u32>,
}

/// Serves until standard input ends: so it goes when its parent goes.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("{}\n", listener.local_addr()?))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut stdin = tokio::io::stdin();
    let mut parent_gone = [0; 1];
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = stdin.read(&mut parent_gone) => return Ok(()),
        };
        connection.set_nodelay(true)?;
        let seen = seen.clone();
        start(async move {
            let service = service_fn(|request| answer(request, seen.clone()));
            let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
            let _client_gone = served.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let is_first_attempt = request.headers().get(ATTEMPT).is_none_or(|number| number == "1");
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    // Callbacks differ in what follows.
    let behaviour = path.split('/').nth(1).unwrap_or_default();
    match behaviour {
        "count" => {
            let count = seen.lock().expect("nobody panics holding it").count;
            return Ok(Response::new(Full::from(format!(r#"{{"count":{count}}}"#))));
        }
        "latencies" => return Ok(Response::new(Full::from(take_latencies(&seen)))),
        "hang" => std::future::pending::<()>().await,
        "slow" => tokio::time::sleep(SLOW).await,
        "apart" => return Ok(status(StatusCode::NO_CONTENT)),
        _ => {}
    }
    let sent_at_ns = sent_at_ns(&body);
    if behaviour == "flaky" && is_first_attempt && sent_at_ns.is_some_and(is_one_in_20) {
        return Ok(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    let mut seen = seen.lock().expect("nobody panics holding it");
    seen.count += 1;
    if let Some(sent_at_ns) = sent_at_ns {
        let late_us = now_ns().saturating_sub(sent_at_ns) / 1_000;
        seen.latencies_us.push(u32::try_from(late_us).unwrap_or(u32::MAX));
    }
    Ok(status(match behaviour {
        "fail" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::NO_CONTENT,
    }))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The same events each time they come.
fn is_one_in_20(sent_at_ns: u64) -> bool {
    (sent_at_ns / 1_000).is_multiple_of(20)
}

/// Latencies since the last time they were asked for.
fn take_latencies(seen: &Mutex<Seen>) -> String {
    let mut latencies =
        std::mem::take(&mut seen.lock().expect("nobody panics holding it").latencies_us);
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    format!(r#"{{"p50_us":{},"p99_us":{}}}"#, at(0.5), at(0.99))
}

fn sent_at_ns(body: &[u8]) -> Option<u64> {
    let behind = |name: &str| {
        Some(body.windows(name.len()).position(|w| w == name.as_bytes())? + name.len())
    };
    let from = SENT_AT.into_iter().find_map(behind)?;
    let digits = body[from..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time, across processes")]
pub(crate) fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "ends with its connection")]
pub(crate) fn start(run: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(run);
}

pub(crate) fn say(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
