//! Events as they come in, and the answers to them.

use ringback_api::FieldError;
use ringback_core::{Account, EventId, EventName, Timestamp, Variables};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event, as a producer sends it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// A UUID, if the producer has one: the same twice for one account is one event. Made up if absent.
    #[serde(default)]
    #[schema(format = "uuid", example = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21")]
    id: Option<String>,
    /// Which kind of event.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", example = "COMMENT_CREATED")]
    name: String,
    /// The tenant it belongs to. May be left out with a key that is bound to an account.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "acme")]
    account: Option<String>,
    /// When it happened. Now, if absent.
    #[serde(default)]
    #[schema(format = "date-time")]
    time: Option<String>,
    /// What is known of it: at most 1,000 members of any JSON value.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Variables,
    /// Not available yet: only null is taken.
    #[serde(default)]
    #[schema(format = "date-time")]
    deliver_at: Option<String>,
}

/// An event that is well-formed. Its account is checked against the caller's afterwards.
#[derive(Debug)]
pub(crate) struct WellFormed {
    pub(crate) id: Option<EventId>,
    pub(crate) name: EventName,
    pub(crate) account: Option<Account>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) variables: Variables,
}

impl NewEvent {
    /// Checks every field and says all that is wrong.
    pub(crate) fn check(self) -> Result<WellFormed, Vec<FieldError>> {
        let mut errors = Vec::new();
        if self.deliver_at.is_some() {
            errors.push(FieldError::new("/deliver_at", "scheduled events are not available yet"));
        }
        let id = optional("/id", self.id.as_deref(), &mut errors);
        let account = optional("/account", self.account.as_deref(), &mut errors);
        let time = optional("/time", self.time.as_deref(), &mut errors);
        let name = optional("/name", Some(&self.name), &mut errors);
        match name {
            Some(name) if errors.is_empty() => {
                Ok(WellFormed { id, name, account, time, variables: self.variables })
            }
            _ => Err(errors),
        }
    }
}

fn optional<T>(pointer: &str, text: Option<&str>, errors: &mut Vec<FieldError>) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    match text?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            errors.push(FieldError::new(pointer, error.to_string()));
            None
        }
    }
}

/// What became of one event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", tag = "status")]
pub(crate) enum Answer {
    /// It is durable, and on its way.
    Accepted {
        /// Its id.
        #[schema(value_type = String, format = "uuid")]
        id: EventId,
        /// True if it had been accepted before, and nothing is sent again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// It is not taken.
    Rejected {
        /// What is wrong with it.
        errors: Vec<FieldError>,
    },
}

/// The answers to an array of events, in the same order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answers {
    /// One for each.
    pub(crate) data: Vec<Answer>,
}
