//! An HTTP server that subscribers would be ashamed of.

mod behaviour;
mod log;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ringback_runtime::{Clock as _, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use self::behaviour::Content;
pub use self::behaviour::{Answer, Behaviour, Wire};
use self::log::{Exchange, Log};
pub use self::log::{Memory, Received, Tally, TallyKey};
use crate::certificate::Certificate;

/// An HTTP/1.1 server on a free loopback port that does what it is told, path by path, and remembers what it was sent.
///
/// It answers 204 until told otherwise. It stops, and closes its connections, when dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    server: AbortHandle,
}

struct Shared {
    log: Arc<Log>,
    wire: RwLock<Wire>,
    elsewhere: RwLock<Behaviour>,
    paths: RwLock<HashMap<String, Behaviour>>,
}

impl Receiver {
    /// Starts one that remembers every request.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Memory::Requests, None).await
    }

    /// Starts one that only counts: for benchmarks.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start_counting() -> anyhow::Result<Self> {
        Self::start_with(Memory::Counts, None).await
    }

    /// Starts one that speaks HTTPS with this certificate.
    ///
    /// # Errors
    /// If no port can be had, or the certificate can't be used.
    pub async fn start_tls(certificate: &Certificate) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
        Self::start_with(Memory::Requests, Some(acceptor)).await
    }

    async fn start_with(memory: Memory, tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("binding a receiver")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            log: Arc::new(Log::new(memory)),
            wire: RwLock::new(Wire::Http),
            elsewhere: RwLock::new(Behaviour::status(204)),
            paths: RwLock::new(HashMap::new()),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = tokio::spawn(accept(listener, tls, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, scheme, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL with this path, such as `/hook`, and query, if any.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let Self { scheme, address, .. } = self;
        format!("{scheme}://{address}{path}")
    }

    /// Tells it what to do with requests to this path from now on.
    pub fn on(&self, path: &str, behaviour: impl Into<Behaviour>) {
        write(&self.shared.paths).insert(path.to_owned(), behaviour.into());
    }

    /// Tells it what to do with requests to all other paths from now on.
    pub fn on_others(&self, behaviour: impl Into<Behaviour>) {
        *write(&self.shared.elsewhere) = behaviour.into();
    }

    /// Tells it what to do with new connections from now on.
    pub fn on_connections(&self, wire: Wire) {
        *write(&self.shared.wire) = wire;
    }

    /// All requests, in the order they came in.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.log.requests()
    }

    /// The requests to one path, in the order they came in.
    #[must_use]
    pub fn requests_to(&self, path: &str) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(|request| request.uri.path() == path);
        requests
    }

    /// How many requests came with each path and `webhook-id`, and when the first did.
    #[must_use]
    pub fn tallies(&self) -> HashMap<TallyKey, Tally> {
        self.shared.log.tallies()
    }

    /// How many requests came in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.shared.log.total()
    }

    /// How many requests are open now: come in, and neither answered nor closed.
    #[must_use]
    pub fn open_now(&self) -> usize {
        self.shared.log.open()
    }

    /// Returns once `total` requests have come in.
    ///
    /// # Panics
    /// If they don't within `deadline`.
    pub async fn wait_for(&self, total: u64, deadline: Duration) {
        let came = self.shared.log.wait(deadline, |view| view.total >= total).await;
        assert!(came, "{} requests after {deadline:?}, not {total}", self.total());
    }

    /// Returns once `total` requests have come in and none of them is open.
    ///
    /// # Panics
    /// If they don't within `deadline`.
    pub async fn wait_for_ended(&self, total: u64, deadline: Duration) {
        let ended = |view: &log::View<'_>| view.total >= total && view.open == 0;
        let came = self.shared.log.wait(deadline, ended).await;
        let (so_far, open) = (self.total(), self.open_now());
        assert!(
            came,
            "{so_far} requests after {deadline:?}, {open} of them open, not {total} and 0"
        );
    }

    /// Returns once `enough` says so of the requests so far.
    ///
    /// # Panics
    /// If it does not within `deadline`; `what` says what was waited for.
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        enough: impl Fn(&[Received]) -> bool,
    ) {
        let met = self.shared.log.wait(deadline, |view| enough(view.requests)).await;
        assert!(met, "no {what} after {deadline:?}, {} requests came", self.total());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn behaviour(&self, path: &str) -> Behaviour {
        if let Some(behaviour) = read(&self.paths).get(path) {
            return behaviour.clone();
        }
        read(&self.elsewhere).clone()
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().expect("nothing panics while it holds a receiver's behaviour")
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().expect("nothing panics while it holds a receiver's behaviour")
}

/// Takes connections until it is aborted, which closes them all.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // A connection that breaks is the client's affair; the tests look at what the client says of it.
    let _ = stream.set_nodelay(true);
    let wire = *read(&shared.wire);
    match (wire, tls) {
        (Wire::CloseAtOnce, _) => {}
        (Wire::Garbage, _) => {
            let _ = stream.write_all(b"\x00\xffthis is not HTTP\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
        (Wire::Http, None) => speak(stream, shared).await,
        (Wire::Http, Some(tls)) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, shared).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send, shared: Arc<Shared>) {
    let service = service_fn(|request| exchange(request, &shared));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The receiver closes the connection instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

async fn exchange(
    request: http::Request<Incoming>,
    shared: &Shared,
) -> Result<http::Response<Content>, Closed> {
    let (head, body) = request.into_parts();
    let mut behaviour = shared.behaviour(head.uri.path());
    let body = match behaviour {
        Behaviour::CloseBeforeBody => Bytes::new(),
        _ => read_body(body).await?,
    };
    let mut received = Received {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        arrived: Instant::now(),
        arrived_at: SystemClock.now(),
        answered: None,
        status: None,
        ended: None,
        number: 0,
    };
    let open = shared.log.arrived(&mut received);
    loop {
        behaviour = match behaviour {
            Behaviour::Answer(answer) => return Ok(give(answer, open)),
            Behaviour::CloseBeforeBody | Behaviour::CloseAfterRequest => return Err(Closed),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Choose(choose) => choose(&received),
            Behaviour::FailFirst { times, failure, .. } if received.number <= times => *failure,
            Behaviour::FailFirst { then, .. } => *then,
            Behaviour::After(delay, then) => {
                tokio::time::sleep(delay).await;
                *then
            }
        };
    }
}

fn give(answer: Answer, open: Exchange) -> http::Response<Content> {
    open.answered(answer.status);
    answer.into_response()
}

async fn read_body(mut body: Incoming) -> Result<Bytes, Closed> {
    let mut whole = BytesMut::new();
    loop {
        let frame =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
        let Some(frame) = frame.await else {
            return Ok(whole.freeze());
        };
        if let Ok(data) = frame.map_err(|_| Closed)?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
}
