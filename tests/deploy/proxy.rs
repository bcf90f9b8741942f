//! `deploy/proxy/haproxy.cfg`, with HAProxy itself: who gets which request, and that none is sent twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ringback_testkit::{Launch, Process, free_port};

use crate::support::{command, read, root, run};

const CONFIGURATION: &str = "deploy/proxy/haproxy.cfg";
const LONG: Duration = Duration::from_secs(20);

/// How a backend behaves towards events. Checks of its health are answered all the same.
#[derive(Clone, Copy, PartialEq)]
enum Conduct {
    Takes,
    /// Alive, and not ready: RabbitMQ is away.
    NotReady,
    /// Dies when it has read one.
    Dies,
}

/// What stands behind the proxy.
struct Backend {
    port: u16,
    /// The first lines of requests, checks of health left out.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it has an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = seen.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = shared.clone();
                thread::spawn(move || answer(&stream, conduct, &seen));
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

/// Answers one request.
fn answer(mut stream: &TcpStream, conduct: Conduct, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => head.push(line.trim_end().to_ascii_lowercase()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let status = match (head[0].split(' ').nth(1), conduct) {
        (Some("/healthz"), _) => "200 OK",
        (Some("/readyz"), Conduct::NotReady) => "503 Service Unavailable",
        (Some("/readyz"), _) => "200 OK",
        (_, conduct) => {
            seen.lock().expect("nobody panicked").push(head[0].clone());
            match conduct {
                Conduct::Takes => "202 Accepted",
                Conduct::NotReady => "503 Service Unavailable\r\nRetry-After: 5",
                Conduct::Dies => return,
            }
        }
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Who went away needs no answer.
    let _ = stream.write_all(answer.as_bytes());
}

struct Proxy {
    port: u16,
    process: Process,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// HAProxy with our configuration, but for addresses: those of backends are found by name in it. What it says is read
    /// meanwhile by tasks, so a test needs another thread than its own.
    fn start(ingests: &[u16], console: u16, change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [port, health] = [(); 2].map(|()| free_port().expect("a port"));
        let servers = |name: &str, ports: &[u16]| -> String {
            let lines = ports.iter().enumerate();
            lines
                .map(|(index, port)| format!("    server {name}{index} 127.0.0.1:{port}\n"))
                .collect()
        };
        let text = read(CONFIGURATION)
            .replace("bind :8080", &format!("bind 127.0.0.1:{port}"))
            .replace("bind :8404", &format!("bind 127.0.0.1:{health}"))
            .replace("    server-template ingest 1-16 ingest:8080\n", &servers("ingest", ingests))
            .replace(
                "    server-template console 1-8 console:8080\n",
                &servers("console", &[console]),
            )
            .replace(" init-addr none resolvers docker", "");
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, change(text)).expect("there is room");
        let launch = Launch::new("haproxy", directory.path()).args(["-db", "-f"]).arg(&file);
        let mut process = launch.start().expect("it starts");
        let deadline = Instant::now() + LONG;
        while TcpStream::connect(("127.0.0.1", health)).is_err() {
            assert!(!process.has_ended().expect("it can be asked"), "{}", process.output());
            assert!(Instant::now() < deadline, "{}", process.output());
            thread::yield_now();
        }
        Self { port, process, _directory: directory }
    }

    /// Sends a request and gives the answer, head and body.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

fn free() -> u16 {
    free_port().expect("a port")
}

#[test]
fn configuration_is_one_that_haproxy_takes() {
    let check = |file: &Path| run(command("haproxy").args(["-c", "-f"]).arg(file));
    let (valid, said) = check(&root().join(CONFIGURATION));
    assert!(valid && !said.contains("WARNING"), "{said}");
    let directory = tempfile::tempdir().expect("a directory");
    let bad = crate::support::changed(
        CONFIGURATION,
        "use_backend ingest ",
        "use_backend ingests ",
        directory.path(),
    );
    assert!(!check(&bad).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_go_to_an_ingest_and_all_else_to_a_console() {
    let (ingest, console) = (Backend::start(Conduct::Takes), Backend::start(Conduct::Takes));
    let proxy = Proxy::start(&[ingest.port], console.port, |text| text);
    assert!(proxy.ask("POST", "/v1/events").starts_with("HTTP/1.1 202"));
    for (method, path) in
        [("GET", "/v1/events"), ("POST", "/v1/events/1/replay"), ("GET", "/v1/callbacks")]
    {
        assert!(proxy.ask(method, path).starts_with("HTTP/1.1 202"), "{method} {path}");
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        assert!(proxy.ask("GET", path).starts_with("HTTP/1.1 404"), "{path}");
    }
    assert_eq!(ingest.seen(), ["post /v1/events http/1.1"]);
    assert_eq!(console.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_that_is_not_there_is_passed_over_and_each_event_is_sent_once() {
    let (ingest, console) = (Backend::start(Conduct::Takes), Backend::start(Conduct::Takes));
    let proxy = Proxy::start(&[free(), ingest.port], console.port, |text| text);
    for _ in 0..6 {
        assert!(proxy.ask("POST", "/v1/events").starts_with("HTTP/1.1 202"));
    }
    assert_eq!(ingest.seen().len(), 6);
}

/// How often an event is sent to two ingests that die of it.
fn times_sent(change: impl FnOnce(String) -> String) -> usize {
    let ingests = [Backend::start(Conduct::Dies), Backend::start(Conduct::Dies)];
    let console = Backend::start(Conduct::Takes);
    let proxy = Proxy::start(&[ingests[0].port, ingests[1].port], console.port, change);
    let answer = proxy.ask("POST", "/v1/events");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    ingests.iter().map(|ingest| ingest.seen().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn event_is_not_sent_again_when_an_ingest_dies_of_it() {
    assert_eq!(times_sent(|text| text), 1);
    // What the configuration warns of.
    let eager =
        |text: String| text.replace("retry-on conn-failure", "retry-on all-retryable-errors");
    assert!(times_sent(eager) > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_ingest_that_is_ready_one_says_why() {
    let (ingest, console) = (Backend::start(Conduct::NotReady), Backend::start(Conduct::Takes));
    let proxy = Proxy::start(&[ingest.port], console.port, |text| text);
    let deadline = Instant::now() + LONG;
    let mut asked = 0;
    // Until the proxy has found that it is not ready it asks it as any other, and passes the same answer on. Its log says
    // which way a request took.
    while !proxy.process.output().contains(" ingest_that_says_why/") {
        assert!(Instant::now() < deadline, "{}", proxy.process.output());
        let answer = proxy.ask("POST", "/v1/events");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.to_lowercase().contains("retry-after: 5"), "{answer}");
        asked += 1;
    }
    assert_eq!(ingest.seen().len(), asked);
}
