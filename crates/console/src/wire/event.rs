//! Events as they are shown.

use ringback_core::{Event, EventName, Timestamp, Variables};
use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::DeliveryAnswer;

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventAnswer {
    #[schema(format = "uuid")]
    id: String,
    #[schema(value_type = String)]
    name: EventName,
    account: String,
    /// When it happened, says its producer.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// When Ringback took it over.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    /// When its deliveries begin; null: at once.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    deliver_at: Option<Timestamp>,
    #[schema(value_type = Object)]
    variables: Variables,
}

/// An event with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventWithDeliveries {
    #[serde(flatten)]
    pub(crate) event: EventAnswer,
    /// The first 200.
    pub(crate) deliveries: Vec<DeliveryAnswer>,
    /// For `/v1/deliveries?event=…&account=…`, if there are more; otherwise null.
    #[schema(required)]
    pub(crate) deliveries_next_cursor: Option<String>,
}

impl EventAnswer {
    pub(crate) fn of(event: Event) -> Self {
        Self {
            id: event.id.to_string(),
            name: event.name,
            account: event.account.to_string(),
            time: event.time,
            accepted_at: event.accepted_at,
            deliver_at: event.deliver_at,
            variables: event.variables,
        }
    }
}
