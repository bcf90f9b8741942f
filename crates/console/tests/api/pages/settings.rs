//! The settings: who gets in, strict accounts, and what the instance says of itself.

use std::sync::Arc;
use std::time::Duration;

use ringback_api::{Keys, with_fallbacks};
use ringback_console::{Console, Dependency, Facts, Kept};
use ringback_core::address::AddressPolicy;
use ringback_testkit::builders;

use super::harness::{Visitor, between};
use crate::harness::{ADMIN, Api};

const SETTINGS: &str = "/console/settings";
const NEW_KEY: &str = "/console/settings/keys/new";
const NEW_LINK: &str = "/console/settings/links/new";
const NEW_STRICT: &str = "/console/settings/accounts/new";

/// Makes a key on the page and gives it.
async fn key_made(visitor: &Visitor<'_>, fields: &[(&str, &str)]) -> String {
    let page = visitor.post(NEW_KEY, fields).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains("not shown again"));
    assert_eq!(page.headers["cache-control"], "no-store");
    between(&page.html, "<pre id=\"made\">", "</pre>").to_owned()
}

/// The ids of the keys there are, newest first.
async fn keys(api: &Api) -> Vec<String> {
    let list = api.get("/v1/api-keys").await;
    let ids = list["data"].as_array().expect("a list").iter();
    ids.map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
}

fn remove(id: &str) -> String {
    format!("{SETTINGS}/keys/{id}/remove")
}

#[tokio::test]
async fn key_is_made_shown_once_listed_and_opens_what_was_chosen() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let fields = [("description", "billing <b>"), ("opens", "account"), ("account", " acme ")];
    let of_acme = key_made(&visitor, &fields).await;
    let of_all = key_made(&visitor, &[("opens", "instance")]).await;
    let page = visitor.sees(SETTINGS).await;
    assert!(page.contains("billing &lt;b&gt;") && page.contains("<strong>acme</strong>"), "{page}");
    assert!(!page.contains(&of_acme) && !page.contains(&of_all));
    assert_eq!(api.call_as(&of_acme, "GET", "/v1/accounts/acme", None).await.status, 200);
    assert_eq!(api.call_as(&of_acme, "GET", "/v1/accounts/other", None).await.status, 403);
    assert_eq!(api.call_as(&of_all, "GET", "/v1/api-keys", None).await.status, 200);
}

#[tokio::test]
async fn form_that_is_sent_again_by_loading_anew_makes_and_shows_nothing_more() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for path in [NEW_KEY, NEW_LINK] {
        let form = visitor.sees(path).await;
        let drawn = between(&form, "name=\"drawn\" value=\"", "\"");
        let wrong = [("drawn", drawn), ("opens", "account"), ("account", "")];
        let right = [("drawn", drawn), ("opens", "account"), ("account", "acme")];
        let right = [&right[..], &[("expires_in_seconds", "3600")]].concat();
        for _ in 0..2 {
            // What made nothing may be sent again.
            assert_eq!(visitor.post(path, &wrong).await.status, 422, "{path}");
        }
        let made = visitor.post(path, &right).await;
        assert_eq!(made.status, 200, "{path}: {}", made.html);
        let before = keys(&api).await;
        let again = visitor.post(path, &right).await;
        assert_eq!(again.status, 409, "{path}: {}", again.html);
        assert!(again.html.contains("It was made already, and is not shown again."));
        assert!(!again.html.contains("id=\"made\""), "{}", again.html);
        assert_eq!(keys(&api).await, before);
        // The form anew makes another, of the same.
        let anew = visitor.sees(path).await;
        let drawn = between(&anew, "name=\"drawn\" value=\"", "\"");
        let anew = [&[("drawn", drawn)][..], &right[1..]].concat();
        assert_eq!(visitor.post(path, &anew).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn key_that_is_not_well_described_is_refused_beside_its_field() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let long = "x".repeat(1_001);
    for (fields, field, said) in [
        (vec![("opens", "account"), ("account", "")], "account", "say which"),
        (vec![], "account", "say which"),
        (vec![("opens", "instance"), ("account", "acme")], "account", "leave it empty"),
        (vec![("opens", "account"), ("account", "a b")], "account", "account"),
        (vec![("opens", "account"), ("account", "_ringback")], "account", "own"),
        (vec![("opens", "instance"), ("description", &long)], "description", "at most"),
    ] {
        let page = visitor.post(NEW_KEY, &fields).await;
        assert_eq!(page.status, 422, "{fields:?}");
        let (id, error) = (format!("id=\"f-{field}\""), format!("id=\"f-{field}-error\">"));
        assert!(between(&page.html, &id, ">").contains("aria-invalid=\"true\""), "{}", page.html);
        let error = between(&page.html, &error, "<").to_lowercase();
        assert!(error.contains(said), "{}", page.html);
    }
    assert_eq!(keys(&api).await, [""; 0]);
}

#[tokio::test]
async fn key_is_removed_after_the_page_said_what_goes_with_it() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let key = key_made(&visitor, &[("opens", "account"), ("account", "acme")]).await;
    let id = &keys(&api).await[0];
    let question = visitor.sees(&remove(id)).await;
    assert!(question.contains("signed out") && !question.contains("You came by"), "{question}");
    assert!(visitor.does(&remove(id), &[]).await.contains("The API key is removed"));
    assert_eq!(api.call_as(&key, "GET", "/v1/callbacks", None).await.status, 401);
    assert_eq!(visitor.get(&remove(id)).await.status, 404);
    assert_eq!(visitor.post(&remove(id), &[]).await.status, 404);

    let own = key_made(&visitor, &[("opens", "instance")]).await;
    let (other, id) = (Visitor::with_key(&api, &own).await, &keys(&api).await[0]);
    assert!(other.sees(&remove(id)).await.contains("You came by this key"));
    assert_eq!(other.post(&remove(id), &[]).await.status, 303);
    assert!(other.get(SETTINGS).await.leads_to().starts_with("/console/login"));
}

#[tokio::test]
async fn last_key_of_the_instance_stays_where_no_admin_key_is_set() {
    let mut api = Api::start().await;
    let administrator = Visitor::administrator(&api).await;
    let first = key_made(&administrator, &[("opens", "instance")]).await;
    api.clock.advance(Duration::from_millis(1));
    key_made(&administrator, &[("opens", "account"), ("account", "acme")]).await;
    let ids = keys(&api).await;
    let (of_acme, of_all) = (&ids[0], &ids[1]);
    let keys_alone = Keys::new(api.store.clone(), None);
    let (store, broker, clock) = (api.store.clone(), api.broker.clone(), api.clock.clone());
    let console = Console::new(store, broker, clock, AddressPolicy::default(), keys_alone);
    api.router = with_fallbacks(ringback_console::router(console));

    let visitor = Visitor::with_key(&api, &first).await;
    assert!(visitor.sees(&remove(of_all)).await.contains("last key for the whole instance"));
    assert_eq!(visitor.post(&remove(of_all), &[]).await.status, 409);
    let path = format!("/v1/api-keys/{of_all}");
    let refused = api.call_as(&first, "DELETE", &path, None).await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    assert_eq!(visitor.post(&remove(of_acme), &[]).await.status, 303);
    assert!(!visitor.sees(SETTINGS).await.contains("admin_key"));
    // With another one it may go.
    key_made(&visitor, &[("opens", "instance")]).await;
    assert_eq!(api.call_as(&first, "DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn account_becomes_strict_and_like_all_others_again() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let page = visitor.does(NEW_STRICT, &[("account", "acme")]).await;
    assert!(page.contains("The account is strict"), "{page}");
    assert!(page.contains("/console/settings/accounts/acme/lenient"));
    assert_eq!(api.get("/v1/accounts/acme").await["strict"], true);
    let of_acme = Visitor::of_account(&api, "acme").await;
    assert!(of_acme.sees(SETTINGS).await.contains("are refused"));

    let page = visitor.does("/console/settings/accounts/acme/lenient", &[]).await;
    assert!(!page.contains("/accounts/acme/lenient"), "{page}");
    assert_eq!(api.get("/v1/accounts/acme").await["strict"], false);
    assert!(of_acme.sees(SETTINGS).await.contains("are accepted"));

    let refused = visitor.post(NEW_STRICT, &[("account", "a b")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.html.contains("id=\"f-account-error\""), "{}", refused.html);
}

#[tokio::test]
async fn link_is_made_shown_and_opens_what_was_chosen() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let fields = [("opens", "account"), ("account", "acme"), ("expires_in_seconds", "86400")];
    let page = visitor.post(NEW_LINK, &fields).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains("datetime=\"2026-01-03T03:04:05.678Z\""), "{}", page.html);
    let link = between(&page.html, "<pre id=\"made\">", "</pre>");
    assert!(Visitor::stranger(&api).sees(link).await.contains("account <strong>acme</strong>"));

    for (seconds, account) in [("1", "acme"), ("soon", "acme"), ("3600", "")] {
        let fields = [("opens", "account"), ("account", account), ("expires_in_seconds", seconds)];
        let page = visitor.post(NEW_LINK, &fields).await;
        assert_eq!(page.status, 422, "{seconds} {account}");
        assert!(page.html.contains("aria-invalid=\"true\""), "{}", page.html);
    }
}

#[tokio::test]
async fn account_sees_of_itself_and_can_do_nothing_to_the_instance() {
    let mut api = Api::start().await;
    let facts = facts(Vec::new());
    api.router = with_fallbacks(ringback_console::router(api.console.clone().knowing(facts)));
    let administrator = Visitor::administrator(&api).await;
    key_made(
        &administrator,
        &[("opens", "account"), ("account", "other"), ("description", "x-key")],
    )
    .await;
    administrator.does(NEW_STRICT, &[("account", "other")]).await;
    let id = keys(&api).await.remove(0);

    let visitor = Visitor::of_account(&api, "acme").await;
    let page = visitor.sees(SETTINGS).await;
    assert!(page.contains("acme"));
    for of_instance in ["x-key", "other", "9.8.7", "Networks", "API keys", "admin_key"] {
        assert!(!page.contains(of_instance), "{of_instance}: {page}");
    }
    let before = keys(&api).await;
    for path in [NEW_KEY, NEW_LINK, NEW_STRICT, &remove(&id)] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
    }
    let fields = [("opens", "account"), ("account", "acme"), ("expires_in_seconds", "3600")];
    let lenient = format!("{SETTINGS}/accounts/other/lenient");
    for path in [NEW_KEY, NEW_LINK, NEW_STRICT, &remove(&id), &lenient] {
        assert_eq!(visitor.post(path, &fields).await.status, 404, "{path}");
    }
    assert_eq!(keys(&api).await, before);
    assert_eq!(api.get("/v1/accounts/other").await["strict"], true);
    assert_eq!(api.get("/v1/accounts/acme").await["strict"], false);
}

fn facts(dependencies: Vec<Dependency>) -> Facts {
    Facts {
        version: "9.8.7",
        listens_at: "10.1.2.3:8080".parse().expect("an address"),
        retention: Duration::from_secs(90 * 86_400),
        dependencies: Arc::new(move || dependencies.clone()),
    }
}

#[tokio::test]
async fn administrator_sees_what_the_instance_is_set_to_and_how_what_it_works_on_is() {
    let mut api = Api::start().await;
    let since = Some(builders::MADE_AT);
    let dependencies = vec![
        Dependency {
            name: "Queue",
            kept: Kept::OnServer("RabbitMQ"),
            trouble: Some("connection <refused>".to_owned()),
            since,
        },
        Dependency { name: "History", kept: Kept::InDirectory, trouble: None, since },
        Dependency { name: "Idempotency", kept: Kept::InDirectory, trouble: None, since: None },
    ];
    let console = api.console.clone().knowing(facts(dependencies));
    api.router = with_fallbacks(ringback_console::router(console));
    let page = Visitor::with_key(&api, ADMIN).await.sees(SETTINGS).await;
    for shown in
        ["9.8.7", "10.1.2.3:8080", "90 days", "Mixed", "RabbitMQ", "connection &lt;refused&gt;"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for (word, times) in [(">away<", 1), (">up<", 1), (">not looked at yet<", 1)] {
        assert_eq!(page.matches(word).count(), times, "{word}: {page}");
    }
    assert!(page.contains("the setting <code>admin_key</code>") && !page.contains(ADMIN));
}
