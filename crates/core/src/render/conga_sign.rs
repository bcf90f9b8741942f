//! The event as a notification of Conga Sign, byte for byte as its receivers know it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Event, EventName, Timestamp, Variables};

/// What every notification says of itself, whatever its event.
const CLASS: &str = "com.silanis.esl.packages.event.ESLProcessEvent";
/// The only type whose notifications have a `newRoleId`.
const ROLE_REASSIGN: &str = "ROLE_REASSIGN";

/// The variables of these names, in this order; one that is absent is null. Others are left out: receivers of this form
/// expect these members and no others.
pub(super) fn text(event: &Event) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Notification<'a> {
        #[serde(rename = "@class")]
        class: &'static str,
        name: &'a EventName,
        session_user: Option<&'a RawValue>,
        package_id: Option<&'a RawValue>,
        message: Option<&'a RawValue>,
        document_id: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_role_id: Option<Option<&'a RawValue>>,
        created_date: Timestamp,
    }

    let variable = |name| event.variables.get(name);
    let reassigns = event.name.as_str() == ROLE_REASSIGN;
    let notification = Notification {
        class: CLASS,
        name: &event.name,
        session_user: variable("sessionUser"),
        package_id: variable("packageId"),
        message: variable("message"),
        document_id: variable("documentId"),
        new_role_id: reassigns.then(|| variable("newRoleId")),
        created_date: created_date(&event.variables).unwrap_or(event.time),
    };
    serde_json::to_string(&notification).expect("strings and raw values always serialize")
}

/// What the producer says, in milliseconds with `Z` whichever way he wrote it; none if he does not say, or says what is
/// no time.
fn created_date(variables: &Variables) -> Option<Timestamp> {
    serde_json::from_str(variables.get("createdDate")?.get()).ok()
}
