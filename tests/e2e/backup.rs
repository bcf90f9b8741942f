//! `ringback backup`: a copy while it works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ringback_testkit::{Launch, Receiver, ringback_binary};

use crate::support::{ADMIN_KEY, Api, READY, SOON, callback, event, serve, text, with_settings};

#[tokio::test]
async fn backup_is_whole_and_replaces_nothing() {
    let [home, copies] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let (home, copies) = (home.path(), copies.path());
    let receiver = Receiver::start().await.expect("a port");
    let (mut process, url) = serve(home).start_ready(READY, SOON).await.expect("it starts");
    let api = Api::new(url, ADMIN_KEY);
    let id = api.create_callback(&callback(&receiver.url("/hook"))).await;
    let sent = api.send(&event("A")).await;
    api.settled_delivery(&sent).await;
    let path = format!("/v1/callbacks/{id}/secret");
    let secret = text(&api.get(&path).await.expect(200)["secret"]);

    let file = copies.join("ringback.db");
    let backup = || {
        let launch = Launch::new(ringback_binary().expect("the binary is built"), home);
        with_settings(launch.arg("backup").arg(&file), home).start().expect("it starts")
    };
    let mut first = backup();
    let status = first.wait_exit(SOON).await.expect("it ends");
    assert!(status.success(), "{}", first.output());
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let copied = fs::read(&file).expect("there");
    let mut second = backup();
    let status = second.wait_exit(SOON).await.expect("it ends");
    assert!(
        status.code() == Some(64) && second.output().contains("already"),
        "{}",
        second.output()
    );
    assert!(fs::read(&file).expect("there") == copied, "it stays as it was");
    assert_eq!(fs::read_dir(copies).expect("there").count(), 1, "nothing is left beside it");
    process.kill9().await.expect("it runs");

    let restored = tempfile::tempdir().expect("a directory");
    let data = restored.path().join("data");
    fs::create_dir(&data).expect("made");
    fs::copy(&file, data.join("ringback.db")).expect("copied");
    fs::copy(home.join("data/master-key"), data.join("master-key")).expect("copied");
    let (_process, url) = serve(restored.path()).start_ready(READY, SOON).await.expect("it starts");
    let api = Api::new(url, ADMIN_KEY);
    assert_eq!(text(&api.get(&path).await.expect(200)["secret"]), secret);
    assert_eq!(api.settled_delivery(&sent).await["status"], "delivered");
    api.settled_delivery(&api.send(&event("B")).await).await;
    assert_eq!(receiver.requests_to("/hook").len(), 2);
}
