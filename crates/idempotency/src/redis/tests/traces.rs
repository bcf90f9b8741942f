//! What is left in Redis: short, and never for ever.

use super::*;

#[tokio::test]
async fn every_key_has_a_time_to_live_whatever_was_done() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let store = connect_as(&url, &prefix).await;
    does_everything(&store).await;
    for key in ["open", "done", "progress", "again"] {
        assert_eq!(begin(&store, key, "mark").await, Begun::New);
    }
    store.leave_open(&header("open")).await.expect("left");
    store.complete(&header("done"), "answer").await.expect("completed");
    store.leave_open(&header("again")).await.expect("left");
    assert!(matches!(begin(&store, "again", "mark").await, Begun::Unfinished { .. }));
    store.abandon(&header("again")).await.expect("left");
    let held = granted(&store, attempt(5, 1)).await;
    store.settle(&[(attempt(5, 1), held)]).await.expect("settled");

    let keys = keys(&url, &prefix).await;
    // Three claims, six requests, a rate, a probe.
    assert_eq!(keys.len(), 11, "{keys:?}");
    for key in keys {
        let left_ms: i64 = command(&url, &[b"PTTL", &key]).await;
        let most = i64::try_from(KEEP.as_millis()).expect("an hour");
        assert!((1..=most).contains(&left_ms), "{} lives {left_ms}", key.escape_ascii());
    }
}

#[tokio::test]
async fn forgetting_and_abandoning_leave_nothing() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let store = connect_as(&url, &prefix).await;
    let fence = granted(&store, attempt(1, 1)).await;
    assert_eq!(begin(&store, "a", "mark").await, Begun::New);
    store.forget(&[(attempt(1, 1), fence)]).await.expect("forgotten");
    store.abandon(&header("a")).await.expect("abandoned");
    let probe = format!("{prefix}:probe").into_bytes();
    let left = keys(&url, &prefix).await;
    assert!(left.iter().all(|key| *key == probe), "{left:?}");
}

#[tokio::test]
async fn abandoning_what_another_was_told_of_leaves_it_open() {
    let url = redis_url().expect("a redis is running");
    let store = connect(&url).await;
    assert_eq!(begin(&store, "a", "mark").await, Begun::New);
    tokio::time::sleep(IN_PROGRESS + Duration::from_millis(2)).await;
    let unfinished = Begun::Unfinished { mark: "mark".to_owned() };
    assert_eq!(begin(&store, "a", "second").await, unfinished);
    // The first one comes back and gives up: the second may have published meanwhile.
    store.abandon(&header("a")).await.expect("abandoned");
    assert_eq!(begin(&store, "a", "third").await, unfinished);
}

#[tokio::test]
async fn claims_and_plain_ids_are_stored_without_a_value_of_their_own() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let store = connect_as(&url, &prefix).await;
    granted(&store, attempt(1, 1)).await;
    let plain = store.begin(&header("a"), "", KEEP, "mark").await.expect("begun");
    assert_eq!(plain, Begun::New);
    store.complete(&header("a"), "").await.expect("completed");
    for key in keys(&url, &prefix).await {
        let encoding: String = command(&url, &[b"OBJECT", b"ENCODING", &key]).await;
        assert_eq!(encoding, "int", "{}", key.escape_ascii());
    }
    let done = Begun::Done { answer: String::new() };
    assert_eq!(store.begin(&header("a"), "", KEEP, "mark").await.expect("begun"), done);
    assert_eq!(begin(&store, "a", "mark").await, Begun::Conflict);
}

#[tokio::test]
async fn what_another_program_wrote_under_our_name_is_no_answer() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let store = connect_as(&url, &prefix).await;
    assert_eq!(begin(&store, "a", "mark").await, Begun::New);
    store.complete(&header("a"), "answer").await.expect("completed");
    let probe = format!("{prefix}:probe").into_bytes();
    let keys = keys(&url, &prefix).await;
    let key = keys.into_iter().find(|key| *key != probe).expect("the request's");
    let mut value: Vec<u8> = command(&url, &[b"GET", &key]).await;
    value.push(0xFF);
    let () = command(&url, &[b"SET", &key, &value]).await;
    let error = store.begin(&header("a"), "x", KEEP, "mark").await.expect_err("no text");
    assert!(matches!(fault(&error), Fault::Garbled), "{error:?}");
}
