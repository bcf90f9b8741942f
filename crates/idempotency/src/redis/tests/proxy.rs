//! Stands between store and server, and loses answers.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// Hands everything on, but for an answer that it is told to lose: then it closes the connection in its place.
pub(super) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    to_lose: AtomicU32,
    lost: AtomicU32,
}

impl Proxy {
    pub(super) async fn start(url: &str) -> Self {
        let server = redis::Client::open(url).expect("a valid address");
        let server = server.get_connection_info().addr().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(serve(listener, server, Arc::clone(&shared)));
        Self { port, shared, task }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The server does what it is told next, and nobody hears of it.
    pub(super) fn lose_next_answer(&self) {
        self.shared.to_lose.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: String, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("it listens");
        let server = TcpStream::connect(&server).await.expect("the server is there");
        connections.spawn(hand_on(client, server, Arc::clone(&shared)));
    }
}

async fn hand_on(mut client: TcpStream, mut server: TcpStream, shared: Arc<Shared>) {
    let (mut question, mut answer) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => server.write_all(&question[..read]).await.expect("the server reads"),
            },
            read = server.read(&mut answer) => {
                let read = read.expect("the server answers");
                let lose = |left: u32| left.checked_sub(1);
                let order = Ordering::SeqCst;
                if shared.to_lose.fetch_update(order, order, lose).is_ok() {
                    shared.lost.fetch_add(1, order);
                    return;
                }
                if client.write_all(&answer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
