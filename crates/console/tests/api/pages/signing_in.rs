//! Who gets in, and for how long.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::harness::{Visitor, between};
use crate::harness::Api;

#[tokio::test]
async fn key_opens_a_session_and_signing_out_ends_it() {
    let api = Api::start().await;
    let stranger = Visitor::stranger(&api);
    let sent_away = stranger.get("/console/callbacks?search=a%20b").await;
    assert_eq!(sent_away.status, 303);
    let login = sent_away.leads_to().to_owned();
    assert_eq!(login, "/console/login?next=%2Fconsole%2Fcallbacks%3Fsearch%3Da%2520b");
    for (path, next) in [("/console", "%2Fconsole"), ("/console?span=7d", "%2Fconsole%3Fspan%3D7d")]
    {
        let login = format!("/console/login?next={next}");
        assert_eq!(stranger.get(path).await.leads_to(), login);
    }
    assert_eq!(stranger.get("/console/").await.leads_to(), "/console");
    let form = stranger.sees(&login).await;
    assert!(form.contains("value=\"/console/callbacks?search=a%20b\""), "{form}");

    let visitor = Visitor::administrator(&api).await;
    assert!(visitor.sees("/console").await.contains("the whole instance"));
    let out = visitor.post("/console/logout", &[]).await;
    assert_eq!(out.status, 303);
    assert!(out.headers[header::SET_COOKIE].to_str().expect("text").contains("Max-Age=0"));
    assert!(visitor.sees(out.leads_to()).await.contains("You are signed out."));
    let over = visitor.get("/console").await;
    assert_eq!(over.status, 303, "the session is over");
    assert!(visitor.sees(over.leads_to()).await.contains("Your session has ended."));
    assert!(!form.contains("has ended"), "a stranger had none: {form}");
}

#[tokio::test]
async fn cookie_is_for_this_host_over_https_and_no_script() {
    let api = Api::start().await;
    let key = api.account_key("acme").await;
    let answer = Visitor::stranger(&api).send("/console/login", &[("key", &key)]).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text");
    assert!(cookie.starts_with("__Host-ringback="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn unknown_key_is_told_so_and_is_shown_nowhere() {
    let api = Api::start().await;
    let stranger = Visitor::stranger(&api);
    let page = stranger.send("/console/login", &[("key", "rbk_made-up")]).await;
    assert_eq!(page.status, 401);
    assert!(page.html.contains("no API key that is known"), "{}", page.html);
    assert!(!page.html.contains("made-up"));
    let field = between(&page.html, "<input id=\"key\"", ">");
    for part in ["aria-invalid=\"true\"", "aria-describedby=\"key-error key-hint\"", "autofocus"] {
        assert!(field.contains(part), "{part}: {field}");
    }
    assert!(page.html.contains("id=\"key-error\""), "{}", page.html);
    assert!(!stranger.sees("/console/login").await.contains("aria-invalid"));
    assert!(page.headers.get(header::SET_COOKIE).is_none());
}

#[tokio::test]
async fn session_ends_with_its_time_and_with_its_key() {
    let api = Api::start().await;
    let made = api.call("POST", "/v1/api-keys", Some(json!({ "account": "acme" }))).await.json;
    let key = made["key"].as_str().expect("a key");
    let (one, other) = (Visitor::with_key(&api, key).await, Visitor::administrator(&api).await);
    one.sees("/console").await;
    let removed = format!("/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(api.call("DELETE", &removed, None).await.status, 204);
    assert_eq!(one.get("/console").await.status, 303);
    other.sees("/console").await;
    api.clock.advance(Duration::from_secs(12 * 60 * 60));
    assert_eq!(other.get("/console").await.status, 303);
}

#[tokio::test]
async fn form_without_its_token_or_from_another_site_is_refused() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for fields in [&[][..], &[("form-token", "")], &[("form-token", "made-up")]] {
        let page = visitor.send("/console/logout", fields).await;
        assert_eq!(page.status, 403, "{fields:?}");
    }
    // One visitor's token is nothing to another.
    let other = Visitor::administrator(&api).await;
    let settings = other.sees("/console/settings").await;
    let token = between(&settings, "name=\"form-token\" value=\"", "\"").to_owned();
    assert_eq!(visitor.send("/console/logout", &[("form-token", &token)]).await.status, 403);

    let own = visitor.sees("/console/settings").await;
    let token = between(&own, "name=\"form-token\" value=\"", "\"");
    for site in ["cross-site", "same-site"] {
        let request = Request::post("/console/logout")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        let page = visitor.request(request, Body::from(format!("form-token={token}"))).await;
        assert_eq!(page.status, 403, "{site}");
    }
    visitor.sees("/console").await;
}

#[tokio::test]
async fn who_is_signed_in_keeps_the_navigation_where_something_went_wrong() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for (path, status) in
        [("/console/nothing-here", 404), ("/console/integrations", 404), ("/console/logout", 405)]
    {
        let page = visitor.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.html.contains("<nav aria-label=\"Console\">"), "{path}: {}", page.html);
        assert!(!page.html.contains("aria-current"), "{path}: it is in no part");
        assert!(!page.html.contains("Integrations"), "{path}: not theirs");
        let bare = Visitor::stranger(&api).get(path).await;
        assert!(!bare.html.contains("<nav"), "{path}: {}", bare.html);
    }
}

#[tokio::test]
async fn another_account_is_not_there_on_every_page_that_takes_one() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for path in [
        "",
        "/callbacks",
        "/events",
        "/deliveries",
        "/failed",
        "/failed/replay",
        "/event-notification",
    ] {
        let page = visitor.get(&format!("/console{path}?account=other")).await;
        assert_eq!(page.status, 404, "{path}: {}", page.html);
        assert!(page.html.contains("There is no such account"), "{path}: {}", page.html);
    }
}

#[tokio::test]
async fn pages_are_not_kept_framed_or_given_to_others() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    for path in ["/console", "/console/nothing-here", "/console/login"] {
        let page = visitor.get(path).await;
        let value =
            |name: header::HeaderName| page.headers[name].to_str().expect("text").to_owned();
        let policy = value(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(value(header::CACHE_CONTROL), "no-store");
        assert_eq!(value(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(value(header::CONTENT_TYPE).starts_with("text/html"), "{path}");
    }
}
