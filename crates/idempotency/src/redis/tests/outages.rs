//! A Redis that hangs, dies, comes back, or forgets its scripts.

use std::time::Instant;

use super::*;

/// Nobody waits longer for a Redis that hangs.
const SOON: Duration = Duration::from_secs(1);

async fn claims(store: &Redis) -> Result<(), Error> {
    store.claim(&[attempt(1, 1)], LEASE).await.map(drop)
}

#[tokio::test]
async fn hanging_redis_costs_one_timeout_and_is_used_again_when_it_goes_on() {
    let server = server(&[]).await;
    let store = connect(&server.url()).await;
    claims(&store).await.expect("it is there");

    server.pause().await.expect("it runs");
    let start = Instant::now();
    let error = claims(&store).await.expect_err("it hangs");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(matches!(fault(&error), Fault::Silent), "{error:?}");
    assert!(matches!(store.reachability(), Reachability::Away(_)));

    // Calls of a moment later don't wait at all.
    let start = Instant::now();
    for _ in 0..1_000 {
        claims(&store).await.expect_err("it hangs");
    }
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());

    server.resume().await.expect("it runs");
    eventually("claim after it went on", async || claims(&store).await.ok()).await;
    assert!(matches!(store.reachability(), Reachability::Connected));
}

#[tokio::test]
async fn only_one_waits_to_see_whether_a_hanging_redis_is_back() {
    let server = server(&[]).await;
    let store = connect(&server.url()).await;
    server.pause().await.expect("it runs");
    claims(&store).await.expect_err("it hangs");

    // Long enough for several to look: each takes half a second, and all others none.
    let start = Instant::now();
    let (mut slow, mut fast) = (0, 0);
    while start.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        let calls = (0..20).map(|_| async {
            claims(&store).await.expect_err("it hangs");
            asked.elapsed() > Duration::from_millis(250)
        });
        let waited = futures_util::future::join_all(calls).await;
        slow += waited.iter().filter(|waited| **waited).count();
        fast += waited.iter().filter(|waited| !**waited).count();
    }
    assert!((1..=6).contains(&slow), "{slow} waited, {fast} did not");
    assert!(fast > 100, "{slow} waited, {fast} did not");
}

#[tokio::test]
async fn redis_that_was_killed_and_started_again_is_used_again() {
    let mut server = server(&[]).await;
    let store = connect(&server.url()).await;
    claims(&store).await.expect("it is there");

    server.kill9().await.expect("it runs");
    let start = Instant::now();
    let error = claims(&store).await.expect_err("it is gone");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(matches!(fault(&error), Fault::Unconnected(_)), "{error:?}");

    server.start_again().await.expect("it starts");
    eventually("claim after the restart", async || claims(&store).await.ok()).await;
    does_everything_but_claim_first(&store).await;
}

async fn does_everything_but_claim_first(store: &Redis) {
    let fence = granted(store, attempt(9, 1)).await;
    store.forget(&[(attempt(9, 1), fence)]).await.expect("forgotten");
    assert_eq!(begin(store, "a", "mark").await, Begun::New);
}

#[tokio::test]
async fn restart_between_two_calls_is_not_noticed() {
    let mut server = server(&[]).await;
    let store = connect(&server.url()).await;
    does_everything(&store).await;
    for _ in 0..2 {
        server.kill9().await.expect("it runs");
        server.start_again().await.expect("it starts");
        // It forgot everything, the scripts too.
        does_everything(&store).await;
    }
}

#[tokio::test]
async fn redis_that_is_away_at_the_start_is_used_once_it_is_there() {
    let mut server = server(&[]).await;
    server.kill9().await.expect("it runs");
    let store = connect(&server.url()).await;
    assert!(matches!(store.reachability(), Reachability::Away(_)));
    store.ready().await.expect_err("it is not there");
    server.start_again().await.expect("it starts");
    eventually("answer", async || store.ready().await.ok()).await;
    assert!(matches!(store.reachability(), Reachability::Connected));
    does_everything(&store).await;
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_sent_again() {
    let server = server(&[]).await;
    let store = connect(&server.url()).await;
    claims(&store).await.expect("it is there");
    let () = command(&server.url(), &[b"SCRIPT", b"FLUSH"]).await;
    does_everything(&connect(&server.url()).await).await;
    claims(&store).await.expect("it is there");
}
