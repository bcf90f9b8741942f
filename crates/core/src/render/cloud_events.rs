//! The event as a structured CloudEvent.

use serde::Serialize;

use crate::{Account, Event, EventId, EventName, Timestamp, Variables};

/// `source` and `id` together name the event for everybody. The id is unique within the account, so the account is
/// what the source says; it is told as the extension `account` besides, for receivers that filter by attributes.
///
/// # Source
/// CloudEvents 1.0.2, section 3 (context attributes); its JSON event format, section 3 (envelope).
pub(super) fn text(event: &Event) -> String {
    #[derive(Serialize)]
    struct Envelope<'a> {
        specversion: &'static str,
        id: EventId,
        source: String,
        r#type: &'a EventName,
        time: Timestamp,
        datacontenttype: &'static str,
        account: &'a Account,
        data: &'a Variables,
    }

    let Event { id, name, account, time, variables, .. } = event;
    let envelope = Envelope {
        specversion: "1.0",
        id: *id,
        source: format!("/ringback/{account}"),
        r#type: name,
        time: *time,
        datacontenttype: "application/json",
        account,
        data: variables,
    };
    serde_json::to_string(&envelope).expect("strings and raw values always serialize")
}
