//! `ringback topology`: what is declared in RabbitMQ, made and compared by hand.

use super::cluster::Servers;
use super::doctor::{Told, without_master_key};
use super::producers::Amqp;

#[tokio::test]
async fn topology_is_verified_applied_and_verified_again() {
    let servers = Servers::start().await;
    // As for any process: a database is in the settings, and no key to it, which nobody needs for this.
    let run = async |what: &str, prefix: &str| {
        let launch = without_master_key(&servers, "topology").arg(what);
        let told = Told::by(&launch.env("RINGBACK_AMQP_PREFIX", prefix)).await;
        (told.code, told.output)
    };

    let (code, output) = run("verify", "mine").await;
    assert_eq!(code, Some(1), "{output}");
    for missing in ["exchange `mine.events`", "queue `mine.v1.dispatch.0`", "queue `mine.rejected`"]
    {
        assert!(output.contains(&format!("{missing} is missing")), "{missing}: {output}");
    }
    assert_eq!(queues(&servers).await, "", "to verify makes nothing");

    // Done twice, it changes nothing.
    for _ in 0..2 {
        let (code, output) = run("apply", "mine").await;
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains("`mine` are declared"), "{output}");
        let (code, output) = run("verify", "mine").await;
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains("`mine` are as they should be"), "{output}");
    }
    let declared = queues(&servers).await;
    assert!(declared.lines().all(|line| line.ends_with("quorum")), "{declared}");

    let deleted = servers.rabbitmq.ctl(&["delete_queue", "mine.v1.returned"]).await;
    deleted.expect("it is deleted");
    let (code, output) = run("verify", "mine").await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("queue `mine.v1.returned` is missing"), "{output}");
    assert!(output.contains("1 difference"), "{output}");
    let (code, output) = run("apply", "mine").await;
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(sorted(&queues(&servers).await), sorted(&declared));

    // Somebody else's queue of that name.
    Amqp::connect(&servers).await.declare_classic_queue("other.rejected").await;
    let (code, output) = run("verify", "other").await;
    assert_eq!(code, Some(1), "{output}");
    let otherwise = output.lines().find(|line| line.contains("`other.rejected`"));
    let otherwise = otherwise.unwrap_or_else(|| panic!("it is named: {output}"));
    assert!(otherwise.contains("declared otherwise"), "{otherwise}");
    assert!(otherwise.contains("x-queue-type"), "it says how: {otherwise}");
    let (code, output) = run("apply", "other").await;
    assert_eq!(code, Some(69), "{output}");
    for words in ["amqp_url", "`other.rejected` is declared otherwise", "drain and delete it"] {
        assert!(output.contains(words), "no `{words}` in {output}");
    }
    let left = queues(&servers).await;
    assert!(left.contains("other.rejected\tclassic"), "it is left as it is: {left}");
}

/// All queues, with their types.
async fn queues(servers: &Servers) -> String {
    let listed = servers.rabbitmq.ctl(&["list_queues", "--no-table-headers", "name", "type"]).await;
    listed.expect("it answers")
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}
