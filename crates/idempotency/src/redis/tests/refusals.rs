//! A Redis that is there and says no.

use super::*;

#[tokio::test]
async fn full_redis_says_what_to_do_and_is_used_again_when_it_has_room() {
    let server = server(&["--maxmemory-policy", "noeviction"]).await;
    let store = connect(&server.url()).await;
    does_everything(&store).await;
    let () = command(&server.url(), &[b"CONFIG", b"SET", b"maxmemory", b"1"]).await;
    let refused = store.claim(&[attempt(8, 1), attempt(9, 1)], LEASE).await;
    let error = refused.expect_err("it has no room");
    assert!(matches!(fault(&error), Fault::Full), "{error:?}");
    assert_eq!(fault(&error).to_string(), "redis has no memory left; raise its `maxmemory`");
    for error in [
        store.ready().await.expect_err("it has no room"),
        store.begin(&header("z"), "x", KEEP, "mark").await.expect_err("it has no room"),
    ] {
        assert!(matches!(fault(&error), Fault::Full), "{error:?}");
    }
    // It answers, so nobody takes it for gone.
    assert!(matches!(store.reachability(), Reachability::Connected));
    let () = command(&server.url(), &[b"CONFIG", b"SET", b"maxmemory", b"100mb"]).await;
    granted(&store, attempt(8, 1)).await;
    granted(&store, attempt(9, 1)).await;
}

#[tokio::test]
async fn full_redis_still_forgets() {
    let server = server(&["--maxmemory-policy", "noeviction"]).await;
    let store = connect(&server.url()).await;
    let fence = granted(&store, attempt(1, 1)).await;
    let () = command(&server.url(), &[b"CONFIG", b"SET", b"maxmemory", b"1"]).await;
    store.forget(&[(attempt(1, 1), fence)]).await.expect("that needs no room");
    let () = command(&server.url(), &[b"CONFIG", b"SET", b"maxmemory", b"100mb"]).await;
    granted(&store, attempt(1, 1)).await;
}

#[tokio::test]
async fn replica_says_so_and_is_used_once_it_is_promoted() {
    let primary = server(&[]).await;
    let port = port(&primary.url());
    let replica = server(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
    let store = connect(&replica.url()).await;
    for error in [
        store.ready().await.expect_err("it takes no writes"),
        store.claim(&[attempt(1, 1)], LEASE).await.expect_err("it takes no writes"),
        store.begin(&header("a"), "x", KEEP, "mark").await.expect_err("it takes no writes"),
    ] {
        assert!(matches!(fault(&error), Fault::ReadOnly), "{error:?}");
        assert!(fault(&error).to_string().contains("`redis_url` has to lead to the primary"));
    }
    let () = command(&replica.url(), &[b"REPLICAOF", b"NO", b"ONE"]).await;
    eventually("claim after the promotion", async || {
        store.claim(&[attempt(1, 1)], LEASE).await.ok()
    })
    .await;
}

#[tokio::test]
async fn former_primary_is_noticed_by_the_first_claim() {
    let (primary, other) = (server(&[]).await, server(&[]).await);
    let store = connect(&primary.url()).await;
    granted(&store, attempt(1, 1)).await;
    let port = port(&other.url());
    let () = command(&primary.url(), &[b"REPLICAOF", b"127.0.0.1", port.as_bytes()]).await;
    let error = store.claim(&[attempt(2, 1)], LEASE).await.expect_err("it takes no writes");
    assert!(matches!(fault(&error), Fault::ReadOnly), "{error:?}");
}

pub(super) fn port(url: &str) -> String {
    let port = url.trim_end_matches('/').rsplit(':').next();
    port.expect("the address has a port").to_owned()
}
