//! Integrations: instance callbacks, for administrators alone.

use ringback_store::{CallbackQuery, Store as _};
use serde_json::json;

use super::harness::{Visitor, between};
use crate::harness::Api;

const LIST: &str = "/console/integrations";
const URL: &str = "https://example.com/";

#[tokio::test]
async fn integrations_are_the_callbacks_of_all_accounts() {
    let api = Api::start().await;
    api.made(json!({ "url": URL, "account": "acme", "description": "Of one" })).await;
    let visitor = Visitor::administrator(&api).await;
    let empty = visitor.sees(LIST).await;
    assert!(empty.contains("There are no integrations yet") && empty.contains("callbacks (1)"));
    let form = visitor.sees("/console/integrations/new").await;
    assert!(!form.contains("name=\"account\""), "it has no account to choose");
    let fields =
        [("url", URL), ("description", "Of all"), ("which-events", "these"), ("events", "A")];
    let page = visitor
        .does(LIST, &[&fields[..], &[("enabled", "yes"), ("account", "acme")]].concat())
        .await;
    assert!(page.contains("<h1>Of all</h1>"), "{page}");
    let list = visitor.sees(LIST).await;
    assert!(list.contains("Of all") && !list.contains("Of one"));
    let callbacks = visitor.sees("/console/callbacks").await;
    assert!(callbacks.contains("Of one") && !callbacks.contains("Of all"));
    assert!(callbacks.contains("integrations (1)"));

    // What is done to one leads back to this list.
    let id = between(&list, "/console/callbacks/", "/edit").rsplit('/').next().expect("an id");
    let paused = visitor
        .does(&format!("/console/callbacks/{id}/pause"), &[("back", "/console/integrations")])
        .await;
    assert!(paused.contains("<h1>Integrations</h1>"), "{paused}");
    let deleted = visitor.does(&format!("/console/callbacks/{id}/delete"), &[]).await;
    assert!(deleted.contains("There are no integrations yet"), "{deleted}");
}

#[tokio::test]
async fn callback_of_no_account_is_refused_with_all_else_that_is_wrong() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let form = visitor.sees("/console/callbacks/new").await;
    assert!(
        between(&form, "id=\"f-account\"", "id=\"f-enabled\"")
            .contains("/console/integrations/new")
    );
    for (account, said) in [
        ("a b", "1 to 64 characters"),
        ("_ringback", "Ringback&#39;s own"),
        ("", "Name the account. For all accounts, add an integration."),
    ] {
        let fields = [
            ("url", "ftp://example.com/"),
            ("which-events", "all"),
            ("account", account),
            ("headers", "no colon"),
        ];
        let refused = visitor.post("/console/callbacks", &fields).await;
        assert_eq!(refused.status, 422, "{account}");
        let error =
            between(&refused.html, "id=\"f-account-error\">", "</p>").replace('\'', "&#39;");
        assert!(error.contains(said), "{error}");
        // No mistake hides another.
        for field in ["url", "headers"] {
            let error = format!("id=\"f-{field}-error\"");
            assert!(refused.html.contains(&error), "{account}: {}", refused.html);
        }
    }
    let alone = [("url", URL), ("which-events", "all"), ("account", "")];
    assert_eq!(visitor.post("/console/callbacks", &alone).await.status, 422);
    let made = api.store.callbacks(&CallbackQuery::default(), 2, None).await.expect("read").items;
    assert!(made.is_empty(), "{made:?}");
}

#[tokio::test]
async fn there_are_no_integrations_for_an_account() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for path in [LIST, "/console/integrations/new"] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
    }
    let fields = [("url", URL), ("which-events", "all")];
    assert_eq!(visitor.post(LIST, &fields).await.status, 404);
    let preview = [("url", URL), ("for", "integration")];
    assert_eq!(visitor.post("/console/callbacks/preview", &preview).await.status, 404);
    let made = api.store.callbacks(&CallbackQuery::default(), 2, None).await.expect("read").items;
    assert!(made.is_empty());
    assert!(!visitor.sees("/console/callbacks").await.contains("Integrations"));
}
