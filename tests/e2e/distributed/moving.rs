//! `ringback export` and `ringback import`: from one shape to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringback_core::{EventId, Timestamp};
use ringback_runtime::{Clock as _, SystemClock};
use ringback_testkit::{Behaviour, Launch, Process, Receiver, ringback_binary};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::cluster::{Node, Servers};
use crate::support::{
    ADMIN_KEY, Api, READY, SOON, callback, callback_once, event, eventually, serve, text, with,
    with_settings,
};

/// What retries and schedules wait for: longer than the move takes on a machine that is not loaded.
const WAIT: Duration = Duration::from_secs(15);
/// Secrets of callbacks, as they stand in requests, by the paths these go to.
const SECRETS: [(&str, &str); 5] = [
    ("/auth/none", ""),
    ("/auth/basic", "Basic YWRhOmNvcnJlY3QtaG9yc2U="),
    ("/auth/bearer", "Bearer open-sesame"),
    ("/auth/header", "ApiKey swordfish"),
    ("/auth/callback-key", "Basic xyzzy-plugh"),
];

fn authorization(path: &str) -> Value {
    match path {
        "/auth/basic" => json!({"type": "basic", "username": "ada", "password": "correct-horse"}),
        "/auth/bearer" => json!({"type": "bearer", "token": "open-sesame"}),
        "/auth/header" => json!({"type": "header", "value": "ApiKey swordfish"}),
        "/auth/callback-key" => json!({"type": "callback_key", "key": "xyzzy-plugh"}),
        _ => json!({"type": "none"}),
    }
}

/// What an instance has that is to be moved.
struct Moved {
    receiver: Receiver,
    /// Deliveries by their ids, as the API shows them, that are over.
    settled: BTreeMap<String, Value>,
    /// Events of deliveries that wait, by what for.
    retried: String,
    scheduled: (String, Timestamp),
    parked: Vec<String>,
    paused: String,
    /// One whose id its producer chose.
    chosen: Value,
    /// Signing secrets, by callback.
    signing: BTreeMap<String, String>,
    account_key: String,
}

/// A callback for events of this name alone.
fn for_events(callback: Value, name: &str) -> Value {
    with(callback, json!({"events": [name], "circuit": {"enabled": false}}))
}

impl Moved {
    /// Fills an instance with one of everything.
    async fn fill(ingest: &Api, api: &Api) -> Self {
        let receiver = Receiver::start().await.expect("a port");
        receiver.on("/retried", Behaviour::fail_first(1, 503));
        receiver.on("/exhausted", Behaviour::status(500));
        let url = |path: &str| receiver.url(path);
        for (path, _) in SECRETS {
            let callback =
                with(callback(&url(path)), json!({"authorization": authorization(path)}));
            api.create_callback(&for_events(callback, "AUTHORIZED")).await;
        }
        let later = json!({"retry": {"delay_seconds": WAIT.as_secs(), "max_retries": 2}});
        api.create_callback(&for_events(with(callback(&url("/retried")), later), "RETRIED")).await;
        api.create_callback(&for_events(callback_once(&url("/exhausted")), "EXHAUSTED")).await;
        api.create_callback(&for_events(callback(&url("/scheduled")), "SCHEDULED")).await;
        let paused = for_events(callback(&url("/paused")), "PAUSED");
        let paused = api.create_callback(&paused).await;
        api.post(&format!("/v1/callbacks/{paused}/pause"), &json!({})).await.expect(200);
        let mut signing = BTreeMap::new();
        for callback in api.list("/v1/callbacks").await {
            let id = text(&callback["id"]);
            let secret = api.get(&format!("/v1/callbacks/{id}/secret")).await.expect(200);
            signing.insert(id, text(&secret["secret"]));
        }
        let account_key = api.create_key(Some("acme")).await;

        let authorized = ingest.send(&event("AUTHORIZED")).await;
        let chosen = with(event("CHOSEN"), json!({"id": new_id()}));
        ingest.send(&chosen).await;
        let exhausted = ingest.send(&event("EXHAUSTED")).await;
        api.settled_delivery(&exhausted).await;
        let retried = ingest.send(&event("RETRIED")).await;
        let at = SystemClock.now() + WAIT;
        let at_text = json!({"deliver_at": at.to_string()});
        let scheduled = ingest.send(&with(event("SCHEDULED"), at_text)).await;
        let mut parked = Vec::new();
        for _ in 0..3 {
            parked.push(ingest.send(&event("PAUSED")).await);
        }
        let waits = |reason: &'static str| move |delivery: &Value| delivery["waits_for"] == reason;
        api.delivery_when(&retried, waits("retry")).await;
        api.delivery_when(&scheduled, waits("scheduled")).await;
        for event in &parked {
            api.delivery_when(event, waits("paused")).await;
        }
        eventually("deliveries with every authorization", SOON, async || {
            let path = format!("/v1/deliveries?event={authorized}&status=delivered");
            (api.list(&path).await.len() == SECRETS.len()).then_some(())
        })
        .await;
        let settled = settled(api).await;
        Self {
            receiver,
            settled,
            retried,
            scheduled: (scheduled, at),
            parked,
            paused,
            chosen,
            signing,
            account_key,
        }
    }

    /// What has to be true of the instance that it was moved to.
    async fn check(&self, ingest: &Api, api: &Api, exhausted: usize) {
        let before = settled(api).await;
        for (id, delivery) in &self.settled {
            assert_eq!(before.get(id), Some(delivery), "the history is the same");
        }
        is_repeat(ingest, &self.chosen).await;
        // What waited comes once, and not before its time.
        for event in [&self.retried, &self.scheduled.0] {
            assert_eq!(api.settled_delivery(event).await["status"], "delivered");
        }
        let retried = self.receiver.requests_to("/retried");
        assert_eq!(retried.len(), 2, "one before, one after");
        assert!(retried[1].arrived.duration_since(retried[0].arrived) >= WAIT);
        let scheduled = self.receiver.requests_to("/scheduled");
        assert_eq!(scheduled.len(), 1);
        assert!(scheduled[0].arrived_at >= self.scheduled.1);
        assert_eq!(self.receiver.requests_to("/paused").len(), 0);
        api.post(&format!("/v1/callbacks/{}/resume", self.paused), &json!({})).await.expect(200);
        for event in &self.parked {
            assert_eq!(api.settled_delivery(event).await["status"], "delivered");
        }
        assert_eq!(self.receiver.requests_to("/paused").len(), self.parked.len());
        assert_eq!(self.receiver.requests_to("/exhausted").len(), exhausted);

        // Keys open what they opened, and secrets are the same.
        let again = ingest.with_key(&self.account_key).send(&event("AUTHORIZED")).await;
        eventually("deliveries with every authorization", SOON, async || {
            let path = format!("/v1/deliveries?event={again}&status=delivered");
            (api.list(&path).await.len() == SECRETS.len()).then_some(())
        })
        .await;
        for (path, header) in SECRETS {
            let requests = self.receiver.requests_to(path);
            assert_eq!(requests.len(), 2, "{path}");
            let request = &requests[1];
            assert_eq!(request.header("authorization"), header, "{path}");
            let secret = &self.signing[request.header("ringback-callback")];
            let webhook = Webhook::new(secret).expect("a secret");
            webhook.verify(&request.body, &request.headers).expect("signed with the same secret");
        }
        ingest.with_key("rbk_nobody").post("/v1/events", &event("A")).await.expect_problem(401);
    }
}

/// Whether an event is known as accepted.
async fn is_repeat(ingest: &Api, event: &Value) {
    let answer = ingest.post("/v1/events", event).await.expect(202);
    assert_eq!(answer["duplicate"], true, "{answer}");
}

/// An id, as producers choose them.
fn new_id() -> String {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the system has random numbers");
    EventId::from_parts(SystemClock.now(), random).to_string()
}

async fn settled(api: &Api) -> BTreeMap<String, Value> {
    let mut settled = BTreeMap::new();
    for delivery in api.list("/v1/deliveries").await {
        if delivery["status"] != "pending" {
            let id = text(&delivery["id"]);
            let whole = api.get(&format!("/v1/deliveries/{id}")).await.expect(200);
            settled.insert(id, whole);
        }
    }
    settled
}

/// Runs a command to its end; gives its exit code and what it said.
async fn run(launch: Launch) -> (Option<i32>, String) {
    let mut process = launch.start().expect("it starts");
    let status = process.wait_exit(SOON).await.expect("it ends");
    (status.code(), process.output())
}

async fn ok(launch: Launch) -> String {
    let (code, output) = run(launch).await;
    assert_eq!(code, Some(0), "{output}");
    output
}

/// An import or export with these files.
fn with_files(launch: Launch, directory: &Path, file: &str) -> Launch {
    launch.arg(directory.join(file)).arg("--key-file").arg(directory.join("transfer-key"))
}

/// A command that works with a data directory below this one.
fn embedded(directory: &Path, command: &str) -> Launch {
    let launch = Launch::new(ringback_binary().expect("the binary is built"), directory);
    with_settings(launch.arg(command), directory)
}

/// A session of PostgreSQL that holds a lock until it is let go.
struct Holder<'a> {
    servers: &'a Servers,
    psql: Child,
}

impl<'a> Holder<'a> {
    fn hold(servers: &'a Servers, lock: &str) -> Self {
        let statement = format!("BEGIN; {lock}; SELECT pg_sleep(120)");
        let psql = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--dbname", &servers.database_url])
            .args(["--command", &statement])
            .env("PGAPPNAME", "holder")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { servers, psql: psql.expect("psql is installed") }
    }

    /// Waits until somebody else waits for a lock on this table.
    async fn until_waited_for(&self, table: &str) {
        eventually("somebody who waits for the lock", SOON, async || {
            let waiting = self.servers.psql(&format!(
                "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
            ));
            (waiting != "0").then_some(())
        })
        .await;
    }

    /// Waits until it has the lock.
    async fn until_held(&self) {
        eventually("lock", SOON, async || {
            let sleeping = self.servers.psql(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'holder' \
                 AND wait_event = 'PgSleep'",
            );
            (sleeping == "1").then_some(())
        })
        .await;
    }

    fn let_go(mut self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'holder'";
        self.servers.psql(end);
        self.psql.wait().expect("it ends");
    }
}

/// Starts an import and kills it while it waits for what is locked.
async fn killed_import(servers: &Servers, import: &Launch, lock: &str, table: &str) {
    let holder = Holder::hold(servers, lock);
    holder.until_held().await;
    let mut process: Process = import.start().expect("it starts");
    holder.until_waited_for(table).await;
    process.kill9().await.expect("it runs");
    // The server does not notice while a statement waits, and would carry it out.
    servers.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ringback'",
    );
    holder.let_go();
    // The server may hear of it a moment later.
    eventually("database that nobody uses", SOON, async || {
        let others = servers.psql(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'ringback'",
        );
        (others == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn embedded_instance_moves_to_servers_with_all_that_waits_though_imports_are_killed() {
    let (servers, home) = (Servers::start().await, tempfile::tempdir().expect("a directory"));
    let home = home.path();
    ok(servers.bare_launch("migrate").env("RINGBACK_DATABASE_URL", &servers.database_url)).await;
    let (mut process, url) = serve(home).start_ready(READY, SOON).await.expect("it starts");
    let api = Api::new(url, ADMIN_KEY);
    let moved = Moved::fill(&api, &api).await;

    let export = || with_files(embedded(home, "export"), home, "moved.jsonl");
    let (code, said) = run(export()).await;
    assert_eq!(code, Some(69), "it is in use: {said}");
    process.terminate().await.expect("it runs");
    process.wait_exit(SOON).await.expect("it stops");
    let said = ok(export()).await;
    assert!(said.contains("9 callback") && said.contains("message"), "{said}");
    let path = home.join("moved.jsonl");
    for file in [&path, &home.join("transfer-key")] {
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let written = std::fs::read_to_string(&path).expect("text");
    assert!(written.contains("/auth/bearer"), "it is the right file");
    let signing = moved.signing.values().map(|secret| secret.trim_start_matches("whsec_"));
    let keys = ["transfer-key", "data/master-key"]
        .map(|file| std::fs::read_to_string(home.join(file)).expect("there").trim().to_owned());
    let hidden = ["correct-horse", "open-sesame", "swordfish", "xyzzy-plugh"];
    for secret in hidden.into_iter().chain(signing).chain(keys.iter().map(String::as_str)) {
        assert!(!written.contains(secret), "{secret} can be read");
    }
    assert!(!written.contains(&moved.account_key));

    // What is not whole, or not what was exported, is refused before anything is written.
    let import = |file| with_files(servers.launch("import"), home, file);
    let half = &written[..written.len() / 2];
    std::fs::write(home.join("half.jsonl"), half).expect("written");
    let changed = written.replacen("/auth/bearer", "/auth/bearex", 1);
    std::fs::write(home.join("changed.jsonl"), changed).expect("written");
    for (file, why) in [("half.jsonl", "cut off"), ("changed.jsonl", "changed")] {
        let (code, said) = run(import(file)).await;
        assert!(code == Some(64) && said.contains(why), "{file}: {said}");
    }
    std::fs::write(home.join("other-key"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
        .expect("written");
    let wrong = servers.launch("import").arg(&path).arg("--key-file").arg(home.join("other-key"));
    let (code, said) = run(wrong).await;
    assert!(code == Some(64) && said.contains("key file"), "{said}");
    assert_eq!(servers.psql("SELECT COUNT(*) FROM callback"), "0");

    // Killed between rows, and once more after all messages were put on the queue: they are there twice then.
    let import = import("moved.jsonl");
    killed_import(&servers, &import, "LOCK TABLE delivery IN SHARE MODE", "delivery").await;
    assert_ne!(servers.psql("SELECT COUNT(*) FROM event"), "0", "it was in the middle");
    killed_import(&servers, &import, "SELECT * FROM unfinished_import", "unfinished_import").await;
    // RabbitMQ counts every few seconds.
    eventually("messages that are on the queue", SOON, async || {
        (!servers.queues_with_messages().await.is_empty()).then_some(())
    })
    .await;
    // Nobody works on what is there so far.
    for half in [servers.launch("worker"), with_files(servers.launch("export"), home, "no.jsonl")] {
        let (code, said) = run(half).await;
        assert!(code == Some(69) && said.contains("import"), "{said}");
    }
    let said = ok(import.clone()).await;
    assert!(said.contains("goes on"), "{said}");
    let (code, said) = run(import.clone()).await;
    assert!(code == Some(64) && said.contains("not empty"), "{said}");

    let (ingest, worker, console) = futures_util::join!(
        Node::start(servers.launch("ingest")),
        Node::start(servers.launch("worker")),
        Node::start(servers.launch("console")),
    );
    let (code, said) = run(import).await;
    assert!(code == Some(69) && said.contains("at work"), "{said}");
    moved.check(&ingest.api, &console.api, 1).await;
    servers.wait_for_empty_queues().await;
    assert!(!worker.said().contains(" ERROR "), "{}", worker.said());
}

#[tokio::test]
async fn instance_on_servers_moves_into_one_directory_with_all_that_waits() {
    let (servers, home) = (Servers::start().await, tempfile::tempdir().expect("a directory"));
    let home = home.path();
    let (mut ingest, mut worker, mut console) = futures_util::join!(
        Node::start(servers.launch("ingest")),
        Node::start(servers.launch("worker")),
        Node::start(servers.launch("console")),
    );
    let moved = Moved::fill(&ingest.api, &console.api).await;
    worker.stop().await;
    // And one that no worker has looked at.
    let unseen = with(event("EXHAUSTED"), json!({"id": new_id()}));
    let fresh = ingest.api.send(&unseen).await;
    ingest.stop().await;
    let export = || with_files(servers.launch("export"), home, "moved.jsonl");
    let (code, said) = run(export().arg("--without-history")).await;
    assert!(code == Some(69) && said.contains("at work"), "the console is: {said}");
    console.stop().await;
    ok(export()).await;
    let import = with_files(embedded(home, "import"), home, "moved.jsonl");
    ok(import).await;

    let (_process, url) = serve(home).start_ready(READY, SOON).await.expect("it starts");
    let api = Api::new(url, ADMIN_KEY);
    is_repeat(&api, &unseen).await;
    let delivery = api.settled_delivery(&fresh).await;
    assert_eq!(delivery["status"], "exhausted");
    moved.check(&api, &api, 2).await;
}

async fn started(directory: &Path) -> (Process, Api) {
    let (process, url) = serve(directory).start_ready(READY, SOON).await.expect("it starts");
    (process, Api::new(url, ADMIN_KEY))
}

async fn stop(mut process: Process) {
    process.terminate().await.expect("it runs");
    process.wait_exit(SOON).await.expect("it stops");
}

/// The ids of all that a list has.
async fn ids(api: &Api, path: &str) -> BTreeSet<String> {
    api.list(path).await.iter().map(|item| text(&item["id"])).collect()
}

#[tokio::test]
async fn what_waits_moves_without_history_into_an_instance_that_is_not_empty() {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let (from, to) = (from.path(), to.path());
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/retried", Behaviour::fail_first(1, 503));
    let (process, api) = started(from).await;
    let to_path = |path: &str, names: &[&str]| {
        let later = json!({"retry": {"delay_seconds": WAIT.as_secs(), "max_retries": 2}});
        with(with(callback(&receiver.url(path)), later), json!({"events": names}))
    };
    let delivered = api.create_callback(&to_path("/delivered", &["OVER", "BOTH"])).await;
    let retried = api.create_callback(&to_path("/retried", &["BOTH"])).await;
    let paused = api.create_callback(&to_path("/paused", &["PARKED"])).await;
    api.post(&format!("/v1/callbacks/{paused}/pause"), &json!({})).await.expect(200);
    api.text("/system.ashx?f=lp").await;
    assert_eq!(api.list("/v1/sink/log").await.len(), 1);
    let over = api.send(&event("OVER")).await;
    api.settled_delivery(&over).await;
    // On the queue with one of its targets, and delivered to the other.
    let both = api.send(&event("BOTH")).await;
    let to_callback = async |api: &Api, callback: &str, status: &str| {
        let path = format!("/v1/deliveries?event={both}&callback={callback}&status={status}");
        api.list(&path).await.pop()
    };
    let parked = api.send(&event("PARKED")).await;
    api.delivery_when(&parked, |delivery| delivery["waits_for"] == "paused").await;
    eventually("event that is half delivered", SOON, async || {
        to_callback(&api, &delivered, "delivered").await?;
        let waiting = to_callback(&api, &retried, "pending").await?;
        (waiting["waits_for"] == "retry").then_some(())
    })
    .await;
    stop(process).await;
    let export = with_files(embedded(from, "export"), from, "moved.jsonl");
    ok(export.arg("--without-history").arg("--without-log")).await;

    let (process, api) = started(to).await;
    let own = api.create_callback(&to_path("/own", &["OWN"])).await;
    let before = api.send(&event("OWN")).await;
    api.settled_delivery(&before).await;
    stop(process).await;
    let import = || with_files(embedded(to, "import"), from, "moved.jsonl");
    let (code, said) = run(import()).await;
    assert!(code == Some(64) && said.contains("not empty"), "{said}");
    ok(import().arg("--merge")).await;

    let (process, api) = started(to).await;
    let callbacks = ids(&api, "/v1/callbacks").await;
    assert_eq!(
        callbacks,
        BTreeSet::from([delivered.clone(), retried.clone(), paused.clone(), own])
    );
    let events = ids(&api, "/v1/events").await;
    assert_eq!(events, BTreeSet::from([both.clone(), parked.clone(), before]), "not what is over");
    assert!(api.list("/v1/sink/log").await.is_empty());
    eventually("event that is delivered to both", SOON, async || {
        to_callback(&api, &retried, "delivered").await
    })
    .await;
    api.post(&format!("/v1/callbacks/{paused}/resume"), &json!({})).await.expect(200);
    assert_eq!(api.settled_delivery(&parked).await["status"], "delivered");

    // Once more: what is there stays as it is, and nothing is sent that was.
    let renamed = json!({"description": "changed here"});
    api.patch(&format!("/v1/callbacks/{delivered}"), &renamed).await.expect(200);
    stop(process).await;
    ok(import().arg("--merge")).await;
    let (_process, api) = started(to).await;
    let callback = api.get(&format!("/v1/callbacks/{delivered}")).await.expect(200);
    assert_eq!(callback["description"], "changed here");
    let last = api.send(&event("OWN")).await;
    api.settled_delivery(&last).await;
    let counts =
        ["/delivered", "/retried", "/paused", "/own"].map(|path| receiver.requests_to(path).len());
    assert_eq!(counts, [2, 2, 1, 2]);
}
