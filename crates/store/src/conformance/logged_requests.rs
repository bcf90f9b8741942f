//! What the log callback was sent.

use ringback_core::{Account, LoggedRequestId};

use super::Harness;
use super::samples::{account, at, callback};
use crate::{Cursor, LOGGED_REQUESTS_KEPT, LoggedRequest, LoggedRequestQuery, Store};

/// The one numbered `number`; later ones are newer, two of them in each millisecond.
fn request(number: u32, of: Option<Account>) -> LoggedRequest {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    let received_at = at((number / 2).into());
    LoggedRequest {
        id: LoggedRequestId::from_parts(received_at, random),
        callback: of.is_some().then(|| callback(1).id),
        account: of,
        received_at,
        method: "POST".to_owned(),
        query: "f=lp&a=%20\"'".to_owned(),
        headers: vec![
            ("x-a".to_owned(), "1; \"ü\"".to_owned()),
            ("x-a".to_owned(), "2".to_owned()),
        ],
        body: b"EVENT_GUID=1".to_vec(),
        body_truncated: false,
    }
}

async fn all(store: &dyn Store, of: Option<&Account>) -> Vec<LoggedRequest> {
    let query = LoggedRequestQuery { account: of.cloned() };
    let (mut found, mut after) = (Vec::new(), None::<Cursor>);
    loop {
        let page = store.logged_requests(&query, 300, after.as_ref()).await.expect("read");
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// What is kept comes back, to the last byte.
pub async fn logged_request_comes_back_with_every_field(harness: &mut impl Harness) {
    let acme = account("acme");
    let plain = request(1, Some(acme.clone()));
    let bytes =
        LoggedRequest { body: vec![0, 0xff, b'a'], body_truncated: true, ..request(2, None) };
    let zero = LoggedRequest {
        body: b"a\0b".to_vec(),
        headers: Vec::new(),
        query: String::new(),
        callback: Some(callback(2).id),
        ..request(3, None)
    };
    for request in [&plain, &bytes, &zero] {
        harness.store().log_request(request).await.expect("written");
    }
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(all(&*store, None).await, [zero, bytes, plain.clone()]);
    assert_eq!(all(&*store, Some(&acme)).await, [plain]);
    assert_eq!(all(&*store, Some(&account("other"))).await, []);
}

/// They go with the history of their time.
pub async fn retention_deletes_old_logged_requests(harness: &mut impl Harness) {
    let store = harness.store();
    let [old, new] = [request(2, None), request(20, None)];
    for request in [&old, &new] {
        store.log_request(request).await.expect("written");
    }
    while store.delete_history(new.received_at, 100).await.expect("deleted") > 0 {}
    assert_eq!(all(&*store, None).await, [new]);
}

/// Of each account the newest are kept; one that is written to without end pushes out nobody else's.
pub async fn last_logged_requests_of_each_account_are_kept(harness: &mut impl Harness) {
    const MORE: u32 = 3;
    let store = harness.store();
    let (acme, other) = (account("acme"), account("other"));
    let instance = LoggedRequest { callback: Some(callback(2).id), ..request(0, None) };
    let others = request(1, Some(other.clone()));
    let nobodys = request(2, None);
    for request in [&instance, &others, &nobodys] {
        store.log_request(request).await.expect("written");
    }
    for number in 0..LOGGED_REQUESTS_KEPT + MORE {
        store.log_request(&request(10 + number, Some(acme.clone()))).await.expect("written");
    }
    let kept = all(&*store, Some(&acme)).await;
    let newest_first = (MORE..LOGGED_REQUESTS_KEPT + MORE).rev();
    let expected: Vec<_> = newest_first.map(|number| request(10 + number, None).id).collect();
    assert_eq!(kept.iter().map(|request| request.id).collect::<Vec<_>>(), expected);
    let everything = all(&*store, None).await;
    for request in [&instance, &others, &nobodys] {
        assert!(everything.contains(request), "{request:?}");
    }
    // Those of nobody known leave those of instance callbacks alone, and have an end too.
    for number in 0..LOGGED_REQUESTS_KEPT {
        store.log_request(&request(5_000 + number, None)).await.expect("written");
    }
    let everything = all(&*store, None).await;
    assert!(everything.contains(&instance) && everything.contains(&others));
    assert!(!everything.contains(&nobodys));
    assert_eq!(everything.len(), 2 * LOGGED_REQUESTS_KEPT as usize + 2);
}
