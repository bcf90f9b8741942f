//! Processes can be watched and ended.

use std::time::Duration;

use ringback_testkit::Launch;

const SOON: Duration = Duration::from_secs(5);

fn shell(script: &str) -> Launch {
    Launch::new("sh", std::env::temp_dir()).arg("-c").arg(script)
}

#[tokio::test]
async fn ready_line_is_found_on_either_stream() {
    for stream in [1, 2] {
        let launch =
            shell(&format!("echo starting; echo ready on $PLACE >&{stream}; exec sleep 100"));
        let launch = launch.env("PLACE", "earth");
        let (mut process, place) = launch.start_ready("ready on ", SOON).await.expect("it says so");
        assert_eq!(place, "earth");
        assert!(process.usage().expect("it runs").resident_bytes > 0);
        process.kill9().await.expect("it runs");
        assert_eq!(process.wait_exit(SOON).await.expect("it is gone").code(), None);
    }
}

#[tokio::test]
async fn process_that_ends_early_is_an_error_with_what_it_said() {
    let error =
        shell("echo no luck; exit 3").start_ready("ready on ", SOON).await.expect_err("it ends");
    assert!(error.to_string().contains("no luck"), "{error}");
}

#[tokio::test]
async fn terminate_lets_a_process_choose_its_exit_code() {
    // The shell's trap runs between its commands: a long sleep would put it off.
    let script = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.01; done";
    let (mut process, _) = shell(script).start_ready("ready", SOON).await.expect("it says so");
    process.terminate().await.expect("it runs");
    assert_eq!(process.wait_exit(SOON).await.expect("it ends").code(), Some(7));
    assert!(process.output().contains("ready"));
}
