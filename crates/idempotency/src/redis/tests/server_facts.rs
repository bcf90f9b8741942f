//! What a Redis says of itself.

use ringback_testkit::ManualClock;

use super::*;

#[tokio::test]
async fn redis_as_it_comes_has_concerns_and_one_set_up_well_has_none() {
    let clock = ringback_runtime::SystemClock;
    let bad = server(&["--maxmemory-policy", "allkeys-lru"]).await;
    let facts = connect(&bad.url()).await.facts(&clock).await.expect("it answers");
    let [facts] = &facts[..] else { unreachable!("one server: {facts:?}") };
    assert_eq!((facts.role.as_str(), facts.mode.as_str()), ("master", "standalone"));
    assert_eq!(facts.memory_bytes_max, None);
    assert!(facts.memory_bytes > 100_000 && facts.version.contains('.'), "{facts:?}");
    let policy = "allkeys-lru".to_owned();
    let concerns = [Concern::Evicts { policy }, Concern::Unlimited, Concern::Forgetful];
    assert_eq!(facts.concerns(), concerns);

    let good = server(&["--appendonly", "yes", "--maxmemory", "256mb"]).await;
    let facts = connect(&good.url()).await.facts(&clock).await.expect("it answers");
    assert_eq!(facts[0].memory_bytes_max, Some(256 * 1024 * 1024));
    assert_eq!(facts[0].concerns(), []);
}

#[tokio::test]
async fn clock_that_is_off_and_memory_that_is_short_are_told() {
    let server = server(&["--appendonly", "yes", "--maxmemory", "1mb"]).await;
    // Of the year 2026: that of the server goes on.
    let clock = ManualClock::default();
    let facts = connect(&server.url()).await.facts(&clock).await.expect("it answers");
    let ahead_ms = facts[0].clock_ahead_ms.expect("this redis tells the time");
    let concerns = facts[0].concerns();
    let [Concern::AlmostFull { percent }, Concern::ClockOff { ahead_ms: told }] = concerns[..]
    else {
        unreachable!("two concerns: {concerns:?}")
    };
    assert!(percent > 80, "{percent}");
    assert_eq!(told, ahead_ms);
}
