//! Starting, stopping, and what goes on where it stopped.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use ringback_core::Timestamp;
use ringback_testkit::{Behaviour, Launch, Receiver, ringback_binary};
use serde_json::json;

use crate::support::{Ringback, SOON, callback, event, outcomes, serve, text, with};

/// Starts a process that is to end by itself; gives its exit code and what it said.
async fn run_to_end(launch: Launch) -> (Option<i32>, String) {
    let mut process = launch.start().expect("it starts");
    let status = process.wait_exit(SOON).await.expect("it ends by itself");
    (status.code(), process.output())
}

#[tokio::test]
async fn retry_keeps_its_time_through_a_kill() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    let callback = json!({"url": receiver.url("/hook"), "retry": {"delay_seconds": 4}});
    ringback.api.create_callback(&callback).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    let waiting =
        ringback.api.delivery_when(&event, |delivery| outcomes(delivery).len() == 1).await;
    assert_eq!(waiting["status"], "pending");
    assert_eq!(waiting["waits_for"], "retry", "{waiting}");
    let due: Timestamp = text(&waiting["next_attempt_at"]).parse().expect("a time");

    ringback.process.kill9().await.expect("it runs");
    ringback.restart().await;
    let settled = ringback.api.settled_delivery(&event).await;
    assert_eq!(outcomes(&settled), ["http_error", "success"]);
    let came = receiver.requests()[1].arrived_at;
    let late = came.since(due);
    assert!(came >= due && late < Duration::from_secs(2), "due {due}, came {came}");
}

#[tokio::test]
async fn retry_that_fell_due_meanwhile_is_made_at_the_start() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::fail_first(1, 500));
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.delivery_when(&event, |delivery| outcomes(delivery).len() == 1).await;
    ringback.process.kill9().await.expect("it runs");
    // Past the retry's time: nobody is there to tell.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    ringback.restart().await;
    assert_eq!(outcomes(&ringback.api.settled_delivery(&event).await), ["http_error", "success"]);
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::slow(Duration::from_secs(2)));
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for(1, SOON).await;
    ringback.stop().await;
    assert!(receiver.requests()[0].answered.is_some(), "the request was let finish");
    assert_eq!(receiver.open_now(), 0);

    ringback.restart().await;
    assert_eq!(ringback.api.settled_delivery(&event).await["status"], "delivered");
    assert_eq!(receiver.total(), 1, "and it is not made again");
}

#[tokio::test]
async fn sigterm_does_not_wait_for_retries() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    ringback.api.create_callback(&json!({"url": receiver.url("/hook")})).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.delivery_when(&event, |delivery| outcomes(delivery).len() == 1).await;
    let asked = std::time::Instant::now();
    ringback.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn callbacks_and_keys_stay_through_a_restart() {
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let key = ringback.api.create_key(Some("acme")).await;
    let bearer = json!({"authorization": {"type": "bearer", "token": "t-0ken"}});
    ringback.api.create_callback(&with(callback(&receiver.url("/hook")), bearer)).await;
    ringback.stop().await;
    ringback.restart().await;
    ringback.api.with_key(&key).send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(1, SOON).await;
    assert_eq!(receiver.requests()[0].header("authorization"), "Bearer t-0ken");
}

#[tokio::test]
async fn data_directory_in_use_is_named() {
    let ringback = Ringback::start().await;
    let (code, output) = run_to_end(ringback.launch.clone()).await;
    assert_eq!(code, Some(69), "{output}");
    assert!(output.contains("/data") && output.contains("another process"), "{output}");
    // The first one has not noticed.
    ringback.api.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn wrong_master_key_is_refused_before_anything_is_written() {
    const KEYS: [&str; 2] = [
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
    ];
    let mut ringback =
        Ringback::start_with(|launch| launch.env("RINGBACK_MASTER_KEY", KEYS[0])).await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    ringback.stop().await;

    let right = ringback.launch.clone();
    let (code, output) = run_to_end(right.clone().env("RINGBACK_MASTER_KEY", KEYS[1])).await;
    assert_eq!(code, Some(64), "{output}");
    assert!(output.contains("master_key"), "{output}");
    assert!(!output.contains(KEYS[1]), "{output}");

    ringback.restart().await;
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(1, SOON).await;
}

#[tokio::test]
async fn bad_settings_exit_64_before_the_port_is_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    // Taken: who tried to bind it would say so, and not what is wrong with the settings.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("bound").to_string();
    let launch = serve(directory.path()).env("RINGBACK_LISTEN", &listen);
    for (name, value) in [
        ("RINGBACK_LISTEN", "8080"),
        ("RINGBACK_ALLOW_NETWORKS", "10.0.0.0/33"),
        ("RINGBACK_MASTER_KEY", "c2hvcnQ="),
        ("RINGBACK_ADMIN_KEY", "rbk_short"),
        ("RINGBACK_RETENTION_DAYS", "0"),
        ("RINGBACK_THREADS", "0"),
        ("RINGBACK_THREADS", "many"),
        ("RINGBACK_CA_FILES", "/no/such/file.pem"),
        ("RINGBACK_LOG", "a=b=c"),
        ("RINGBACK_CONFIG", "/no/such/file.toml"),
    ] {
        let (code, output) = run_to_end(launch.clone().env(name, value)).await;
        assert_eq!(code, Some(64), "{name}: {output}");
        let setting = name.strip_prefix("RINGBACK_").expect("all begin so").to_lowercase();
        let flag = setting.replace('_', "-");
        assert!(output.contains(&setting) || output.contains(&flag), "{name}: {output}");
    }
    let (code, output) = run_to_end(launch.clone().arg("--no-such-flag")).await;
    assert_eq!(code, Some(64), "{output}");
    let (code, output) = run_to_end(launch).await;
    assert_eq!(code, Some(69), "{output}");
    assert!(output.contains(&listen), "{output}");
}

#[tokio::test]
async fn doctor_tells_a_directory_that_is_there_from_one_that_is_spoilt() {
    let ringback = Ringback::start().await;
    let doctor = |data: &Path| {
        Launch::new(ringback_binary().expect("the binary is built"), data)
            .arg("doctor")
            .env("RINGBACK_DATA_DIR", data)
    };
    // Beside the process that works in it.
    let data = ringback.directory.path().join("data");
    let (code, output) = run_to_end(doctor(&data)).await;
    assert!(code == Some(0) && output.contains("all is well"), "{output}");

    let other = tempfile::tempdir().expect("a directory");
    std::fs::write(other.path().join("ringback.db"), "no database at all").expect("written");
    let (code, output) = run_to_end(doctor(other.path())).await;
    assert!(code == Some(1) && output.contains("no SQLite database"), "{output}");
}

#[tokio::test]
async fn variable_that_is_set_to_nothing_is_not_set() {
    let names = ["PUBLIC_URL", "ALLOW_NETWORKS", "RETENTION_DAYS", "TRACE_RATIO", "OTLP_ENDPOINT"];
    let empty = |launch: Launch| {
        names.iter().fold(launch, |launch, name| launch.env(&format!("RINGBACK_{name}"), ""))
    };
    let ringback = Ringback::start_with(empty).await;
    ringback.api.send(&event("COMMENT_CREATED")).await;
    // A server without any key would let nobody in, and says so.
    let directory = tempfile::tempdir().expect("a directory");
    let (code, output) = run_to_end(serve(directory.path()).env("RINGBACK_ADMIN_KEY", "")).await;
    assert_eq!(code, Some(64), "{output}");
    assert!(output.contains("no API key exists"), "{output}");
}

#[tokio::test]
async fn process_works_with_as_many_threads_as_it_is_told() {
    const MANY: usize = 40;
    // Threads for what blocks have the same name, and come and go: a few.
    const FEW: usize = MANY / 2;
    let one = Ringback::start_with(|launch| launch.env("RINGBACK_THREADS", "1")).await;
    let many =
        Ringback::start_with(|launch| launch.env("RINGBACK_THREADS", MANY.to_string())).await;
    assert!(worker_threads(&one) < FEW, "{}", worker_threads(&one));
    assert!((MANY..MANY + FEW).contains(&worker_threads(&many)), "{}", worker_threads(&many));
}

/// How many threads of its process run tasks.
fn worker_threads(ringback: &Ringback) -> usize {
    let threads = format!("/proc/{}/task", ringback.process.id());
    let threads = std::fs::read_dir(threads).expect("it runs").flatten();
    let names = threads.map(|thread| std::fs::read_to_string(thread.path().join("comm")));
    names.flatten().filter(|name| name.starts_with("tokio-rt-worker")).count()
}

#[tokio::test]
async fn idle_process_costs_next_to_nothing() {
    const MEASURED: Duration = Duration::from_secs(10);
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/fails", Behaviour::status(500));
    // One that is delivered, and one whose retry is five minutes off: a timer that runs must cost nothing either.
    ringback.api.create_callback(&callback(&receiver.url("/works"))).await;
    ringback.api.create_callback(&json!({"url": receiver.url("/fails")})).await;
    ringback.api.send(&event("COMMENT_CREATED")).await;
    receiver.wait_for_ended(2, SOON).await;
    ringback.api.get("/readyz").await.expect(200);

    let before = ringback.process.usage().expect("it runs").cpu;
    tokio::time::sleep(MEASURED).await;
    let used = ringback.process.usage().expect("it runs").cpu - before;
    assert!(used * 200 <= MEASURED, "{used:?} of processor time in {MEASURED:?} of doing nothing");
}
