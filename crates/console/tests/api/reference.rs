//! The reference page.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::json;
use tower::ServiceExt as _;

use crate::harness::Api;

/// The page, as whoever has no key gets it.
async fn page(api: &Api) -> (HeaderMap, String) {
    let request = Request::builder().uri("/reference").body(Body::empty()).expect("valid");
    let response = api.router.clone().oneshot(request).await.expect("a router never fails");
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let bytes = to_bytes(response.into_body(), 10_000_000).await.expect("a whole body");
    (headers, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn every_type_stands_there_with_its_variables_and_each_format() {
    let api = Api::start().await;
    let (headers, page) = page(&api).await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let catalog = api.get("/v1/catalog").await;
    let types = catalog["event_types"].as_array().expect("a list");
    for kind in types {
        let name = kind["name"].as_str().expect("a name");
        assert!(
            page.contains(&format!(r##"<a href="#{name}"><code>{name}</code></a>"##)),
            "{name}"
        );
        let (_, section) = page.split_once(&format!(r#"<h2 id="{name}">"#)).expect(name);
        let (section, _) = section.split_once("</section>").expect("it ends");
        let section = section.replace("<wbr>", "");
        for variable in kind["variables"].as_array().expect("a list") {
            let name = variable["name"].as_str().expect("a name");
            assert!(section.contains(&format!(r#"<th scope="row"><code>{name}</code></th>"#)));
        }
        let is_of_packages = section.contains("<code>packageId</code>");
        for (format, expected) in
            [("form", true), ("json", true), ("cloudevents", true), ("conga-sign", is_of_packages)]
        {
            let shown = section.contains(&format!("<code>{format}</code>"));
            assert_eq!(shown, expected, "{name} {format}");
        }
    }
    // Made with what makes the requests.
    let user = "44aafb7c-97b9-40e1-bb59-eb76c7d2a484";
    for body in [
        r#"{&quot;@class&quot;:&quot;com.silanis.esl.packages.event.ESLProcessEvent&quot;,&quot;name&quot;:&quot;ROLE_REASSIGN&quot;,&quot;sessionUser&quot;:&quot;USER&quot;"#.replace("USER", user),
        "&amp;EVENT_ID=COMMENT_CREATED&amp;COMMENT_ID=178&amp;".to_owned(),
        r#"{&quot;specversion&quot;:&quot;1.0&quot;"#.to_owned(),
    ] {
        assert!(page.contains(&body), "{body}");
    }
    assert!(page.contains("at most 4000 characters"));
}

#[tokio::test]
async fn page_follows_the_catalog_and_what_stands_in_it_stays_text() {
    let api = Api::start().await;
    assert!(!page(&api).await.1.contains("ORDER_PAID"));
    let evil = "</style></code><script>alert(1)</script>\"'&";
    let kind = json!({
        "description": evil,
        "variables": [{ "name": evil, "description": evil, "example": evil }],
    });
    let put = api.call("PUT", "/v1/event-types/ORDER_PAID", Some(kind)).await;
    assert_eq!(put.status, 201, "{}", put.json);
    let (_, shown) = page(&api).await;
    assert!(shown.contains("ORDER_PAID") && shown.contains("&lt;script&gt;alert(1)"));
    assert!(!shown.contains("<script"), "nothing of it is a tag");
    assert_eq!(shown.matches("</style>").count(), 1);
    api.call("DELETE", "/v1/event-types/ORDER_PAID", None).await;
    assert!(!page(&api).await.1.contains("ORDER_PAID"));
}

#[tokio::test]
async fn page_may_load_and_run_nothing_but_its_own_style() {
    use base64::Engine as _;
    use sha2::Digest as _;

    let api = Api::start().await;
    let (headers, page) = page(&api).await;
    let (_, style) = page.split_once("<style>").expect("a style sheet");
    let (style, _) = style.split_once("</style>").expect("it ends");
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(headers["content-security-policy"], expected.as_str());
    assert!(!page.contains(" style="), "the policy would not let it through");
}
