//! A disk that runs full: nothing accepted is lost, and the process lives to see the day when there is space again.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Launch, Process, Received, Receiver, ringback_binary};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    ADMIN_KEY, Api, READY, SOON, callback, event, eventually, with, with_settings,
};

/// A Ringback whose data is on a small disk.
struct Confined {
    process: Process,
    api: Api,
    /// The disk as the process sees it.
    disk: PathBuf,
    _directory: TempDir,
}

impl Confined {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let launch = serve_on_small_disk(directory.path());
        let (process, url) = launch.start_ready(READY, SOON).await.expect("it starts");
        let data = directory.path().join("data");
        let data = data.strip_prefix("/").expect("an absolute path");
        let disk = Path::new("/proc").join(process.id().to_string()).join("root").join(data);
        Self { process, api: Api::new(url, ADMIN_KEY), disk, _directory: directory }
    }

    /// Puts something on the disk that is not ours, as much of this as fits.
    fn fill(&self, ballast_bytes: u64) {
        let mut ballast = fs::File::create(self.ballast()).expect("there is space for it");
        let mut zeros = io::repeat(0).take(ballast_bytes);
        // An error is a disk that is full sooner, which serves as well.
        let _ = io::copy(&mut zeros, &mut ballast);
    }

    fn make_space(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> PathBuf {
        self.disk.join("ballast")
    }
}

/// `ringback serve` in a mount namespace of its own, its data on a disk of 16 MiB in memory. Nothing is left behind:
/// the disk is gone with the process.
fn serve_on_small_disk(directory: &Path) -> Launch {
    const MOUNT_AND_GO: &str = r#"mount -t tmpfs -o size=16m ringback-test "$0" && exec "$@""#;
    const POSSIBLE: &str = r#"mount -t tmpfs -o size=16m ringback-test "$0""#;
    let data = directory.join("data");
    fs::create_dir(&data).expect("made");
    // As root, or as a user who may be root in a namespace of his own.
    let flags = ["-m", "-rm"].into_iter().find(|flags| {
        let mut attempt = std::process::Command::new("unshare");
        let attempt = attempt.args([flags, "sh", "-c", POSSIBLE]).arg(&data).output();
        attempt.is_ok_and(|output| output.status.success())
    });
    let flags = flags.expect(
        "this test mounts a small disk with `unshare` (Debian package util-linux): run it as root, or allow \
         unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)",
    );
    let launch = Launch::new("unshare", directory)
        .arg(flags)
        .args(["sh", "-c", MOUNT_AND_GO])
        .arg(&data)
        .arg(ringback_binary().expect("the binary is built"))
        .arg("serve");
    with_settings(launch, directory)
}

fn large_event(id: &str) -> Value {
    with(event("LARGE"), json!({"id": id, "variables": {"TEXT": "x".repeat(64 * 1024)}}))
}

/// Sends events until ten were refused. Gives the ids of those accepted.
async fn send_until_refused(api: &Api) -> HashSet<String> {
    let mut accepted = HashSet::new();
    let mut refused = 0;
    while refused < 10 {
        assert!(accepted.len() < 200, "16 MiB are full before that");
        let id = event_id().to_string();
        let answer = api.post("/v1/events", &large_event(&id)).await;
        match answer.status {
            202 => assert!(accepted.insert(id)),
            status => {
                assert!([503, 507].contains(&status), "{status}: {}", answer.body);
                answer.expect_problem(status);
                refused += 1;
            }
        }
    }
    accepted
}

#[tokio::test]
async fn full_disk_refuses_events_and_keeps_those_accepted() {
    let mut ringback = Confined::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    let policy = json!({"retry": {"delay_seconds": 1, "max_retries": 100}});
    ringback.api.create_callback(&with(callback(&receiver.url("/hook")), policy)).await;

    ringback.fill(10 * 1024 * 1024);
    let mut accepted = send_until_refused(&ringback.api).await;
    assert!(!accepted.is_empty(), "some fit in");
    assert!(
        !ringback.process.has_ended().expect("the system says"),
        "{}",
        ringback.process.output()
    );
    ringback.api.get("/healthz").await.expect(200);

    ringback.make_space();
    receiver.on_others(Behaviour::status(204));
    eventually("event accepted after space was made", SOON, async || {
        let id = event_id().to_string();
        let status = ringback.api.post("/v1/events", &large_event(&id)).await.status;
        (status == 202).then(|| accepted.insert(id))
    })
    .await;
    let all_delivered = |requests: &[Received]| {
        let taken = requests.iter().filter(|request| request.status == Some(204));
        let ids: HashSet<_> = taken.map(|request| request.webhook_id().to_owned()).collect();
        accepted.is_subset(&ids)
    };
    receiver.wait_until("delivery of all that was accepted", SOON * 2, all_delivered).await;
    eventually("settled history", SOON * 2, async || {
        ringback.api.list("/v1/deliveries?status=pending").await.is_empty().then_some(())
    })
    .await;
    let delivered = ringback.api.list("/v1/deliveries?status=delivered").await;
    let delivered: HashSet<_> =
        delivered.iter().filter_map(|delivery| delivery["event"].as_str()).collect();
    assert!(accepted.iter().all(|id| delivered.contains(id.as_str())), "the history has them all");
    ringback.process.terminate().await.expect("it runs");
    assert_eq!(ringback.process.wait_exit(SOON).await.expect("it stops").code(), Some(0));
}

#[tokio::test]
async fn callback_on_a_full_disk_is_refused_whole() {
    let ringback = Confined::start().await;
    ringback.fill(u64::MAX);
    let body = with(callback("https://example.com/"), json!({"description": "x".repeat(500)}));
    let mut made = 0;
    loop {
        let answer = ringback.api.post("/v1/callbacks", &body).await;
        if answer.status != 201 {
            answer.expect_problem(507);
            break;
        }
        made += 1;
        assert!(made < 1_000, "the disk is full");
    }
    assert_eq!(ringback.api.list("/v1/callbacks").await.len(), made);
}
