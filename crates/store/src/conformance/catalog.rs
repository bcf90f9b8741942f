//! The catalog, and the settings of accounts.

use ringback_core::EventName;
use ringback_core::catalog::EventType;

use super::Harness;
use super::samples::{account, at};
use crate::{AccountSettings, UnknownTypes};

fn kind(name: &str, rest: &str) -> EventType {
    let json = format!(r#"{{"name":"{name}"{rest}}}"#);
    serde_json::from_str(&json).expect("a type")
}

fn name(name: &str) -> EventName {
    name.parse().expect("a name")
}

const EVERYTHING: &str = r#","description":"Ada's; \"quoted\",\nü","variables":[
    {"name":"b \"1\"","type":"string","max_length":255,"required":true,"description":"it's","example":"x\u0000"},
    {"name":"a","type":"number","example":1.10},
    {"name":"c","type":"object","example":{"z" : 1, "a":[null]}}]"#;

/// Types come back by name, with every field, each variable in its place and each example to the letter.
pub async fn event_types_come_back_with_every_field(harness: &mut impl Harness) {
    let store = harness.store();
    assert_eq!(store.event_types().await.expect("read"), []);
    let (full, empty) = (kind("PAID", EVERYTHING), kind("a.b-c", ""));
    let put = [empty.clone(), full.clone()];
    assert!(store.change_event_types(&put, &[], at(1)).await.expect("written"));
    assert_eq!(store.event_types().await.expect("read"), [full, empty.clone()]);
    let replaced = kind("PAID", r#","description":"else""#);
    let put = std::slice::from_ref(&replaced);
    assert!(store.change_event_types(put, &[], at(2)).await.expect("written"));
    assert_eq!(store.event_types().await.expect("read"), [replaced, empty.clone()]);
    assert!(store.change_event_types(&[], &[name("PAID")], at(3)).await.expect("deleted"));
    assert_eq!(store.event_types().await.expect("read"), [empty]);
}

/// A change of several types is made whole, or not at all, and told only if it was made.
pub async fn change_of_types_is_all_or_nothing(harness: &mut impl Harness) {
    let store = harness.store();
    let old = kind("OLD", EVERYTHING);
    assert!(
        store.change_event_types(std::slice::from_ref(&old), &[], at(1)).await.expect("written")
    );
    let before = *store.revision().borrow();
    let (new, unknown) = (kind("NEW", ""), [name("OLD"), name("UNKNOWN")]);
    let new = std::slice::from_ref(&new);
    assert!(!store.change_event_types(new, &unknown, at(2)).await.expect("tried"));
    assert_eq!(store.event_types().await.expect("read"), [old]);
    assert_eq!(*store.revision().borrow(), before);
    assert!(store.change_event_types(new, &unknown[..1], at(3)).await.expect("written"));
    assert_eq!(store.event_types().await.expect("read"), new);
    assert!(*store.revision().borrow() > before);
}

/// What an account wants is kept until it wants something else, and each change is told.
pub async fn account_settings_are_those_that_were_put_last(harness: &mut impl Harness) {
    let store = harness.store();
    let wants = |name, unknown_types| AccountSettings { account: account(name), unknown_types };
    assert_eq!(store.account_settings().await.expect("read"), []);
    let before = *store.revision().borrow();
    for name in ["other", "acme"] {
        let strict = wants(name, UnknownTypes::Refused);
        store.put_account_settings(&strict, at(1)).await.expect("written");
    }
    assert!(*store.revision().borrow() > before);
    let lenient = wants("other", UnknownTypes::Accepted);
    store.put_account_settings(&lenient, at(2)).await.expect("written");
    let strict = wants("acme", UnknownTypes::Refused);
    assert_eq!(store.account_settings().await.expect("read"), [strict]);
}

/// Types and settings are there after a restart.
pub async fn catalog_outlives_the_process(harness: &mut impl Harness) {
    let store = harness.store();
    let kept = kind("PAID", EVERYTHING);
    let strict = AccountSettings { account: account("acme"), unknown_types: UnknownTypes::Refused };
    let put = std::slice::from_ref(&kept);
    assert!(store.change_event_types(put, &[], at(1)).await.expect("written"));
    store.put_account_settings(&strict, at(1)).await.expect("written");
    drop(store);

    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.event_types().await.expect("read"), [kept]);
    assert_eq!(store.account_settings().await.expect("read"), [strict]);
}
