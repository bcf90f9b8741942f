//! Event Notification: what is registered for an account, shown and changed.

use ringback_core::callback::{Authorization, CallbackState, Format};
use ringback_core::secret::Secret;
use ringback_core::{Callback, CallbackId};
use ringback_store::{CallbackQuery, Store as _};
use ringback_testkit::builders::account;
use serde_json::json;

use super::harness::{Visitor, between};
use crate::harness::Api;

const PAGE: &str = "/console/event-notification";
const URL: &str = "https://example.com/listener";

async fn registered(api: &Api) -> Option<Callback> {
    api.store.callback(CallbackId::of_registration(&account("acme"))).await.expect("readable")
}

async fn register(api: &Api, body: serde_json::Value) {
    let answer = api.call("PUT", "/api/callback/register?account=acme", Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
}

/// Saves what is typed into the form as it is by now.
async fn save(visitor: &Visitor<'_>, fields: &[(&str, &str)]) -> String {
    let form = visitor.sees(PAGE).await;
    visitor.does(PAGE, &[fields, &[as_of(&form)]].concat()).await
}

fn as_of(form: &str) -> (&str, &str) {
    ("as-of", between(form, "name=\"as-of\" value=\"", "\""))
}

/// The types that are ticked.
fn ticked(page: &str) -> Vec<&str> {
    let boxes = page.split("name=\"event\" value=\"").skip(1);
    boxes
        .filter_map(|it| it.split_once("\" checked"))
        .map(|(name, _)| name)
        .filter(|it| !it.contains('"'))
        .collect()
}

#[tokio::test]
async fn account_registers_changes_and_switches_off() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let blank = visitor.sees(PAGE).await;
    assert!(blank.contains("Nothing yet."), "{blank}");
    assert_eq!(ticked(&blank).len(), 20);
    let events = [("event", "PACKAGE_CREATE"), ("event", "SIGNER_COMPLETE")];
    let basic = [
        ("callbackUrl", URL),
        ("authType", "basic"),
        ("username", "me"),
        ("password", "hush-hush"),
    ];
    let saved = save(&visitor, &[&basic[..], &events].concat()).await;
    assert!(saved.contains("Saved: notifications are sent as shown here."), "{saved}");
    assert!(saved.contains(URL) && !saved.contains("hush-hush"));
    assert_eq!(ticked(&saved), ["PACKAGE_CREATE", "SIGNER_COMPLETE"]);
    let callback = registered(&api).await.expect("registered");
    assert_eq!(
        (callback.format, callback.account.clone()),
        (Format::CongaSign, Some(account("acme")))
    );
    assert_eq!(callback.events.patterns(), ["PACKAGE_CREATE", "SIGNER_COMPLETE"]);
    assert!(saved.contains(&format!("href=\"/console/callbacks/{}\"", callback.id)));

    // Left empty, the secret stays.
    let again =
        [("callbackUrl", "https://example.com/2"), ("authType", "basic"), ("username", "you")];
    save(&visitor, &[&again[..], &events].concat()).await;
    let changed = registered(&api).await.expect("registered");
    let password = Secret::new("hush-hush");
    assert_eq!(
        changed.authorization,
        Authorization::Basic { username: "you".to_owned(), password }
    );
    assert_eq!(changed.url.as_str(), "https://example.com/2");

    let asks = format!("{PAGE}/off");
    assert!(visitor.sees(PAGE).await.contains(&format!("href=\"{asks}?account=acme\"")));
    assert!(visitor.sees(&asks).await.contains("Switch notifications off?"));
    assert!(registered(&api).await.expect("registered").state.is_enabled(), "asking does nothing");
    let off = visitor.does(PAGE, &[("off", "yes")]).await;
    assert!(off.contains("Notifications are off.") && off.contains("Saving switches them on."));
    assert!(matches!(registered(&api).await.expect("kept").state, CallbackState::Disabled(_)));
    let key = [("callbackUrl", URL), ("authType", "callback_key"), ("callbackKey", "key==")];
    let on = save(&visitor, &[&key[..], &events].concat()).await;
    assert!(between(&on, "<dt>Callback key</dt>", "</dd>").contains("Set"), "{on}");
    let none = [("callbackUrl", URL), ("authType", "none")];
    save(&visitor, &[&none[..], &events].concat()).await;
    let last = registered(&api).await.expect("registered");
    assert_eq!((last.authorization, last.state), (Authorization::None, CallbackState::Enabled));
}

#[tokio::test]
async fn what_is_wrong_is_told_at_its_field() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let one = ("event", "PACKAGE_CREATE");
    for (fields, id, said) in [
        (vec![("callbackUrl", ""), one], "callbackUrl", "is required"),
        (vec![("callbackUrl", "ftp://a"), one], "callbackUrl", "begins with http://"),
        (vec![("callbackUrl", URL), ("authType", "bearer"), one], "bearerToken", "is required"),
        (
            vec![("callbackUrl", URL), ("authType", "callback_key"), one],
            "callbackKey",
            "is required",
        ),
        (
            vec![("callbackUrl", URL), ("authType", "basic"), ("password", "p"), one],
            "username",
            "is required",
        ),
        (vec![("callbackUrl", URL)], "events", "tick at least one"),
        (
            vec![("callbackUrl", URL), ("authType", "Digest"), one],
            "authType",
            "Basic, Bearer or None",
        ),
    ] {
        let page = visitor.post(PAGE, &fields).await;
        assert_eq!(page.status, 422, "{fields:?}: {}", page.html);
        let alert = between(&page.html, "role=\"alert\"", "</div>");
        assert!(alert.contains(&format!("href=\"#f-{id}\"")) && alert.contains(said), "{alert}");
        assert!(page.html.contains(&format!("id=\"f-{id}\"")), "{id}");
    }
    assert!(registered(&api).await.is_none());
}

#[tokio::test]
async fn prefixes_stay_until_what_is_ticked_changes() {
    let api = Api::start().await;
    register(
        &api,
        json!({ "callbackUrl": URL, "authType": "None", "events": ["PACKAGE_*", "MINE"] }),
    )
    .await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let page = visitor.sees(PAGE).await;
    let ticks = ticked(&page);
    assert!(
        ticks.len() == 13 && ticks.contains(&"MINE") && ticks.contains(&"PACKAGE_TRASH"),
        "{ticks:?}"
    );
    let events: Vec<_> = ticks.iter().map(|name| ("event", *name)).collect();
    let form = [&[("callbackUrl", URL), ("authType", "none")][..], &events].concat();
    save(&visitor, &form).await;
    let patterns = async || registered(&api).await.expect("registered").events.patterns();
    assert_eq!(patterns().await, ["PACKAGE_*", "MINE"]);
    let form = [&[("callbackUrl", URL), ("authType", "none")][..], &events[11..]].concat();
    save(&visitor, &form).await;
    assert_eq!(patterns().await, ["PACKAGE_TRASH", "MINE"]);

    // All on and all off tick the boxes; they save nothing, and lose nothing.
    for (all, count) in [("all", 21), ("none", 0)] {
        let page =
            visitor.post(PAGE, &[("callbackUrl", "https://new.example/"), ("tick", all)]).await;
        assert_eq!((page.status, ticked(&page.html).len()), (200, count));
        assert!(page.html.contains("value=\"https://new.example/\""));
    }
    assert_eq!(patterns().await, ["PACKAGE_TRASH", "MINE"]);
}

#[tokio::test]
async fn change_that_somebody_else_made_meanwhile_is_not_lost_unseen() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let typed =
        [("callbackUrl", "https://example.org/late"), ("authType", "none"), ("event", "MINE")];
    // Registered or changed after the form was opened.
    for theirs in ["https://example.com/1", "https://example.com/2"] {
        let form = visitor.sees(PAGE).await;
        api.clock.advance(std::time::Duration::from_secs(1));
        register(&api, json!({ "callbackUrl": theirs, "authType": "None" })).await;
        let late = visitor.post(PAGE, &[&typed[..], &[as_of(&form)]].concat()).await;
        assert_eq!(late.status, 422, "{theirs}");
        let alert = between(&late.html, "role=\"alert\"", "</div>");
        assert!(alert.contains("changed after you opened the form"), "{alert}");
        assert!(late.html.contains("value=\"https://example.org/late\""), "what was typed is kept");
        assert_eq!(registered(&api).await.expect("registered").url.as_str(), theirs);
        if theirs.ends_with('2') {
            visitor.does(PAGE, &[&typed[..], &[as_of(&late.html)]].concat()).await;
            let saved = registered(&api).await.expect("registered");
            assert_eq!(saved.url.as_str(), "https://example.org/late");
        }
    }
    // To be switched off loses nothing of it.
    let form = visitor.sees(PAGE).await;
    register(&api, json!({ "callbackUrl": URL, "authType": "None" })).await;
    visitor.does(PAGE, &[("off", "yes"), as_of(&form)]).await;
    let off = registered(&api).await.expect("kept");
    assert_eq!((off.url.as_str(), off.state.is_enabled()), (URL, false));
}

#[tokio::test]
async fn administrator_chooses_the_account_and_others_see_their_own_alone() {
    let api = Api::start().await;
    let administrator = Visitor::administrator(&api).await;
    assert!(administrator.sees(PAGE).await.contains("Nothing is registered yet"));
    register(&api, json!({ "callbackUrl": URL, "authType": "None" })).await;
    api.made(json!({ "url": "https://example.org/", "account": "acme" })).await;
    let list = administrator.sees(PAGE).await;
    assert!(list.contains("href=\"/console/event-notification?account=acme\">acme</a>"), "{list}");
    assert_eq!(
        list.matches("<th scope=\"row\">").count(),
        1,
        "no other callback is a registration"
    );
    let page = administrator.sees(&format!("{PAGE}?account=acme")).await;
    assert!(
        page.contains(URL) && ticked(&page).len() == 20 && page.contains("It gets all events"),
        "{page}"
    );
    assert!(
        administrator.sees(&format!("{PAGE}?account=a%20b")).await.contains("1 to 64 characters")
    );

    let other = Visitor::of_account(&api, "other").await;
    assert!(!other.sees(PAGE).await.contains(URL));
    assert_eq!(other.get(&format!("{PAGE}?account=acme")).await.status, 404);
    let fields = [
        ("account", "acme"),
        ("callbackUrl", "https://evil.example/"),
        ("event", "PACKAGE_CREATE"),
    ];
    assert_eq!(other.post(PAGE, &fields).await.status, 404);
    assert_eq!(other.get(&format!("{PAGE}/off?account=acme")).await.status, 404);
    assert_eq!(other.post(PAGE, &[("account", "acme"), ("off", "yes")]).await.status, 404);
    let after = registered(&api).await.expect("registered");
    assert_eq!((after.url.as_str(), after.state), (URL, CallbackState::Enabled));
    let callbacks = api.store.callbacks(&CallbackQuery::default(), 9, None).await.expect("read");
    assert_eq!(callbacks.items.len(), 2);
}
