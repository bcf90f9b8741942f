//! The form of a callback: what is typed is saved and shown again, refused at its field, and previewed.

use ringback_core::callback::Authorization;
use serde_json::{Value, json};

use super::super::harness::{Page, Visitor, between};
use super::{LIST, URL, all, settings};
use crate::harness::Api;

/// The fields of a form as a browser would send them, for tests to change.
fn fields_of(form: &str) -> Vec<(String, String)> {
    let form = between(form, "<form class=\"callback\"", "</form>");
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(text(rest.split_once('"')?.0))
    };
    let mut fields = Vec::new();
    for part in form.split('<').skip(1) {
        let (tag, inner) = part.split_once('>').expect("a whole tag");
        match (tag.split(' ').next(), attribute(tag, "name")) {
            (Some("input"), Some(name)) => {
                let is_box = tag.contains("type=\"checkbox\"") || tag.contains("type=\"radio\"");
                if !is_box || tag.ends_with(" checked") || tag.contains(" checked ") {
                    fields.push((name, attribute(tag, "value").unwrap_or_default()));
                }
            }
            (Some("textarea"), Some(name)) => {
                fields.push((name, text(inner.trim_start_matches('\n'))));
            }
            (Some("select"), Some(name)) => fields.push((name, String::new())),
            (Some("option"), _) => {
                let (_, value) = fields.last_mut().expect("an option stands in a select");
                if tag.ends_with(" selected") {
                    *value = attribute(tag, "value").unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    fields
}

fn text(html: &str) -> String {
    html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn with(mut fields: Vec<(String, String)>, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    for (name, value) in changes {
        fields.retain(|(n, _)| n != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

async fn send(visitor: &Visitor<'_>, path: &str, fields: &[(String, String)]) -> Page {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    visitor.send(path, &fields).await
}

/// A value for every field, and the settings that they stand for.
const EVERY_FIELD: [(&str, &str); 25] = [
    ("for", "callback"),
    ("description", "All of \"it\""),
    ("url", URL),
    ("method", "POST"),
    ("format", "cloudevents"),
    ("account", "acme"),
    ("which-events", "these"),
    ("events", "PACKAGE_*, MINE\r\n"),
    ("event-type", "COMMENT_CREATED"),
    ("authorization/type", "basic"),
    ("authorization/username", "me"),
    ("authorization/password", "hush-hush"),
    ("authorization/token", "of another type"),
    ("headers", "X-A: 1: 2\r\n\r\nX-B:\r\n"),
    ("retry/delay_seconds", "1.5"),
    ("retry/max_retries", "7"),
    ("retry/backoff", "exponential"),
    ("retry/factor", "3"),
    ("retry/max_delay_seconds", "60"),
    ("rate_limit/per_second", "10"),
    ("rate_limit/burst", "4"),
    ("timeout_ms", "2500"),
    ("max_in_flight", "9"),
    ("circuit/failures", "13"),
    ("circuit/open_seconds", "45"),
];
/// What is on unless it is switched off.
const BOXES: [&str; 3] = ["enabled", "retry/enabled", "circuit/enabled"];

fn every_setting() -> Value {
    json!({
        "description": "All of \"it\"", "url": URL, "method": "POST", "format": "cloudevents", "account": "acme",
        "authorization": { "type": "basic", "username": "me", "password": "***" },
        "headers": { "X-A": "1: 2", "X-B": "" }, "enabled": false, "paused": false,
        "events": ["PACKAGE_*", "MINE", "COMMENT_CREATED"],
        "retry": {
            "enabled": false, "delay_seconds": 1.5, "max_retries": 7, "backoff": "exponential", "factor": 3.0,
            "max_delay_seconds": 60
        },
        "timeout_ms": 2500, "rate_limit": { "per_second": 10, "burst": 4 }, "max_in_flight": 9,
        "circuit": { "enabled": false, "failures": 13, "open_seconds": 45 },
    })
}

/// The settings of the one callback.
async fn saved(api: &Api) -> Value {
    let [callback] = &all(api).await[..] else { panic!("one callback") };
    let mut json = api.get(&format!("/v1/callbacks/{}", callback.id)).await;
    for member in ["id", "created_at", "updated_at", "disabled_reason"] {
        json.as_object_mut().expect("an object").remove(member);
    }
    json
}

#[tokio::test]
async fn every_field_of_the_form_is_saved_and_shown_again() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let blank = fields_of(&visitor.sees("/console/callbacks/new").await);
    for name in BOXES {
        assert!(blank.contains(&(name.to_owned(), "yes".to_owned())), "{name} is on unless said");
    }
    let mut typed = with(blank, &EVERY_FIELD);
    typed.retain(|(name, _)| !BOXES.contains(&name.as_str()));
    let added = send(&visitor, LIST, &typed).await;
    assert_eq!(added.status, 303, "{}", added.html);
    let id = all(&api).await[0].id;
    assert_eq!(added.leads_to(), format!("{LIST}/{id}?said=callback-added"));
    assert_eq!(saved(&api).await, every_setting());

    // Sent back as it is, nothing is changed: the secret is kept, and is shown nowhere.
    let edit = format!("{LIST}/{id}/edit");
    let form = visitor.sees(&edit).await;
    assert!(!form.contains("hush-hush"));
    assert_eq!(send(&visitor, &edit, &fields_of(&form)).await.status, 303);
    assert_eq!(saved(&api).await, every_setting());
    let Authorization::Basic { password, .. } = &all(&api).await[0].authorization.clone() else {
        panic!("basic")
    };
    assert_eq!(password.reveal(), "hush-hush");

    let changes = [
        ("authorization/type", "bearer"),
        ("authorization/token", "tok"),
        ("enabled", "yes"),
        ("method", "GET"),
        ("rate_limit/per_second", ""),
        ("rate_limit/burst", ""),
    ];
    let form = fields_of(&visitor.sees(&edit).await);
    assert_eq!(send(&visitor, &edit, &with(form, &changes)).await.status, 303);
    let changed = saved(&api).await;
    assert_eq!(changed["authorization"], json!({ "type": "bearer", "token": "***" }));
    assert_eq!((&changed["method"], &changed["rate_limit"]), (&json!("GET"), &Value::Null));
    assert_eq!((&changed["format"], &changed["enabled"]), (&json!("form"), &json!(true)));
}

#[tokio::test]
async fn what_is_wrong_is_told_at_its_field_and_what_was_typed_stays() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let blank = fields_of(&visitor.sees("/console/callbacks/new").await);
    let typed = with(
        blank,
        &[
            ("url", "https://{HOST}.example/"),
            ("which-events", "these"),
            ("events", "A*B"),
            ("authorization/type", "bearer"),
            ("authorization/token", "has a space"),
            ("headers", "Host: other"),
            ("retry/max_retries", "many"),
            ("rate_limit/burst", "3"),
            ("timeout_ms", "5"),
            ("circuit/open_seconds", "0"),
        ],
    );
    let page = send(&visitor, LIST, &typed).await;
    assert_eq!(page.status, 422);
    let alert = between(&page.html, "role=\"alert\"", "</div>");
    for (id, said) in [
        ("url", "a tag must not stand in the scheme, host or port"),
        ("events", "“A*B”: an event name"),
        ("authorization-token", "no spaces"),
        ("headers", "“Host”: Ringback sets this header itself"),
        ("retry-max-retries", "a whole number from 0 to 100"),
        ("rate-limit-per-second", "say how many requests a second, or leave the burst empty too"),
        ("timeout-ms", "a whole number of milliseconds from 100 to 120000"),
        ("circuit-open-seconds", "a number of seconds from 1 to 3600"),
    ] {
        assert!(alert.contains(&format!("href=\"#f-{id}\"")), "{id}: {alert}");
        assert!(alert.contains(said), "{said}: {alert}");
        let field = between(&page.html, &format!(" id=\"f-{id}\""), ">");
        assert!(field.contains("aria-invalid=\"true\""), "{id}: {field}");
        assert!(field.contains(&format!("aria-describedby=\"f-{id}-error")), "{id}: {field}");
        let error = between(&page.html, &format!("id=\"f-{id}-error\">"), "</p>");
        assert!(error.to_lowercase().contains(&said.to_lowercase()), "{id}: {error}");
    }
    let kept = fields_of(&page.html);
    for (name, value) in typed.iter().filter(|(name, _)| name != "authorization/token") {
        assert!(kept.contains(&(name.clone(), value.clone())), "{name} is still {value}");
    }
    assert!(!page.html.contains("has a space"), "a secret is not sent back");
    assert!(page.html.contains("Type it once more"));
    let twice = with(typed, &[("headers", "X-A: 1\nX-A: 2\nX-B\nHost: other")]);
    let page = send(&visitor, LIST, &twice).await;
    let beside = between(&page.html, "id=\"f-headers-error\">", "</p>");
    for said in ["“X-A” stands there twice", "Write each header as Name: value.", "“Host”"]
    {
        assert!(beside.contains(said), "{said}: {beside}");
    }
    assert!(all(&api).await.is_empty());
}

#[tokio::test]
async fn all_events_are_warned_of_before_and_after_saving() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let form = visitor.sees("/console/callbacks/new").await;
    assert!(form.contains("All events may overwhelm the receiver."), "{form}");
    let typed = with(fields_of(&form), &[("url", URL)]);
    let added = send(&visitor, LIST, &typed).await;
    let page = visitor.sees(added.leads_to()).await;
    let said = between(&page, "class=\"banner busy\" role=\"status\">", "</div>");
    assert!(said.contains("gets every event: that may overwhelm its receiver"), "{said}");
    let callback = &all(&api).await[0];
    assert_eq!(callback.account.as_ref().map(|it| it.as_str()), Some("acme"));
    let edit = format!("{LIST}/{}/edit", callback.id);
    let fewer = [("which-events", "these"), ("events", "ONE")];
    let fewer = with(fields_of(&visitor.sees(&edit).await), &fewer);
    let saved = send(&visitor, &edit, &fewer).await;
    assert!(!visitor.sees(saved.leads_to()).await.contains("overwhelm"));
    // All events and Ringback's own besides: nothing of it is lost by saving.
    let more = with(fields_of(&visitor.sees(&edit).await), &[("events", "* ringback.*")]);
    assert!(send(&visitor, &edit, &more).await.leads_to().ends_with("said=callback-saved-for-all"));
    send(&visitor, &edit, &fields_of(&visitor.sees(&edit).await)).await;
    assert_eq!(all(&api).await[0].events.patterns(), ["*", "ringback.*"]);
}

#[tokio::test]
async fn change_that_somebody_else_made_meanwhile_is_not_lost_unseen() {
    let api = Api::start().await;
    let id = api.made(settings("acme", "Mine")).await["id"].as_str().expect("an id").to_owned();
    let visitor = Visitor::of_account(&api, "acme").await;
    let edit = format!("{LIST}/{id}/edit");
    let form = fields_of(&visitor.sees(&edit).await);
    let path = format!("/v1/callbacks/{id}");
    api.call("PATCH", &path, Some(json!({ "url": "https://example.org/" }))).await;
    let late = send(&visitor, &edit, &with(form, &[("description", "Late")])).await;
    assert_eq!(late.status, 422);
    let said = between(&late.html, "role=\"alert\"", "</div>");
    assert!(said.contains("Somebody else changed this callback meanwhile"), "{said}");
    assert!(said.contains("(what differs from what you typed: Name, URL)"), "{said}");
    assert!(said.contains("Save again to overwrite it.") && !said.contains("needs a change"));
    assert_eq!(api.get(&path).await["url"], "https://example.org/");
    let knowingly = fields_of(&late.html);
    assert_eq!(send(&visitor, &edit, &knowingly).await.status, 303);
    let saved = api.get(&path).await;
    assert_eq!((&saved["url"], &saved["description"]), (&json!(URL), &json!("Late")));
}

#[tokio::test]
async fn form_that_is_sent_twice_adds_one_callback_and_one_that_differs_another() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let typed = [
        ("url", URL),
        ("account", "acme"),
        ("authorization/type", "bearer"),
        ("authorization/token", "one"),
    ];
    let form = with(fields_of(&visitor.sees("/console/callbacks/new").await), &typed);
    let first = send(&visitor, LIST, &form).await;
    assert_eq!(first.status, 303, "{}", first.html);
    let second = send(&visitor, LIST, &form).await;
    assert_eq!((second.status, second.leads_to()), (303, first.leads_to()));
    assert_eq!(all(&api).await.len(), 1);
    // Of what was asked for nothing is lost, be it in a secret alone, after going back.
    let other = with(form.clone(), &[("authorization/token", "two")]);
    assert_ne!(send(&visitor, LIST, &other).await.leads_to(), first.leads_to());
    // Shown again with a mistake it is the same form; opened again it is another one.
    let wrong = send(&visitor, LIST, &with(form.clone(), &[("timeout_ms", "x")])).await;
    assert_eq!(wrong.status, 422);
    let timeout = ("timeout_ms", "15000");
    let mended = with(fields_of(&wrong.html), &[("authorization/token", "one"), timeout]);
    assert_eq!(send(&visitor, LIST, &mended).await.leads_to(), first.leads_to());
    let anew = with(fields_of(&visitor.sees("/console/callbacks/new").await), &typed);
    send(&visitor, LIST, &anew).await;
    assert_eq!(all(&api).await.len(), 3);
    // Nobody else comes to an id by sending the same: it would be another's.
    let other = Visitor::administrator(&api).await;
    let same: Vec<_> = form.iter().filter(|(name, _)| name != "form-token").collect();
    let same: Vec<_> = same.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_ne!(other.post(LIST, &same).await.leads_to(), first.leads_to());
    assert_eq!(all(&api).await.len(), 4);
}

#[tokio::test]
async fn form_that_is_older_than_a_day_is_taken_and_its_id_is_of_now() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let random = "0".repeat(32);
    for drawn in ["0.", "9223372036854775807.", "-9223372036854775808.", "soon.", ""] {
        let drawn = format!("{drawn}{random}");
        let fields =
            [("url", URL), ("account", "acme"), ("which-events", "all"), ("drawn", &drawn)];
        visitor.does(LIST, &fields).await;
    }
    let made = all(&api).await;
    assert_eq!(made.len(), 5);
    let ms = |id: ringback_core::CallbackId| id.uuid().as_u128() >> 80;
    let now = u128::try_from(ringback_testkit::builders::MADE_AT.ms()).expect("after 1970");
    assert!(made.iter().all(|it| ms(it.id) == now));
}

#[tokio::test]
async fn no_two_things_on_the_form_have_the_same_name() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let form = visitor.sees("/console/callbacks/new").await;
    let named = |tag: &str| -> Vec<String> {
        let begin = format!("<{tag}");
        let parts = form.split(&begin).skip(1);
        parts.map(|part| between(part, ">", "<").to_owned()).collect()
    };
    let mut names = [named("label"), named("legend")].concat();
    names.retain(|name| !name.is_empty());
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

#[tokio::test]
async fn preview_is_the_request_as_it_would_go_and_sends_nothing() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let blank = fields_of(&visitor.sees("/console/callbacks/new").await);
    let preview = async |changes: &[(&str, &str)]| {
        let page =
            send(&visitor, "/console/callbacks/preview", &with(blank.clone(), changes)).await;
        assert_eq!(page.status, 200, "{}", page.html);
        text(between(&page.html, "class=\"preview-request\">", "</fieldset>"))
    };
    let auth = [("authorization/type", "bearer"), ("authorization/token", "hush-hush")];
    let all =
        [&auth[..], &[("url", URL), ("headers", "X-A: 1"), ("sample", "COMMENT_CREATED")]].concat();
    let shown = preview(&all).await;
    assert!(shown.contains("POST https://example.com/hook/178\n"), "{shown}");
    for part in [
        "content-type: application/x-www-form-urlencoded\n",
        "authorization: Bearer ***\n",
        "X-A: 1\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("EVENT_ID=COMMENT_CREATED&") && !shown.contains("hush-hush"), "{shown}");
    let json = preview(&[("url", URL), ("format", "json")]).await;
    assert!(json.contains("\"account\":\"acme\""), "{json}");
    let get = preview(&[("url", URL), ("method", "GET"), ("sample", "COMMENT_CREATED")]).await;
    assert!(
        get.contains("GET https://example.com/hook/178\n") && !get.contains("EVENT_GUID"),
        "{get}"
    );
    // The first type that the filter lets through, or what is named there.
    for (events, name) in [("SIGNER_*", "SIGNER_COMPLETE"), ("MINE", "MINE")] {
        let shown = preview(&[("url", URL), ("which-events", "these"), ("events", events)]).await;
        assert!(shown.contains(&format!("<code>{name}</code>")), "{shown}");
    }
    for (url, said) in [
        ("ftp://a", "the URL begins with http://"),
        ("", "Type a URL"),
        ("http://127.0.0.1/", "127.0.0.1"),
    ] {
        let shown = preview(&[("url", url)]).await;
        assert!(shown.contains(said), "{url}: {shown}");
    }
    assert!(self::all(&api).await.is_empty());
}
