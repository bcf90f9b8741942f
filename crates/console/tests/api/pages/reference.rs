//! The catalog within the console.

use serde_json::json;

use super::harness::{Visitor, between, next_page};
use crate::harness::Api;

const REFERENCE: &str = "/console/reference";

#[tokio::test]
async fn every_type_stands_there_as_on_the_page_for_everybody() {
    let api = Api::start().await;
    let public = Visitor::stranger(&api).sees("/reference").await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let mut page = visitor.sees(REFERENCE).await;
    let catalog = api.get("/v1/catalog").await;
    for kind in catalog["event_types"].as_array().expect("a list") {
        let name = kind["name"].as_str().expect("a name");
        if !page.contains(&format!("id=\"type:{name}\"")) {
            page = visitor.sees(&next_page(&page)).await;
        }
        let own = between(&page, &format!("<h2 id=\"type:{name}\">"), "</section>");
        let (_, own) = own.split_once("</h2>").expect("a title");
        assert!(public.contains(own), "{name}: {own}");
    }
}

#[tokio::test]
async fn types_are_found_by_name_description_and_variable() {
    let api = Api::start().await;
    let kind = json!({
        "description": "Somebody <b>paid</b>.",
        "variables": [{ "name": "IBAN_OF_PAYER", "description": "Where from." }],
    });
    let put = api.call("PUT", "/v1/event-types/ORDER_SETTLED", Some(kind)).await;
    assert_eq!(put.status, 201, "{}", put.json);
    let visitor = Visitor::administrator(&api).await;
    for word in ["order_settled", "somebody+%3Cb%3E", "payer", "where+FROM"] {
        let page = visitor.sees(&format!("{REFERENCE}?search={word}")).await;
        assert!(page.contains("id=\"type:ORDER_SETTLED\""), "{word}: {page}");
        assert_eq!(page.matches("<section").count(), 1, "{word}");
        assert!(!page.contains("<b>paid"));
    }
    let page = visitor.sees(&format!("{REFERENCE}?search=%22nothing%22")).await;
    assert!(
        page.contains("No type of event is like that")
            && page.contains("value=\"&quot;nothing&quot;\"")
    );
}

#[tokio::test]
async fn types_come_in_pages_and_only_administrators_are_told_how_to_change_them() {
    let api = Api::start().await;
    let types: Vec<_> =
        (0..51).map(|number| json!({ "name": format!("ZZ_{number:02}") })).collect();
    let put = api.call("PUT", "/v1/catalog", Some(json!({ "event_types": types }))).await;
    assert_eq!(put.status, 200, "{}", put.json);
    let visitor = Visitor::administrator(&api).await;
    let first = visitor.sees(&format!("{REFERENCE}?search=zz_")).await;
    assert!(first.contains("type:ZZ_49") && !first.contains("type:ZZ_50"));
    let last = visitor.sees(&next_page(&first)).await;
    assert!(last.contains("type:ZZ_50") && !last.contains("type:ZZ_49"));
    assert!(last.contains("PUT /v1/event-types/{name}"));
    let of_account = Visitor::of_account(&api, "acme").await;
    assert!(!of_account.sees(REFERENCE).await.contains("PUT /v1/event-types"));
}
