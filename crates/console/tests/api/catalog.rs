//! The catalog: types one by one and all together, and strict accounts.

use serde_json::{Value, json};

use crate::harness::Api;

fn paid() -> Value {
    json!({
        "name": "ORDER_PAID", "description": "An order was paid.",
        "variables": [
            { "name": "ORDER_ID", "type": "integer", "required": true, "description": "Which.", "example": 178 },
            { "name": "NOTE", "type": "string", "max_length": 10 },
            { "name": "ANYTHING" },
        ],
    })
}

async fn put(api: &Api, name: &str, body: Value) -> crate::harness::Answer {
    api.call("PUT", &format!("/v1/event-types/{name}"), Some(body)).await
}

async fn own_names(api: &Api) -> Vec<Value> {
    let list = api.get("/v1/event-types?limit=200").await;
    let types = list["data"].as_array().expect("a list").iter();
    types.filter(|kind| kind["origin"] != "built_in").map(|kind| kind["name"].clone()).collect()
}

#[tokio::test]
async fn type_is_added_shown_replaced_and_removed() {
    let api = Api::start().await;
    let added = put(&api, "ORDER_PAID", paid()).await;
    assert_eq!((added.status, &added.json["origin"]), (201, &json!("own")), "{}", added.json);
    let shown = api.get("/v1/event-types/ORDER_PAID").await;
    assert_eq!(shown, added.json);
    assert_eq!(
        shown["variables"],
        json!([
            { "name": "ORDER_ID", "type": "integer", "required": true, "description": "Which.", "example": 178 },
            { "name": "NOTE", "type": "string", "max_length": 10, "required": false, "description": "" },
            { "name": "ANYTHING", "type": "any", "required": false, "description": "" },
        ])
    );
    // What was shown can be put back.
    assert_eq!(put(&api, "ORDER_PAID", shown.clone()).await.json, shown);
    let replaced = put(&api, "ORDER_PAID", json!({ "description": "else" })).await;
    assert_eq!((replaced.status, &replaced.json["variables"]), (200, &json!([])));
    assert_eq!(api.call("DELETE", "/v1/event-types/ORDER_PAID", None).await.status, 204);
    assert_eq!(api.call("DELETE", "/v1/event-types/ORDER_PAID", None).await.status, 404);
    assert_eq!(api.call("GET", "/v1/event-types/ORDER_PAID", None).await.status, 404);
}

#[tokio::test]
async fn built_in_type_makes_way_and_comes_back() {
    let api = Api::start().await;
    let built_in = api.get("/v1/event-types/EMAIL_BOUNCE").await;
    assert_eq!(built_in["origin"], "built_in");
    assert_eq!(api.call("DELETE", "/v1/event-types/EMAIL_BOUNCE", None).await.status, 409);
    let replaced = put(&api, "EMAIL_BOUNCE", json!({ "variables": [] })).await;
    assert_eq!((replaced.status, &replaced.json["origin"]), (200, &json!("replaces_built_in")));
    // Whoever names it in a callback is no hindrance: it stays known.
    let url = "https://example.com/";
    api.made(json!({ "url": url, "events": ["EMAIL_BOUNCE"] })).await;
    assert_eq!(api.call("DELETE", "/v1/event-types/EMAIL_BOUNCE", None).await.status, 204);
    assert_eq!(api.get("/v1/event-types/EMAIL_BOUNCE").await, built_in);
}

#[tokio::test]
async fn types_come_by_name_in_pages_and_each_says_where_it_is_from() {
    let api = Api::start().await;
    put(&api, "a.type", json!({})).await;
    let all = api.get("/v1/event-types").await;
    let all = all["data"].as_array().expect("a list");
    assert_eq!(all.len(), 26);
    assert_eq!(own_names(&api).await, ["a.type"]);
    let mut seen = Vec::new();
    let mut path = "/v1/event-types?limit=10".to_owned();
    loop {
        let page = api.get(&path).await;
        seen.extend(page["data"].as_array().expect("a list").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/event-types?limit=10&cursor={cursor}");
    }
    assert_eq!(&seen, all);
    assert!(seen.is_sorted_by_key(|kind| kind["name"].as_str().expect("a name").to_owned()));
}

#[tokio::test]
async fn type_that_is_wrong_is_refused_with_the_place() {
    let api = Api::start().await;
    let variable = |variable: Value| json!({ "variables": [{ "name": "first" }, variable] });
    for (body, pointer) in [
        (json!({ "name": "ORDER_SENT" }), "/name"),
        (json!({ "description": "x".repeat(4_001) }), "/description"),
        (json!({ "variables": {} }), "/variables"),
        (json!({ "colour": "blue" }), "/colour"),
        (variable(json!({})), "/variables/1/name"),
        (variable(json!({ "name": "first" })), "/variables/1/name"),
        (variable(json!({ "name": "v", "type": "text" })), "/variables/1/type"),
        (
            variable(json!({ "name": "v", "type": "string", "max_length": 0 })),
            "/variables/1/max_length",
        ),
        (variable(json!({ "name": "v", "max_length": 5 })), "/variables/1/max_length"),
        (variable(json!({ "name": "v", "required": "yes" })), "/variables/1/required"),
        (
            variable(json!({ "name": "v", "type": "integer", "example": "1" })),
            "/variables/1/example",
        ),
    ] {
        let answer = put(&api, "ORDER_PAID", body.clone()).await;
        assert_eq!(
            (answer.status, answer.pointers()),
            (422, vec![pointer]),
            "{body} {}",
            answer.json
        );
    }
    assert_eq!(put(&api, "ORDER_PAID", json!([])).await.status, 422);
    assert_eq!(put(&api, "ORDER%20PAID", json!({})).await.status, 400);
    assert_eq!(own_names(&api).await, [""; 0]);
}

#[tokio::test]
async fn type_that_an_enabled_callback_names_stays() {
    let api = Api::start().await;
    put(&api, "ORDER_PAID", paid()).await;
    let settings = |events: Value| json!({ "url": "https://example.com/", "events": events });
    let naming = api.made(settings(json!(["OTHER", "ORDER_PAID"]))).await;
    api.made(settings(json!(["ORDER_*"]))).await;
    let id = naming["id"].as_str().expect("an id");
    for (method, path, body) in [
        ("DELETE", "/v1/event-types/ORDER_PAID", None),
        ("PUT", "/v1/catalog", Some(json!({ "event_types": [] }))),
    ] {
        let refused = api.call(method, path, body).await;
        assert_eq!(refused.status, 409, "{method}");
        let detail = refused.json["detail"].as_str().expect("a text");
        assert!(detail.contains(id) && detail.contains("ORDER_PAID"), "{detail}");
    }
    api.call("PATCH", &format!("/v1/callbacks/{id}"), Some(json!({ "enabled": false }))).await;
    assert_eq!(api.call("DELETE", "/v1/event-types/ORDER_PAID", None).await.status, 204);
}

#[tokio::test]
async fn catalog_is_exported_and_imported_whole() {
    let api = Api::start().await;
    put(&api, "ORDER_PAID", paid()).await;
    put(&api, "EMAIL_BOUNCE", json!({ "description": "mine" })).await;
    let exported = api.get("/v1/catalog").await;
    assert_eq!(exported["event_types"].as_array().expect("a list").len(), 26);

    // The same again changes nothing; what the file does not have goes; what is as it is built in stays built in.
    let nothing = json!({ "put": [], "removed": [] });
    let again = api.call("PUT", "/v1/catalog", Some(exported.clone())).await;
    assert_eq!((again.status, &again.json), (200, &nothing));
    put(&api, "ORDER_SENT", json!({})).await;
    let mut changed = exported.clone();
    let types = changed["event_types"].as_array_mut().expect("a list");
    types.retain(|kind| kind["name"] != "EMAIL_BOUNCE");
    types.iter_mut().find(|kind| kind["name"] == "ORDER_PAID").expect("there")["description"] =
        json!("else");
    let imported = api.call("PUT", "/v1/catalog", Some(changed)).await;
    let expected = json!({ "put": ["ORDER_PAID"], "removed": ["EMAIL_BOUNCE", "ORDER_SENT"] });
    assert_eq!((imported.status, &imported.json), (200, &expected));
    assert_eq!(own_names(&api).await, ["ORDER_PAID"]);

    // Elsewhere it makes the same catalog.
    let other = Api::start().await;
    assert_eq!(other.call("PUT", "/v1/catalog", Some(exported.clone())).await.status, 200);
    assert_eq!(other.get("/v1/catalog").await, exported);
    assert_eq!(own_names(&other).await, ["EMAIL_BOUNCE", "ORDER_PAID"]);
}

#[tokio::test]
async fn catalog_that_is_wrong_in_one_place_changes_nothing() {
    let api = Api::start().await;
    put(&api, "ORDER_PAID", paid()).await;
    let before = api.get("/v1/catalog").await;
    let many: Vec<_> = (0..=1_000).map(|number| json!({ "name": format!("T{number}") })).collect();
    for (types, pointer) in [
        (json!([paid(), { "name": "NEW" }, paid()]), "/event_types/2/name"),
        (json!([{ "name": "NEW" }, { "description": "nameless" }]), "/event_types/1/name"),
        (json!([{ "name": "NEW" }, { "name": "a b" }]), "/event_types/1/name"),
        (
            json!([{ "name": "NEW" }, { "name": "B", "variables": [{ "name": "v", "type": 1 }] }]),
            "/event_types/1/variables/0/type",
        ),
        (
            json!([{ "name": "NEW" }, { "name": "B", "variables": [{ "name": "v", "type": "int" }] }]),
            "/event_types/1/variables/0/type",
        ),
        (json!([{ "name": "B", "description": "x".repeat(4_001) }]), "/event_types/0/description"),
        (json!({ "NEW": {} }), "/event_types"),
        (json!(many), "/event_types"),
    ] {
        let body = json!({ "event_types": types });
        let answer = api.call("PUT", "/v1/catalog", Some(body)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{}", answer.json);
        assert!(
            pointer != "/event_types/2/name" || answer.detail_at(pointer).contains("`ORDER_PAID`"),
            "{}",
            answer.json
        );
        assert_eq!(api.get("/v1/catalog").await, before);
    }
}

#[tokio::test]
async fn account_keys_read_the_catalog_and_their_own_account_and_change_neither() {
    let api = Api::start().await;
    put(&api, "ORDER_PAID", paid()).await;
    let key = api.account_key("acme").await;
    for path in
        ["/v1/event-types", "/v1/event-types/ORDER_PAID", "/v1/catalog", "/v1/accounts/acme"]
    {
        assert_eq!(api.call_as(&key, "GET", path, None).await.status, 200, "{path}");
    }
    assert_eq!(api.call_as(&key, "GET", "/v1/accounts/other", None).await.status, 403);
    for (method, path, body) in [
        ("PUT", "/v1/event-types/ORDER_PAID", Some(json!({}))),
        ("DELETE", "/v1/event-types/ORDER_PAID", None),
        ("PUT", "/v1/catalog", Some(json!({ "event_types": [] }))),
        ("PUT", "/v1/accounts/acme", Some(json!({ "strict": true }))),
    ] {
        let answer = api.call_as(&key, method, path, body).await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn account_is_strict_once_somebody_said_so() {
    let api = Api::start().await;
    let path = "/v1/accounts/acme";
    assert_eq!(api.get(path).await, json!({ "account": "acme", "strict": false }));
    let strict = api.call("PUT", path, Some(json!({ "strict": true }))).await;
    assert_eq!((strict.status, &strict.json["strict"]), (200, &json!(true)));
    assert_eq!(api.get(path).await, strict.json);
    for (body, pointer) in [
        (json!({}), "/strict"),
        (json!({ "strict": "yes" }), "/strict"),
        (json!({ "strict": true, "lax": true }), "/lax"),
    ] {
        let answer = api.call("PUT", path, Some(body)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer]), "{}", answer.json);
    }
    // What was shown can be put back, changed.
    let lenient = json!({ "account": "acme", "strict": false });
    assert_eq!(api.call("PUT", path, Some(lenient.clone())).await.json, lenient);
    assert_eq!(api.get("/v1/accounts/nobody").await["strict"], false);
}
