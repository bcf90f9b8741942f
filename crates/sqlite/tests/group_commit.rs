//! The group commit: who shares one, who is told what and when, and what a failure does to the others.

#![allow(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback_runtime::Shutdown;
use ringback_sqlite::{Database, Error, Participant, Rank, Script, Wake};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(10);

/// What a participant does, in the order it did it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Committed { by: &'static str, texts: Vec<String> },
    Failed { by: &'static str, is_full: bool },
}

/// Writes texts; one that is `fail` can't be written.
struct Writes {
    name: &'static str,
    inbox: Arc<Mutex<Vec<String>>>,
    batch: Vec<String>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Participant for Writes {
    fn gather(&mut self) -> bool {
        self.batch = std::mem::take(&mut self.inbox.lock().expect("not poisoned"));
        !self.batch.is_empty()
    }

    fn write(&mut self, script: &mut Script<'_>) -> Result<(), Error> {
        for text in &self.batch {
            let sql = if text == "fail" {
                "INSERT INTO nowhere VALUES (?)"
            } else {
                "INSERT INTO written (text) VALUES (?)"
            };
            script.run(sql, |values| {
                values.text(Some(text));
            })?;
        }
        Ok(())
    }

    fn settle(&mut self, committed: Result<(), &Error>) {
        let texts = std::mem::take(&mut self.batch);
        let seen = match committed {
            Ok(()) => Seen::Committed { by: self.name, texts },
            Err(error) => {
                assert_eq!(error.share().is_full(), error.is_full(), "shared alike");
                Seen::Failed { by: self.name, is_full: error.is_full() }
            }
        };
        self.seen.send(seen).expect("the test listens");
    }
}

struct Fixture {
    database: Arc<Database>,
    wake: Wake,
    queue: Arc<Mutex<Vec<String>>>,
    history: Arc<Mutex<Vec<String>>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    shutdown: Shutdown,
    _directory: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::open(directory.path()).await.expect("opened");
        sqlx::raw_sql("CREATE TABLE written (text TEXT)")
            .execute(&mut *database.writer().await)
            .await
            .expect("made");
        let (sender, seen) = mpsc::unbounded_channel();
        let (queue, history) = <(Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
        // In the wrong order on purpose: the rank decides.
        for (rank, name, inbox) in
            [(Rank::History, "history", &history), (Rank::Queue, "queue", &queue)]
        {
            let inbox = Arc::clone(inbox);
            let writes = Writes { name, inbox, batch: Vec::new(), seen: sender.clone() };
            database.join(rank, Box::new(writes));
        }
        let wake = database.wake().clone();
        let shutdown = Shutdown::new();
        Self { database, wake, queue, history, seen, shutdown, _directory: directory }
    }

    fn put(&self, queue: &[&str], history: &[&str]) {
        let owned =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        self.queue.lock().expect("not poisoned").extend(owned(queue));
        self.history.lock().expect("not poisoned").extend(owned(history));
        self.wake.wake();
    }

    fn run(&self) -> JoinHandle<Result<(), Error>> {
        tokio::spawn(Arc::clone(&self.database).run_writer(self.shutdown.clone()))
    }

    async fn seen(&mut self) -> Seen {
        let seen = tokio::time::timeout(SOON, self.seen.recv()).await;
        seen.expect("told in time").expect("the writer runs")
    }

    async fn written(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT text FROM written ORDER BY rowid")
            .fetch_all(self.database.readers())
            .await
            .expect("read")
    }
}

fn committed(by: &'static str, text: &str) -> Seen {
    Seen::Committed { by, texts: vec![text.to_owned()] }
}

#[tokio::test]
async fn all_that_waits_is_written_by_rank_and_told_when_it_is_on_disk() {
    let mut fixture = Fixture::new().await;
    fixture.put(&["a"], &["b"]);
    let _writer = fixture.run();
    assert_eq!(fixture.seen().await, committed("queue", "a"));
    // Another connection sees it as soon as anybody is told: told after COMMIT.
    assert_eq!(fixture.written().await, ["a", "b"]);
    assert_eq!(fixture.seen().await, committed("history", "b"));
}

#[tokio::test]
async fn batch_that_cannot_be_written_takes_no_other_along() {
    let mut fixture = Fixture::new().await;
    fixture.put(&["a", "fail"], &["b"]);
    let _writer = fixture.run();
    // The higher rank first: what was handed in first must not be durable last.
    assert_eq!(fixture.seen().await, committed("history", "b"));
    assert_eq!(fixture.seen().await, Seen::Failed { by: "queue", is_full: false });
    assert_eq!(fixture.written().await, ["b"], "`a` was rolled back with `fail`");
    fixture.put(&["c"], &[]);
    assert_eq!(fixture.seen().await, committed("queue", "c"));
}

#[tokio::test]
async fn full_disk_is_told_as_such_and_passes() {
    let mut fixture = Fixture::new().await;
    let _writer = fixture.run();
    let large = "x".repeat(1_000_000);
    limit_pages(&fixture, 50).await;
    // More than once: SQLite ends the transaction by itself each time.
    for _ in 0..3 {
        fixture.put(&[&large], &[&large]);
        assert_eq!(fixture.seen().await, Seen::Failed { by: "history", is_full: true });
        assert_eq!(fixture.seen().await, Seen::Failed { by: "queue", is_full: true });
        assert!(fixture.written().await.is_empty(), "nothing is half-written");
    }
    limit_pages(&fixture, 1_000_000).await;
    fixture.put(&["a"], &[]);
    assert_eq!(fixture.seen().await, committed("queue", "a"));
    assert_eq!(fixture.written().await, ["a"]);
}

#[tokio::test]
async fn shutdown_writes_what_waits_first() {
    let mut fixture = Fixture::new().await;
    fixture.shutdown.request();
    fixture.put(&["a"], &["b"]);
    fixture.run().await.expect("no panic").expect("stopped");
    assert_eq!(fixture.written().await, ["a", "b"]);
    assert_eq!(fixture.seen().await, committed("queue", "a"));
}

#[tokio::test]
async fn directory_in_use_is_refused_until_it_is_let_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).await.expect("opened");
    let refused = Database::open(directory.path()).await.map(drop);
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    drop(database);
    Database::open(directory.path()).await.expect("it is free again");
}

#[tokio::test]
async fn directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let refused = Database::open(&file.join("data")).await.map(drop);
    let Err(Error::Directory { path, .. }) = refused else {
        unreachable!("a directory inside a file: {refused:?}")
    };
    assert_eq!(path, file.join("data"));
}

async fn limit_pages(fixture: &Fixture, pages: u32) {
    fixture.database.limit_pages(pages).await.expect("it is valid");
}
