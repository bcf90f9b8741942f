//! Configuration.

use std::num::NonZeroU32;
use std::time::Duration;

use ringback_core::callback::{
    Authorization, CallbackState, CircuitPolicy, DisabledReason, Format, Method,
};
use ringback_core::filter::EventFilter;
use ringback_core::rate::RateLimit;
use ringback_core::retry::{Backoff, RetryPolicy};
use ringback_core::secret::Secret;
use ringback_core::signature::{PreviousSecret, SigningSecret};
use ringback_core::{ApiKeyId, Callback, Timestamp};

use super::Harness;
use super::samples::{account, assert_same, at, callback};
use crate::{
    ApiKey, CallbackChange, CallbackQuery, Cursor, KeyHash, LastKey, Revision, Scope, Store,
};

fn authorizations() -> [Authorization; 5] {
    [
        Authorization::None,
        Authorization::Basic {
            username: "ada".to_owned(),
            password: Secret::new("pass: ütf-8 \"word\""),
        },
        Authorization::Bearer { token: Secret::new("a.b.c") },
        Authorization::Header { value: Secret::new("Custom scheme") },
        Authorization::CallbackKey { key: Secret::new("key-1") },
    ]
}

fn unusual(number: u8, authorization: Authorization) -> Callback {
    let mut callback = callback(number);
    callback.description = "Ada's; \"quoted\", ü".to_owned();
    callback.url = "https://example.com/{PROJECT_ID}".parse().expect("a URL");
    callback.method = Method::Get;
    callback.format = Format::Json;
    callback.authorization = authorization;
    callback.headers.push("X-Second", "2").expect("a header");
    callback.headers.push("X-First", "it's \"1\"").expect("a header");
    callback.state = match number % 2 {
        0 => CallbackState::Paused,
        _ => CallbackState::Disabled(DisabledReason::ByOwner),
    };
    callback.account = Some(account("acme"));
    callback.events = EventFilter::parse(&["COMMENT_*", "PACKAGE_SENT"]).expect("patterns");
    callback.retry = RetryPolicy {
        enabled: false,
        delay: Duration::from_millis(1_500),
        max_retries: 7,
        backoff: Backoff::Exponential { factor: 1.5, delay_max: Duration::from_secs(3_600) },
    };
    callback.timeout = Duration::from_millis(250);
    callback.max_in_flight = not_zero(999);
    callback.rate_limit = Some(RateLimit { per_second: not_zero(50), burst: not_zero(7) });
    callback.circuit = CircuitPolicy {
        enabled: false,
        failures: not_zero(3),
        open_for: Duration::from_millis(90_500),
    };
    callback.previous_secret = Some(PreviousSecret {
        secret: SigningSecret::from_random([number + 100; 32]),
        until: at(86_400_000),
    });
    callback.resumed_at = Some(at(999));
    callback.updated_at = at(1_000);
    callback
}

fn not_zero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// What is written comes back, to the last field.
pub async fn callback_comes_back_with_every_field(harness: &mut impl Harness) {
    let store = harness.store();
    let unusual = authorizations().into_iter().zip(1..).map(|(kind, number)| unusual(number, kind));
    for callback in unusual.chain([callback(100)]) {
        store.create_callback(&callback).await.expect("written");
        let read = store.callback(callback.id).await.expect("read").expect("it is there");
        assert_same(&read, &callback);
        // And so it does when it replaces what is quite another one.
        let mut other = super::samples::callback(99);
        other.id = callback.id;
        other.created_at = callback.created_at;
        other.updated_at = at(2_000);
        assert!(store.update_callback(&other, callback.updated_at).await.expect("written"));
        let read = store.callback(callback.id).await.expect("read").expect("it is there");
        assert_same(&read, &other);
    }
}

/// No callback is none, and no error.
pub async fn unknown_callback_is_none(harness: &mut impl Harness) {
    let store = harness.store();
    let unknown = callback(1);
    assert!(store.callback(unknown.id).await.expect("read").is_none());
    assert!(!store.update_callback(&unknown, unknown.updated_at).await.expect("tried"));
    store.disable_gone_callback(unknown.id, unknown.updated_at, at(9)).await.expect("tried");
    assert!(!store.delete_callback(unknown.id, at(9)).await.expect("tried"));
}

/// Of two who read the same and change it, the second is told so.
pub async fn update_counts_only_if_nothing_changed_meanwhile(harness: &mut impl Harness) {
    let store = harness.store();
    let mut first = callback(1);
    let read_at = first.updated_at;
    store.create_callback(&first).await.expect("written");
    let mut second = first.clone();
    first.description = "first".to_owned();
    first.updated_at = at(500);
    second.description = "second".to_owned();
    second.updated_at = at(500);
    assert!(store.update_callback(&first, read_at).await.expect("written"));
    assert!(!store.update_callback(&second, read_at).await.expect("tried"));
    let read = store.callback(first.id).await.expect("read").expect("it is there");
    assert_same(&read, &first);
}

/// Two updates in one millisecond, or after the clock was set back, are two updates all the same.
pub async fn time_of_change_grows_with_every_update(harness: &mut impl Harness) {
    let store = harness.store();
    let callback = callback(1);
    store.create_callback(&callback).await.expect("written");
    let mut read_at = callback.updated_at;
    for _ in 0..3 {
        assert!(store.update_callback(&callback, read_at).await.expect("written"));
        let read = store.callback(callback.id).await.expect("read").expect("it is there");
        assert!(read.updated_at > read_at);
        assert!(!store.update_callback(&callback, read_at).await.expect("tried"));
        read_at = read.updated_at;
    }
}

/// A 410 disables the callback that the worker knew, not the one that its owner has changed since.
pub async fn gone_callback_is_disabled_unless_its_owner_changed_it(harness: &mut impl Harness) {
    let store = harness.store();
    let mut callback = callback(1);
    callback.state = CallbackState::Paused;
    store.create_callback(&callback).await.expect("written");
    let too_early = Timestamp::from_ms(callback.updated_at.ms() - 1);
    store.disable_gone_callback(callback.id, too_early, at(900)).await.expect("tried");
    let read = store.callback(callback.id).await.expect("read").expect("it is there");
    assert_same(&read, &callback);

    store.disable_gone_callback(callback.id, callback.updated_at, at(900)).await.expect("written");
    callback.state = CallbackState::Disabled(DisabledReason::Gone);
    callback.updated_at = at(900);
    let read = store.callback(callback.id).await.expect("read").expect("it is there");
    assert_same(&read, &callback);
}

/// A deleted callback is in no answer any more.
pub async fn deleted_callback_is_gone_and_deleting_it_again_is_false(harness: &mut impl Harness) {
    let store = harness.store();
    let callback = callback(1);
    store.create_callback(&callback).await.expect("written");
    assert!(store.delete_callback(callback.id, at(900)).await.expect("deleted"));
    assert!(!store.delete_callback(callback.id, at(901)).await.expect("tried"));
    assert!(store.callback(callback.id).await.expect("read").is_none());
    assert!(!store.update_callback(&callback, callback.updated_at).await.expect("tried"));
    let page = store.callbacks(&CallbackQuery::default(), 10, None).await.expect("read");
    assert!(page.items.is_empty());
}

/// From any revision on, all changes lead to the callbacks as they are.
pub async fn changes_since_a_revision_are_those_and_no_others(harness: &mut impl Harness) {
    let store = harness.store();
    let [one, mut two, three] = [callback(1), callback(2), callback(3)];
    for callback in [&one, &two, &three] {
        store.create_callback(callback).await.expect("written");
    }
    let (changes, reached) = store.callback_changes(Revision::ZERO).await.expect("read");
    assert_eq!(ids(&changes), [put(&one), put(&two), put(&three)]);
    assert!(reached > Revision::ZERO);
    let (changes, again) = store.callback_changes(reached).await.expect("read");
    assert_eq!((changes.len(), again), (0, reached));

    assert!(store.delete_callback(one.id, at(900)).await.expect("deleted"));
    let read_at = two.updated_at;
    two.updated_at = at(901);
    two.description = "changed".to_owned();
    assert!(store.update_callback(&two, read_at).await.expect("written"));
    store.disable_gone_callback(three.id, three.updated_at, at(902)).await.expect("written");
    let (changes, last) = store.callback_changes(reached).await.expect("read");
    assert_eq!(ids(&changes), [format!("deleted {}", one.id), put(&two), put(&three)]);
    assert!(last > reached);
    match &changes[1] {
        CallbackChange::Put(changed) => assert_same(changed, &two),
        CallbackChange::Deleted(id) => panic!("{id} was changed, not deleted"),
    }
}

/// A callback whose id is computed is made again under it, deleted again, and so on: what is told last is how it stands,
/// from whichever revision one asks.
pub async fn callback_that_is_made_again_after_it_was_deleted_is_there(harness: &mut impl Harness) {
    let store = harness.store();
    let mut callback = callback(1);
    let mut revisions = vec![Revision::ZERO];
    let standing = async |since: Revision| {
        let (changes, _) = store.callback_changes(since).await.expect("read");
        ids(&changes).last().cloned()
    };
    for round in 0..3 {
        callback.description = format!("round {round}");
        store.create_callback(&callback).await.expect("made, once more");
        store.create_callback(&callback).await.expect_err("it is there");
        let read = store.callback(callback.id).await.expect("read").expect("it is there");
        assert_same(&read, &callback);
        for since in &revisions {
            assert_eq!(standing(*since).await, Some(put(&callback)), "round {round}, {since:?}");
        }
        revisions.push(*store.revision().borrow());

        assert!(store.delete_callback(callback.id, at(900 + round)).await.expect("deleted"));
        assert!(store.callback(callback.id).await.expect("read").is_none());
        for since in &revisions {
            let deleted = format!("deleted {}", callback.id);
            assert_eq!(standing(*since).await, Some(deleted), "round {round}, {since:?}");
        }
        revisions.push(*store.revision().borrow());
    }
}

fn put(callback: &Callback) -> String {
    format!("put {}", callback.id)
}

fn ids(changes: &[CallbackChange]) -> Vec<String> {
    let id = |change: &CallbackChange| match change {
        CallbackChange::Put(callback) => put(callback),
        CallbackChange::Deleted(id) => format!("deleted {id}"),
    };
    changes.iter().map(id).collect()
}

/// Who is told of a revision finds it, and who made a change is not ahead of those who are told.
pub async fn revision_is_told_before_a_change_returns(harness: &mut impl Harness) {
    let store = harness.store();
    let watch = store.revision();
    let callback = callback(1);
    let key = api_key(1, Scope::Instance);
    let mut told = *watch.borrow();
    let mut grew = || {
        let before = std::mem::replace(&mut told, *watch.borrow());
        told > before
    };
    store.create_callback(&callback).await.expect("written");
    assert!(grew(), "created");
    assert!(store.update_callback(&callback, callback.updated_at).await.expect("written"));
    assert!(grew(), "updated");
    let read = store.callback(callback.id).await.expect("read").expect("it is there");
    store.disable_gone_callback(callback.id, read.updated_at, at(900)).await.expect("written");
    assert!(grew(), "disabled");
    assert!(store.delete_callback(callback.id, at(901)).await.expect("deleted"));
    assert!(grew(), "deleted");
    store.create_api_key(&key).await.expect("written");
    assert!(grew(), "key created");
    assert!(store.delete_api_key(key.id, LastKey::Goes).await.expect("deleted"));
    assert!(grew(), "key deleted");
    let (_, reached) = store.callback_changes(Revision::ZERO).await.expect("read");
    assert_eq!(reached, *watch.borrow());
}

/// What changes nothing tells nobody.
pub async fn refused_change_raises_no_revision(harness: &mut impl Harness) {
    let store = harness.store();
    let callback = callback(1);
    store.create_callback(&callback).await.expect("written");
    let before = *store.revision().borrow();
    assert!(!store.update_callback(&callback, at(-1)).await.expect("tried"));
    assert!(!store.delete_callback(super::samples::callback(2).id, at(1)).await.expect("tried"));
    store.disable_gone_callback(callback.id, at(-1), at(1)).await.expect("tried");
    store.create_callback(&callback).await.expect_err("it is there already");
    assert_eq!(*store.revision().borrow(), before);
    let (_, reached) = store.callback_changes(Revision::ZERO).await.expect("read");
    assert_eq!(reached, before);
}

/// The list is newest first, page by page, and one account's shows nobody else's.
pub async fn callbacks_are_listed_newest_first_and_by_account(harness: &mut impl Harness) {
    let store = harness.store();
    for number in 1..=5 {
        let mut callback = callback(number);
        callback.account = (number % 2 == 1).then(|| account("acme"));
        // Some of the same millisecond.
        callback.created_at = at(i64::from(number) / 3);
        store.create_callback(&callback).await.expect("written");
    }
    let all = pages(&*store, &CallbackQuery::default()).await;
    assert_eq!(all, [5, 4, 3, 2, 1].map(|number| callback(number).id));
    let acme = pages(&*store, &CallbackQuery { account: Some(account("acme")) }).await;
    assert_eq!(acme, [5, 3, 1].map(|number| callback(number).id));
}

async fn pages(store: &dyn Store, query: &CallbackQuery) -> Vec<ringback_core::CallbackId> {
    let mut ids = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.callbacks(query, 2, after.as_ref()).await.expect("read");
        assert!(page.items.len() <= 2);
        ids.extend(page.items.iter().map(|callback| callback.id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

fn api_key(number: u8, scope: Scope) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_parts(at(number.into()), [number; 10]),
        description: "for \"Ada\"".to_owned(),
        scope,
        hash: KeyHash::of(&Secret::new(format!("rbk_{number}"))),
        created_at: at(number.into()),
    }
}

/// Keys come back, newest first, until they are deleted.
pub async fn api_keys_are_kept_until_deleted(harness: &mut impl Harness) {
    let store = harness.store();
    let old = api_key(1, Scope::Instance);
    let new = api_key(2, Scope::Account(account("acme")));
    store.create_api_key(&old).await.expect("written");
    store.create_api_key(&new).await.expect("written");
    let same_hash = ApiKey { hash: old.hash, ..api_key(3, Scope::Instance) };
    store.create_api_key(&same_hash).await.expect_err("one key is one row");
    assert_eq!(store.api_keys().await.expect("read"), [new.clone(), old.clone()]);
    assert!(store.delete_api_key(old.id, LastKey::Goes).await.expect("deleted"));
    assert!(!store.delete_api_key(old.id, LastKey::Goes).await.expect("tried"));
    assert_eq!(store.api_keys().await.expect("read"), [new]);
}

/// Somebody can manage the instance, whoever removes which key at the same moment.
pub async fn last_key_for_the_instance_stays(harness: &mut impl Harness) {
    let store = harness.store();
    let [one, other] = [api_key(1, Scope::Instance), api_key(2, Scope::Instance)];
    let of_account = api_key(3, Scope::Account(account("acme")));
    for key in [&one, &other, &of_account] {
        store.create_api_key(key).await.expect("written");
    }
    assert!(store.delete_api_key(of_account.id, LastKey::Stays).await.expect("deleted"));
    let (first, second) = tokio::join!(
        store.delete_api_key(one.id, LastKey::Stays),
        store.delete_api_key(other.id, LastKey::Stays),
    );
    assert_ne!(first.expect("tried"), second.expect("tried"), "one of them stays");
    let left = store.api_keys().await.expect("read");
    assert_eq!(left.len(), 1);
    assert!(!store.delete_api_key(left[0].id, LastKey::Stays).await.expect("tried"));
    assert!(store.delete_api_key(left[0].id, LastKey::Goes).await.expect("deleted"));
}

/// Callbacks, keys, deletions and the revision are there after a restart.
pub async fn configuration_outlives_the_process(harness: &mut impl Harness) {
    let store = harness.store();
    let [kept, deleted] = [unusual(1, authorizations()[1].clone()), callback(2)];
    let key = api_key(1, Scope::Account(account("acme")));
    store.create_callback(&kept).await.expect("written");
    store.create_callback(&deleted).await.expect("written");
    store.create_api_key(&key).await.expect("written");
    assert!(store.delete_callback(deleted.id, at(900)).await.expect("deleted"));
    let revision = *store.revision().borrow();
    drop(store);

    harness.reopen().await;
    let store = harness.store();
    assert_eq!(*store.revision().borrow(), revision);
    let read = store.callback(kept.id).await.expect("read").expect("it is there");
    assert_same(&read, &kept);
    assert_eq!(store.api_keys().await.expect("read"), [key]);
    let (changes, reached) = store.callback_changes(Revision::ZERO).await.expect("read");
    assert_eq!(ids(&changes), [put(&kept), format!("deleted {}", deleted.id)]);
    assert_eq!(reached, revision);
}
