//! Many claims at once, and calls that are made twice because their answer was lost.

use super::proxy::Proxy;
use super::*;

#[tokio::test]
async fn more_claims_than_one_call_takes_are_claimed_and_forgotten_together() {
    let url = redis_url().expect("a redis is running");
    let store = connect(&url).await;
    let attempts: Vec<_> = (0..1_201).map(|delivery| attempt(delivery, 1)).collect();
    let claims = store.claim(&attempts, LEASE).await.expect("claimed");
    assert_eq!(claims.len(), attempts.len());
    let granted: Vec<_> = attempts.iter().copied().zip(&claims).collect();
    let granted: Vec<_> = granted
        .into_iter()
        .map(|(attempt, claim)| match claim {
            Claim::Granted(fence) => (attempt, *fence),
            _ => unreachable!("it is free: {claim:?}"),
        })
        .collect();
    let again = store.claim(&attempts, LEASE).await.expect("claimed");
    assert!(again.iter().all(|claim| matches!(claim, Claim::Held { .. })));
    store.forget(&granted).await.expect("forgotten");
    let again = store.claim(&attempts, LEASE).await.expect("claimed");
    assert!(again.iter().all(|claim| matches!(claim, Claim::Granted(_))));
}

#[tokio::test]
async fn claims_with_fences_of_several_calls_are_settled_and_forgotten_together() {
    let url = redis_url().expect("a redis is running");
    let store = connect(&url).await;
    let mut held = Vec::new();
    for delivery in 0..3 {
        held.push((attempt(delivery, 300), granted(&store, attempt(delivery, 300)).await));
    }
    store.settle(&held).await.expect("settled");
    let attempts: Vec<_> = held.iter().map(|(attempt, _)| *attempt).collect();
    let claims = store.claim(&attempts, LEASE).await.expect("claimed");
    assert_eq!(claims, [Claim::Settled; 3]);
    store.forget(&held).await.expect("forgotten");
    let claims = store.claim(&attempts, LEASE).await.expect("claimed");
    assert!(claims.iter().all(|claim| matches!(claim, Claim::Granted(_))), "{claims:?}");
}

#[tokio::test]
async fn attempt_that_stands_twice_in_a_call_is_granted_once() {
    let url = redis_url().expect("a redis is running");
    let store = connect(&url).await;
    let twice = [attempt(1, 1), attempt(2, 1), attempt(1, 1)];
    let claims = store.claim(&twice, LEASE).await.expect("claimed");
    assert!(
        matches!(claims[..], [Claim::Granted(_), Claim::Granted(_), Claim::Held { .. }]),
        "{claims:?}"
    );
}

#[tokio::test]
async fn lease_that_is_over_and_was_given_to_nobody_can_still_be_settled() {
    let url = redis_url().expect("a redis is running");
    let store = connect(&url).await;
    let short = Duration::from_millis(1);
    let claims = store.claim(&[attempt(1, 1)], short).await.expect("claimed");
    let [Claim::Granted(fence)] = claims[..] else { unreachable!("it is free: {claims:?}") };
    tokio::time::sleep(short * 5).await;
    store.settle(&[(attempt(1, 1), fence)]).await.expect("settled");
    assert_eq!(store.claim(&[attempt(1, 1)], LEASE).await.expect("claimed"), [Claim::Settled]);
}

#[tokio::test]
async fn claim_whose_answer_was_lost_is_granted_the_second_time() {
    let url = redis_url().expect("a redis is running");
    let (proxy, prefix) = (Proxy::start(&url).await, fresh_prefix());
    let store = connect_as(&proxy.url(), &prefix).await;
    let other = connect_as(&url, &prefix).await;
    granted(&other, attempt(3, 1)).await;
    // Redis is to know the script, so that the answer that is lost is the one that counts.
    granted(&store, attempt(4, 1)).await;

    proxy.lose_next_answer();
    let asked = [attempt(1, 1), attempt(2, 1), attempt(3, 1), attempt(1, 1)];
    let claims = store.claim(&asked, LEASE).await.expect("claimed");
    assert_eq!(proxy.lost(), 1);
    let [Claim::Granted(fence), Claim::Granted(_), Claim::Held { .. }, Claim::Held { .. }] =
        claims[..]
    else {
        unreachable!("its own, and nothing of another's: {claims:?}")
    };
    // The fence is the one that holds.
    store.settle(&[(attempt(1, 1), fence)]).await.expect("settled");
    let claims = other.claim(&[attempt(1, 1), attempt(2, 1)], LEASE).await.expect("claimed");
    assert!(matches!(claims[..], [Claim::Settled, Claim::Held { .. }]), "{claims:?}");
}

#[tokio::test]
async fn beginning_whose_answer_was_lost_is_answered_the_same_the_second_time() {
    let proxy = Proxy::start(&redis_url().expect("a redis is running")).await;
    let store = connect(&proxy.url()).await;
    assert_eq!(begin(&store, "first", "mark").await, Begun::New);

    proxy.lose_next_answer();
    assert_eq!(begin(&store, "lost", "mark").await, Begun::New);
    assert_eq!(begin(&store, "lost", "other").await, Begun::InProgress);
    store.leave_open(&header("lost")).await.expect("left");
    proxy.lose_next_answer();
    let unfinished = Begun::Unfinished { mark: "mark".to_owned() };
    assert_eq!(begin(&store, "lost", "other").await, unfinished);
    proxy.lose_next_answer();
    store.complete(&header("lost"), "answer").await.expect("completed");
    let done = Begun::Done { answer: "answer".to_owned() };
    assert_eq!(begin(&store, "lost", "other").await, done);
    assert_eq!(proxy.lost(), 3);
}

#[tokio::test]
async fn abandoning_is_not_done_twice() {
    let proxy = Proxy::start(&redis_url().expect("a redis is running")).await;
    let store = connect(&proxy.url()).await;
    for key in ["a", "b"] {
        assert_eq!(begin(&store, key, "mark").await, Begun::New);
    }
    store.abandon(&header("b")).await.expect("abandoned");
    proxy.lose_next_answer();
    let error = store.abandon(&header("a")).await.expect_err("nobody knows");
    assert!(matches!(fault(&error), Fault::Unconnected(_)), "{error:?}");
    // What was lost is the answer.
    assert_eq!(begin(&store, "a", "mark").await, Begun::New);
}

#[tokio::test]
async fn rate_is_shared_by_all_and_never_exceeded() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let stores = [connect_as(&url, &prefix).await, connect_as(&url, &prefix).await];
    let number = |n| std::num::NonZeroU32::new(n).expect("not zero");
    let limit = RateLimit { per_second: number(200), burst: number(5) };
    let callback = CallbackId::from_parts(Timestamp::EPOCH, [1; 10]);
    let start = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&stores[task % 2]);
        tasks.spawn(async move {
            let mut sent = 0;
            let mut asking = Asking::First;
            while start.elapsed() < Duration::from_secs(1) {
                asking = match store.admit(callback, limit, asking).await.expect("asked") {
                    Admission::Now => {
                        sent += 1;
                        Asking::First
                    }
                    Admission::Soon(wait) => {
                        sent += 1;
                        tokio::time::sleep(wait).await;
                        Asking::First
                    }
                    Admission::Wait(wait) => {
                        tokio::time::sleep(wait).await;
                        Asking::Again
                    }
                };
            }
            sent
        });
    }
    let sent: u32 = tasks.join_all().await.into_iter().sum();
    let most = 5 + 200 * u32::try_from(start.elapsed().as_millis()).expect("a second") / 1_000;
    assert!(sent <= most, "{sent}, and no more than {most} may");
    assert!(sent >= 100, "{sent} of about 200");
}
