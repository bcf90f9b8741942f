//! What the log callback was sent, as a page.

use axum::body::Body;
use axum::http::Request;
use ringback_runtime::Clock as _;
use tower::ServiceExt as _;

use super::harness::{Visitor, next_page};
use crate::harness::Api;
use crate::sink::{callback, signed};

async fn send(api: &Api, request: Request<Body>) {
    let response = api.router.clone().oneshot(request).await.expect("answers");
    assert_eq!(response.status(), 200);
    api.clock.advance(std::time::Duration::from_secs(1));
}

fn unsigned(body: &str) -> Request<Body> {
    Request::post("/system.ashx?f=lp&id=%20178")
        .header("authorization", "Basic hush")
        .header("x-plain", "<i>seen</i>")
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

#[tokio::test]
async fn requests_are_shown_to_whom_they_belong_with_secrets_masked() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let empty = visitor.sees("/console/log").await;
    assert!(empty.contains("Nothing was sent here") && empty.contains("/system.ashx?f=lp"));

    let of_acme = callback(&api, Some("acme")).await;
    send(&api, signed(&of_acme, api.clock.now(), "EVENT_GUID=of-acme")).await;
    send(&api, unsigned("<script>alert(1)</script>")).await;
    let page = visitor.sees("/console/log").await;
    let nobodys = page.find("&lt;script&gt;alert(1)").expect("there");
    assert!(nobodys < page.find("EVENT_GUID=of-acme").expect("there"), "newest first");
    for shown in
        ["nobody known", "?f=lp&amp;id=%20178", "authorization: ***", "x-plain: &lt;i&gt;seen"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let link = format!("<a href=\"/console/callbacks/{}\">", of_acme.id);
    assert!(page.contains(&link) && page.contains("of account acme"), "{page}");
    assert!(!page.contains("hush") && !page.contains("<script>alert"));
    assert!(page.contains("id=\"log\" data-live=\"5\""), "{page}");

    let own = Visitor::of_account(&api, "acme").await;
    let page = own.sees("/console/log").await;
    assert!(page.contains("EVENT_GUID=of-acme") && page.contains(&link));
    assert!(!page.contains("nobody known"));
    let other = Visitor::of_account(&api, "other").await;
    assert!(other.sees("/console/log").await.contains("Nothing was sent here"));
    assert_eq!(other.get("/console/log?account=acme").await.status, 404);

    let page = visitor.sees("/console/log?account=acme").await;
    assert!(page.contains("EVENT_GUID=of-acme") && !page.contains("nobody known"));
    let page = visitor.sees("/console/log?account=a+b").await;
    assert!(page.contains("id=\"account-error\"") && !page.contains("EVENT_GUID"), "{page}");
}

#[tokio::test]
async fn log_comes_in_pages_and_long_bodies_are_cut() {
    let api = Api::start().await;
    for number in 0..21 {
        send(&api, unsigned(&format!("body-{number:02}"))).await;
    }
    let visitor = Visitor::administrator(&api).await;
    let first = visitor.sees("/console/log").await;
    assert!(first.contains("body-20") && first.contains("body-01") && !first.contains("body-00"));
    let last = visitor.sees(&next_page(&first)).await;
    assert!(
        last.contains("body-00") && !last.contains("body-01") && !last.contains("rel=\"next\"")
    );

    send(&api, unsigned(&"x".repeat(8 * 1024 + 1))).await;
    let page = visitor.sees("/console/log").await;
    assert!(page.contains(&"x".repeat(8 * 1024)) && !page.contains(&"x".repeat(8 * 1024 + 1)));
    assert!(page.contains("Its beginning."));
}
