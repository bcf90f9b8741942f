//! Events: looked for, shown, sent again.

use std::time::Duration;

use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{CallbackId, Event, Timestamp};
use ringback_store::{HistoryRecord, LOOKED_MAX, Store as _};
use ringback_testkit::builders;
use serde_json::json;

use super::harness::{Visitor, assert_nothing_was_sent, between};
use crate::harness::Api;
use crate::recovery::{callback, dispatched, targets};

const PENDING: DeliveryState = DeliveryState::Pending {
    next_attempt_at: Timestamp::from_ms(2_000_000_000_000),
    waits: Some(WaitReason::Retry),
};

async fn record(api: &Api, events: impl IntoIterator<Item = Event>) {
    let records = events.into_iter().map(|event| HistoryRecord::Event(event.into()));
    api.store.record(records.collect()).await.expect("recorded");
}

fn event(account: &str, name: &str, variables: &str) -> Event {
    let variables = builders::variables(variables);
    Event { account: builders::account(account), variables, ..builders::event(name) }
}

#[tokio::test]
async fn events_are_found_by_each_field() {
    let api = Api::start().await;
    let early = Event {
        accepted_at: builders::MADE_AT - Duration::from_secs(3_600),
        ..event("acme", "EARLY", r#"{"SHEET":"one"}"#)
    };
    let late = event("other", "LATE", r#"{"SHEET":"two","PAGES":12,"A":1,"B":2}"#);
    record(&api, [early, late]).await;
    let visitor = Visitor::administrator(&api).await;
    let small = visitor.sees("/console/events?name=la*").await;
    assert!(small.contains("Nothing matches"), "upper and lower case count: {small}");
    let all = visitor.sees("/console/events?name=*").await;
    assert!(all.contains("id=\"events\" data-live"), "it keeps up: {all}");
    assert!(all.contains(">EARLY</a>") && all.contains(">LATE</a>"), "{all}");
    assert!(all.contains("SHEET: </span>two") && all.contains(" and 1 more"), "{all}");
    assert!(all.contains("<option value=\"COMMENT_CREATED\">"), "the catalog's names are proposed");
    for filter in [
        "name=LATE",
        "name=LA*",
        "account=other",
        "variable=SHEET&value=two",
        "variable=PAGES&value=12",
        "since=2026-01-02T03:00",
    ] {
        let some = visitor.sees(&format!("/console/events?{filter}")).await;
        assert!(some.contains(">LATE</a>") && !some.contains(">EARLY</a>"), "{filter}");
    }
    let before = visitor.sees("/console/events?until=2026-01-02T03:00").await;
    assert!(before.contains(">EARLY</a>") && !before.contains(">LATE</a>"));
    let none = visitor.sees("/console/events?name=NEVER").await;
    assert!(none.contains("Nothing matches") && none.contains("value=\"NEVER\""), "{none}");
}

#[tokio::test]
async fn where_nothing_was_sent_yet_it_says_how_and_not_to_search_for_less() {
    let api = Api::start().await;
    let visitor = Visitor::of_account(&api, "acme").await;
    for (list, yet) in [
        ("events", "No events yet"),
        ("deliveries", "No deliveries yet"),
        ("failed", "Nothing failed here"),
    ] {
        let none = visitor.sees(&format!("/console/{list}")).await;
        assert!(none.contains(yet) && !none.contains("Nothing matches"), "{none}");
        let filtered = format!("/console/{list}?since=2026-01-02T03:00");
        assert!(visitor.sees(&filtered).await.contains("Nothing matches"), "{list}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_search_stands_beside_its_field() {
    let api = Api::start().await;
    let visitor = Visitor::administrator(&api).await;
    let unknown = format!("id={}", builders::event_id());
    for (query, field, words) in [
        (unknown.as_str(), "id", "There is no event with this id."),
        ("id=nonsense", "id", ""),
        ("name=two words", "name", "1 to 128 characters"),
        ("variable=SHEET", "value", "Say what the variable is to be."),
        ("value=two", "variable", "Say which variable"),
    ] {
        let page = visitor.sees(&format!("/console/events?{}", query.replace(' ', "+"))).await;
        let error = between(&page, &format!("class=\"error\" id=\"{field}-error\">"), "</p>");
        assert!(error.contains(words) && !error.is_empty(), "{query}: {error}");
    }
}

#[tokio::test]
async fn id_leads_to_the_event_if_it_is_the_visitors() {
    let api = Api::start().await;
    let (own, foreign) = (event("acme", "OWN", "{}"), event("other", "FOREIGN", "{}"));
    record(&api, [own.clone(), foreign.clone()]).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let found = visitor.get(&format!("/console/events?id={}", own.id)).await;
    assert_eq!(found.status, 303);
    assert_eq!(found.leads_to(), format!("/console/events/{}?account=acme", own.id));
    assert!(visitor.sees(found.leads_to()).await.contains("<h1>OWN</h1>"));
    let none = visitor.sees(&format!("/console/events?id={}", foreign.id)).await;
    assert!(none.contains("There is no event with this id."), "{none}");
}

#[tokio::test]
async fn search_that_looked_long_enough_says_how_far_and_goes_on() {
    let api = Api::start().await;
    let wanted = Event {
        accepted_at: builders::MADE_AT - Duration::from_secs(u64::from(LOOKED_MAX) + 10),
        ..event("acme", "NEEDLE", "{}")
    };
    let hay = (0..=u64::from(LOOKED_MAX)).map(|number| Event {
        accepted_at: builders::MADE_AT - Duration::from_secs(number),
        ..event("acme", "HAY", "{}")
    });
    record(&api, hay.chain([wanted])).await;
    let visitor = Visitor::administrator(&api).await;
    let first = visitor.sees("/console/events?name=NEEDLE").await;
    let said = format!("Looked at the last {},000 events, back to <time", LOOKED_MAX / 1_000);
    assert!(first.contains(&said), "{first}");
    assert!(first.contains("There may be some further back."));
    let further = between(&first, "back to ", "Look further");
    let further = between(further, "href=\"", "\"").replace("&amp;", "&");
    assert!(further.contains("name=NEEDLE") && further.contains("cursor="), "{further}");
    let second = visitor.sees(&further).await;
    assert!(second.contains(">NEEDLE</a>") && !second.contains("Looked at"), "{second}");
}

#[tokio::test]
async fn event_is_shown_with_its_variables_and_deliveries() {
    let api = Api::start().await;
    let to = callback(&api, json!({ "description": "The receiver" })).await;
    let shown = Event {
        deliver_at: Some(builders::MADE_AT + Duration::from_secs(60)),
        ..event("acme", "COMMENT_CREATED", r#"{"PRICE":1.10,"TEXT":"<i>hello</i>"}"#)
    };
    let id = api.delivery(&shown, &to, PENDING).await;
    let visitor = Visitor::administrator(&api).await;
    let page = visitor.sees(&format!("/console/events/{}?account=acme", shown.id)).await;
    for part in [
        "<h1>COMMENT_CREATED</h1>",
        "2026-01-02 03:05:05 UTC",
        "<td>1.10</td>",
        "<td>&lt;i&gt;hello&lt;/i&gt;</td>",
        "  &quot;PRICE&quot;: 1.10,\n",
        "The receiver</a>",
        "retry ahead",
        &format!("href=\"/console/deliveries/{id}\""),
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, type_of_it) = page.split_once("<dt>Type</dt>").expect("there");
    let reference = between(type_of_it, "href=\"", "\"");
    let (reference, anchor) = reference.split_once('#').expect("a place on the page");
    assert!(visitor.sees(reference).await.contains(&format!("<h2 id=\"{anchor}\">")), "{anchor}");
}

#[tokio::test]
async fn equal_ids_of_two_accounts_are_told_apart() {
    let api = Api::start().await;
    let one = event("acme", "ONE", "{}");
    let other = Event { id: one.id, ..event("other", "OTHER", "{}") };
    record(&api, [one.clone(), other]).await;
    let visitor = Visitor::administrator(&api).await;
    for (account, name) in [("acme", "ONE"), ("other", "OTHER")] {
        let page = visitor.sees(&format!("/console/events/{}?account={account}", one.id)).await;
        assert!(page.contains(&format!("<h1>{name}</h1>")), "{account}");
    }
}

#[tokio::test]
async fn event_is_replayed_to_all_that_match_or_to_those_that_are_chosen() {
    let api = Api::start().await;
    let matching = callback(&api, json!({ "events": ["A"] })).await;
    let chosen = callback(&api, json!({ "events": ["B"] })).await;
    let foreign = callback(&api, json!({ "account": "other" })).await;
    let event = event("acme", "A", "{}");
    record(&api, [event.clone()]).await;
    let visitor = Visitor::administrator(&api).await;
    let page = visitor.sees(&format!("/console/events/{}", event.id)).await;
    let replay = format!("/console/events/{}/replay", event.id);
    let asked = format!("href=\"{replay}?account=acme\" data-dialog");
    assert!(page.contains(&asked) && !page.contains("<button class=\"primary\""), "{page}");
    let page = visitor.sees(&format!("{replay}?account=acme")).await;
    assert!(page.contains("<strong>1 callback</strong>? </p>"), "{page}");
    let box_of = |id: CallbackId| format!("name=\"callback\" value=\"{id}\"");
    assert!(page.contains(&box_of(chosen.id)), "it may go to it");
    assert!(!page.contains(&foreign.id.to_string()), "it may not");
    let ticked = visitor.sees(&format!("{replay}?account=acme&callback={}", chosen.id)).await;
    assert!(ticked.contains(&format!("{} checked", box_of(chosen.id))), "{ticked}");
    assert_eq!(ticked.matches(" checked").count(), 1);
    api.delivery(&event, &matching, DeliveryState::Delivered).await;
    let page = visitor.sees(&format!("{replay}?account=acme")).await;
    assert!(page.contains("</strong>? It has it already."), "{page}");
    assert_nothing_was_sent(&api).await;

    let chosen_id = chosen.id.to_string();
    for (fields, expected) in [
        (vec![("account", "acme")], matching.id),
        (vec![("account", "acme"), ("to", "chosen"), ("callback", &chosen_id)], chosen.id),
    ] {
        let after = visitor.does(&replay, &fields).await;
        assert!(after.contains("The event is on its way again."), "{after}");
        let dispatch = dispatched(&api, 1).await.remove(0);
        let to: Vec<_> = targets(&dispatch).iter().map(|target| target.callback).collect();
        assert_eq!(to, [expected]);
    }

    let none = visitor.post(&replay, &[("to", "chosen")]).await;
    assert_eq!(none.status, 422);
    assert!(none.html.contains("Choose at least one."), "{}", none.html);
    let wrong = foreign.id.to_string();
    let wrong = visitor.post(&replay, &[("to", "chosen"), ("callback", &wrong)]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("It belongs to another account."), "{}", wrong.html);
}

#[tokio::test]
async fn event_that_nobody_takes_is_not_replayed() {
    let api = Api::start().await;
    callback(&api, json!({ "events": ["B"] })).await;
    let event = event("acme", "A", "{}");
    record(&api, [event.clone()]).await;
    let visitor = Visitor::administrator(&api).await;
    let page = visitor.post(&format!("/console/events/{}/replay", event.id), &[]).await;
    assert_eq!(page.status, 409);
    assert!(page.html.contains("No enabled callback matches it."), "{}", page.html);
}

#[tokio::test]
async fn what_is_pending_of_an_event_is_cancelled() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let event = builders::event("A");
    let id = api.delivery(&event, &to, PENDING).await;
    let visitor = Visitor::administrator(&api).await;
    let cancel = format!("/console/events/{}/cancel", event.id);
    let asked = visitor.sees(&format!("{cancel}?account=acme")).await;
    assert!(asked.contains("<strong>1 delivery</strong>"), "{asked}");
    assert_eq!(api.store.delivery(id).await.expect("read").expect("there").state, PENDING);
    let after = visitor.does(&cancel, &[("account", "acme")]).await;
    assert!(after.contains("What was pending of this event is cancelled."), "{after}");
    assert_eq!(
        api.store.delivery(id).await.expect("read").expect("there").state.status(),
        "cancelled"
    );
    assert!(visitor.does(&cancel, &[]).await.contains("Nothing of this event was pending"));
}

#[tokio::test]
async fn event_of_another_account_does_not_exist() {
    let api = Api::start().await;
    let to = callback(&api, json!({})).await;
    let foreign = event("other", "FOREIGN", r#"{"SHEET":"one"}"#);
    let id = api.delivery(&foreign, &to, PENDING).await;
    let visitor = Visitor::of_account(&api, "acme").await;
    let path = format!("/console/events/{}", foreign.id);
    assert_eq!(visitor.get(&path).await.status, 404);
    let to = to.id.to_string();
    for (action, fields) in
        [("replay", &[][..]), ("replay", &[("to", "chosen"), ("callback", &to)]), ("cancel", &[])]
    {
        assert_eq!(visitor.get(&format!("{path}/{action}")).await.status, 404);
        assert_eq!(visitor.post(&format!("{path}/{action}"), fields).await.status, 404);
    }
    assert_eq!(visitor.post(&format!("{path}/cancel"), &[("account", "other")]).await.status, 404);
    // Of one's own an event goes to nobody else's callback, and to none of the instance.
    let own = event("acme", "OWN", "{}");
    record(&api, [own.clone()]).await;
    let others = callback(&api, json!({ "account": "other" })).await.id.to_string();
    for foreign in [&to, &others] {
        let fields = [("to", "chosen"), ("callback", foreign.as_str())];
        let refused = visitor.post(&format!("/console/events/{}/replay", own.id), &fields).await;
        assert_eq!(refused.status, 422);
        assert!(refused.html.contains("There is no such callback."), "{}", refused.html);
    }
    assert_nothing_was_sent(&api).await;
    assert_eq!(api.store.delivery(id).await.expect("read").expect("there").state, PENDING);
    for search in ["", "?name=FOREIGN", "?variable=SHEET&value=one"] {
        let found = visitor.sees(&format!("/console/events{search}")).await;
        assert!(!found.contains(">FOREIGN</a>"), "{search}");
    }
}
