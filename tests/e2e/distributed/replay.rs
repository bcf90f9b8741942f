//! Bulk replays where consoles die.

use ringback_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::cluster::{Cluster, Shape};
use crate::replay::{ended, failed, taken, until};
use crate::support::{SOON, callback_once, text, with};

#[tokio::test]
async fn bulk_replay_is_taken_over_by_another_console_when_its_own_is_killed() {
    const EVENTS: usize = 40;
    let mut cluster = Cluster::start(Shape { consoles: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    let settings =
        with(callback_once(&receiver.url("/hook")), json!({"circuit": {"enabled": false}}));
    let id = cluster.api().create_callback(&settings).await;
    let sent = failed(cluster.ingest(), cluster.api(), &id, EVENTS).await;
    let failures = u64::try_from(EVENTS).expect("few");

    receiver.on_others(Behaviour::status(204));
    let request = json!({"filter": {"callback": id}, "per_second": 5});
    let job = text(&cluster.api().post("/v1/replays", &request).await.expect(202)["id"]);
    receiver.wait_for(failures + 8, SOON).await;
    // Asked for there, it is worked on there.
    cluster.consoles[0].kill9().await;
    let other = cluster.consoles[1].api.clone();
    let replay = ended(&other, &job).await;
    assert_eq!(replay["status"], "finished", "{replay}");
    until(&other, &format!("/v1/deliveries?callback={id}&status=delivered"), EVENTS).await;
    assert_eq!(taken(&receiver.requests_to("/hook")), sent, "none is missing");
    assert_eq!(
        receiver.requests_to("/hook").len(),
        2 * EVENTS,
        "no worker died, so none came twice"
    );
    cluster.servers.wait_for_empty_queues().await;

    // The test event's attempt is made in another process than the one that waits for it.
    let tested = other.post(&format!("/v1/callbacks/{id}/test"), &json!({})).await.expect(200);
    assert_eq!(tested["attempt"]["response"]["status"], 204, "{tested}");
}
